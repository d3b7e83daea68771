# SPDX-License-Identifier: Apache-2.0
"""Figures of the hearing: wake word, echo, words, ends of turns; see :mod:`hearing.families`."""
