# SPDX-License-Identifier: Apache-2.0
"""The benchmark's modules are on the path as ``./va bench`` puts them there."""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'bench'))
