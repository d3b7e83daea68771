# SPDX-License-Identifier: Apache-2.0
"""Faults on purpose: the real assistant in the virtual room, something broken, and a judge.

``run.py`` is ``./va faults``. ``case_table`` lists the cases; ``situations`` brings the
assistant into the state in which something breaks, the ``*_cases`` modules break it, ``watch``
sees when it hears again, ``records`` and ``census`` find what was lost or left behind, ``judge``
decides.
"""
