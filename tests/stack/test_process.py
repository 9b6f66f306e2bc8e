"""A program beside the tests ends with them, however they end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.process import NotReady, Program, until
from tests.stack.worker import ROOT

# a shell that starts another program and would outlive a polite request
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; sleep 60 & echo started $!; wait; wait"]


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").exists() else True


def started(program: Program) -> int:
    """The pid of what it started."""
    program.ready_when(lambda: "started" in program.text(), 10, "it starts")
    return int(program.text().split()[-1])


async def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    program = Program("a stubborn program", tmp_path / "log")
    program.run(STUBBORN, environment=os.environ, folder=tmp_path)
    child = started(program)

    program.stop(seconds=0.2)
    program.stop()

    assert program.exit_code is not None
    await until(lambda: not running(child), "its child to end", 5)


async def test_it_ends_when_the_tests_are_killed(tmp_path: Path) -> None:
    script = f"""if True:
        import os, signal
        from pathlib import Path
        from tests.stack.process import Program
        program = Program("it", Path({str(tmp_path / "log")!r}))
        program.run({STUBBORN!r}, environment=os.environ, folder=Path({str(tmp_path)!r}))
        program.ready_when(lambda: "started" in program.text(), 10, "it starts")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], cwd=ROOT, timeout=30)
    child = int((tmp_path / "log").read_text().split()[-1])

    await until(lambda: not running(child), "the program to end", 5)


def test_one_that_does_not_get_ready_says_so_with_its_log(tmp_path: Path) -> None:
    program = Program("a slow program", tmp_path / "log")
    program.run(["/bin/sh", "-c", "echo still thinking; sleep 60"], environment=os.environ, folder=tmp_path)

    with pytest.raises(NotReady, match=r"it is done: still not after 0.5 s(.|\n)*still thinking"):
        program.ready_when(lambda: False, 0.5, "it is done")
    program.kill()
