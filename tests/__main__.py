"""Run all tests in the time that a newcomer waits for: `python -m tests`.

Those in real rooms and at a terminal first, one after the other: a voice that has to share its cores stutters, and
fails a test for no fault of its own. Then all others, on every core; those of one file stay together, since they share
its servers.
"""

from __future__ import annotations

import subprocess
import sys

PYTEST = (sys.executable, "-m", "pytest")
IN_REAL_TIME = ("tests/rooms", "tests/terminal", "tests/test_talk.py")


def main() -> int:
    others = (f"--ignore={path}" for path in IN_REAL_TIME)
    runs = ([*PYTEST, *IN_REAL_TIME], [*PYTEST, *others, "--numprocesses=auto", "--dist=loadfile"])
    return max([subprocess.run(run, check=False).returncode for run in runs])


if __name__ == "__main__":
    sys.exit(main())
