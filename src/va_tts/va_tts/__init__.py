# SPDX-License-Identifier: Apache-2.0
"""The voice of the assistant: owns the speaker, speaks with Kokoro."""

__version__ = '0.1.0'
