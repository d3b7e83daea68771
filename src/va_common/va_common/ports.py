# SPDX-License-Identifier: Apache-2.0
"""The gRPC health ports; apart from :mod:`va_common.health`, which loads gRPC."""

PORTS = {'logger': 5001, 'loader': 5002, 'kwd': 5003, 'stt': 5004, 'llm': 5005, 'tts': 5006}
"""Each process's port, before ``[system] port_offset`` is added."""
