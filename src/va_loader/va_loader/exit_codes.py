# SPDX-License-Identifier: Apache-2.0
"""Exit codes of main and loader."""

EXIT_CLEAN = 0
EXIT_FATAL = 1
"""The assistant could not go on, for a reason that it named."""
EXIT_CONFIGURATION = 2
EXIT_TAKEN = 3
"""A port is taken, or a second instance was refused."""
EXIT_CRASHED = 70
"""The loader itself broke (EX_SOFTWARE): main starts it again."""
