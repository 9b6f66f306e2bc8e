"""Run all tests in the time that a newcomer waits for: `python -m tests`.

Those in real rooms first, one after the other: a voice that has to share its cores stutters, and fails a test for no
fault of its own. Then all others, one more at a time than there are cores, since each waits now and then; those of one
file stay together, since they share its servers, and what takes longest, or waits most, begins.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PYTEST = (sys.executable, "-m", "pytest")
IN_REAL_TIME = "tests/rooms"
FIRST = [
    "tests/test_conversations.py",
    "tests/supabase/test_chaos.py",
    "tests/test_talk.py",
    "tests/voice",
    "tests/memory/stores",
]


def main() -> int:
    # some hundred processes start: each would compile us anew where an environment forbids to keep what is compiled
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    at_once = (f"--numprocesses={(os.cpu_count() or 1) + 1}", "--dist=loadfile", "--no-loadscope-reorder")
    runs = ([*PYTEST, IN_REAL_TIME], [*PYTEST, *FIRST, *_others(), *at_once])
    return max([subprocess.run(run, check=False).returncode for run in runs])


def _others() -> list[str]:
    """Named one by one: a folder would swallow those that are named before it, and their places."""
    files = (str(path) for path in Path("tests").rglob("test_*.py"))
    return sorted(path for path in files if not path.startswith((IN_REAL_TIME + "/", *FIRST)))


if __name__ == "__main__":
    sys.exit(main())
