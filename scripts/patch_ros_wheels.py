# SPDX-License-Identifier: Apache-2.0
"""Mend the ROS 2 wheels of an environment so that rosidl packages build against them.

Some exported .cmake files carry the include folders of the machine that built the wheels. They
are rewritten to those of this environment. Run with the environment's own Python; running it
again changes nothing. What was changed is recorded in <environment>/va_patched.json.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import re
import sys
import sysconfig

BUILDER = re.compile(
    r'/opt/python/cp3\d+-cp3\d+t?/'
    r'(?P<what>include/python3\.\d+|lib/python3\.\d+/site-packages/numpy/_?core/include)')


def mend(text: str, python_include: str, numpy_include: str) -> str:
    """Replace the wheel builder's include folders in the text of a .cmake file."""
    def local(match: re.Match[str]) -> str:
        return python_include if match['what'].startswith('include/') else numpy_include

    return BUILDER.sub(local, text)


def replace_file(path: Path, text: str) -> None:
    """Write a new file over path: the old one may be a hard link into a shared cache."""
    temporary = path.with_name(path.name + '.va-new')
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, path)


def patch(prefix: Path, python_include: str, numpy_include: str) -> list[str]:
    """Mend every .cmake file under prefix/share; return those changed, relative to prefix."""
    changed = []
    for path in sorted(prefix.glob('share/*/cmake/*.cmake')):
        old = path.read_text(encoding='utf-8')
        new = mend(old, python_include, numpy_include)
        if new != old:
            replace_file(path, new)
            changed.append(str(path.relative_to(prefix)))
    return changed


def record(prefix: Path, changed: list[str]) -> None:
    """Add the files changed now to the environment's record."""
    path = prefix / 'va_patched.json'
    known = set(json.loads(path.read_text(encoding='utf-8'))) if path.exists() else set()
    replace_file(path, json.dumps(sorted(known | set(changed)), indent=2) + '\n')


def main() -> int:
    """Patch the environment of the running Python."""
    import numpy

    prefix = Path(sys.prefix)
    changed = patch(prefix, sysconfig.get_path('include'), numpy.get_include())
    record(prefix, changed)
    print(f'{len(changed)} .cmake files mended in {prefix}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
