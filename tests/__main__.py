"""Run all tests side by side, in the time that a newcomer waits for: `python -m tests`.

Those in which people talk take as long as talk takes, and leave a part of the machine idle; the others take what they
get. So both run at once, and the others give way: a voice that stutters would fail a test for no fault of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

TALK = ("tests/rooms", "tests/terminal", "tests/test_conversations.py", "tests/test_talk.py")
PYTEST = (sys.executable, "-m", "pytest")


def main() -> int:
    with tempfile.TemporaryFile("w+") as told:
        others = subprocess.Popen(
            ["nice", "-n", "10", *PYTEST, *(f"--ignore={path}" for path in TALK)], stdout=told, stderr=subprocess.STDOUT
        )
        try:
            talk = subprocess.run([*PYTEST, *TALK], check=False).returncode
            print("And those in which nobody talks:", flush=True)  # noqa: T201
            other = others.wait()
        finally:
            others.kill()
        told.seek(0)
        sys.stdout.writelines(told)
    return max(talk, other)


if __name__ == "__main__":
    sys.exit(main())
