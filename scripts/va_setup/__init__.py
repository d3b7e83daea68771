# SPDX-License-Identifier: Apache-2.0
"""Set-up of a clone: system packages, Python environment, models, build.

Standard library only: this runs on the system's own Python, before anything is installed.
"""
