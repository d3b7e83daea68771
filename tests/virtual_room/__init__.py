# SPDX-License-Identifier: Apache-2.0
"""A virtual room for the assistant: devices, echo, noise and a synthetic user. See README
section of the demonstration.
"""
