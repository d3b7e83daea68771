# SPDX-License-Identifier: Apache-2.0
"""What two or more nodes of the voice assistant share."""

__version__ = '0.1.0'
