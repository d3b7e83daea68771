# SPDX-License-Identifier: Apache-2.0
"""Runs lint and every test: `./va test [--fast] [FOLDER...]`.

Each folder of tests is a pytest process of its own, so none can spoil another, and each has a
time limit. The last line is `N passed, N failed, N skipped`; the exit code is 1 when anything
failed or nothing ran.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / 'out/test'
FOLDER_LIMIT_S = 1800
TOTAL_LIMIT_S = 4800
TEST_LIMIT_S = 300


@dataclass
class Count:
    """How many tests did what."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed,
                     self.skipped + other.skipped)

    def __str__(self) -> str:
        return f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped'


def folders(fast: bool) -> list[Path]:
    """Return the folders of tests: packages first, the whole graph last."""
    packages = sorted(path for path in ROOT.glob('src/*/test') if any(path.glob('test_*.py')))
    others = sorted({path.parent for path in ROOT.glob('tests/**/test_*.py')},
                    key=lambda path: (path.name == 'system', path))
    if fast:
        others = [path for path in others if path.name != 'system']
    return packages + others


def run(folder: Path, limit_s: float, keep: list[str]) -> Count:
    """Run the tests of one folder."""
    name = str(folder.relative_to(ROOT)).replace('/', '.')
    report = RESULTS / f'{name}.xml'
    report.unlink(missing_ok=True)
    print(f'== {folder.relative_to(ROOT)}', flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, '-m', 'pytest', str(folder), f'--junit-xml={report}',
         f'--timeout={TEST_LIMIT_S}', *keep],
        cwd=ROOT, start_new_session=True, stdin=subprocess.DEVNULL)
    code = wait(process, limit_s)
    count = read(report, code)
    print(f'== {folder.relative_to(ROOT)}: {count}, {time.monotonic() - started:.0f} s',
          flush=True)
    return count


def wait(process: subprocess.Popen[bytes], limit_s: float) -> int:
    """Wait for a test process; end it and everything it started when it takes too long."""
    try:
        return process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        print(f'== ran past its limit of {limit_s:.0f} s: ended', flush=True)
        return -1
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End what a test process has left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue


def read(report: Path, code: int) -> Count:
    """Count the results in a report; a process that ended badly without saying so is a failure."""
    count = Count()
    if report.is_file():
        for suite in ElementTree.parse(report).getroot().iter('testsuite'):
            bad = int(suite.get('failures', 0)) + int(suite.get('errors', 0))
            skipped = int(suite.get('skipped', 0))
            count += Count(int(suite.get('tests', 0)) - bad - skipped, bad, skipped)
    if code != 0 and count.failed == 0:
        count.failed = 1
    return count


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; what is not ours goes to pytest."""
    parser = argparse.ArgumentParser(prog='./va test', description='Lint and every test.',
                                     epilog='Other options go to pytest.')
    parser.add_argument('folders', nargs='*', type=Path, help='only these folders of tests')
    parser.add_argument('--fast', action='store_true', help='leave the whole graph out')
    return parser.parse_known_args(arguments)


def main() -> int:
    """Run everything; print the closing line."""
    options, keep = parse(sys.argv[1:])
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    chosen = [path.resolve() for path in options.folders]
    deadline = time.monotonic() + TOTAL_LIMIT_S
    print(f'at most {TOTAL_LIMIT_S // 60} minutes in all; results in {RESULTS}', flush=True)
    total = Count()
    if not chosen:
        code = subprocess.run([sys.executable, str(ROOT / 'scripts/lint.py')], check=False)
        total += Count(passed=1) if code.returncode == 0 else Count(failed=1)
    for folder in chosen or folders(options.fast):
        left = deadline - time.monotonic()
        if left <= 0:
            print(f'== {folder}: not run, the total limit is spent', flush=True)
            total += Count(failed=1)
            continue
        total += run(folder, min(left, FOLDER_LIMIT_S), keep)
    print(total, flush=True)
    return 1 if total.failed or not total.passed else 0


if __name__ == '__main__':
    sys.exit(main())
