# SPDX-License-Identifier: Apache-2.0
"""Application log and dialog records: acknowledged means on disk."""

__version__ = '0.1.0'
