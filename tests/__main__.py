"""Run all tests in the time that a newcomer waits for: `python -m tests`.

What is spoken in real time, one test after the other, since a voice that has to share its cores stutters, and fails a
test for no fault of its own. Those tests wait more than they work: all others run beside them and give way, one more at
a time than there are cores, since each waits now and then. Those of one file stay together: they share its servers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PYTEST = (sys.executable, "-m", "pytest")
IN_REAL_TIME = ["tests/rooms", "tests/test_talk.py", "tests/test_conversations.py"]
# What takes longest, or waits most, begins: left to the end it would keep cores idle.
FIRST = ["tests/supabase/test_chaos.py", "tests/voice", "tests/memory/stores", "tests/room/test_stories.py"]
_GIVING_WAY = 5


def main() -> int:
    # some hundred processes start: each would compile us anew where an environment forbids to keep what is compiled
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    at_once = (f"--numprocesses={(os.cpu_count() or 1) + 1}", "--dist=loadfile", "--no-loadscope-reorder")
    with tempfile.TemporaryFile("w+") as told:
        beside = subprocess.Popen(["nice", "-n", str(_GIVING_WAY), *PYTEST, *FIRST, *_others(), *at_once], stdout=told)
        spoken = subprocess.run([*PYTEST, *IN_REAL_TIME], check=False).returncode
        result = max(spoken, beside.wait())
        told.seek(0)
        sys.stdout.writelines(told)
    return result


def _others() -> list[str]:
    """Named one by one: a folder would swallow those that are named before it, and their places."""
    files = (str(path) for path in Path("tests").rglob("test_*.py"))
    return sorted(path for path in files if not path.startswith((*IN_REAL_TIME, *FIRST)))


if __name__ == "__main__":
    sys.exit(main())
