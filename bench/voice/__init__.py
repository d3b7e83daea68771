# SPDX-License-Identifier: Apache-2.0
"""How long the user waits, measured in recorded sound; see :mod:`voice.bench`."""
