"""What a call does not pay for: it is there once, in the process that all jobs are forked from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent import server
from tests.conftest import ROOT

# In a process of its own: who has such a process has one for good, with what it was told to load first.
SCRIPT = """
import multiprocessing, sys

def look(answers):
    there = [name for name in ("call.call", "memory.sessions.session", "room.participant") if name in sys.modules]
    from call.language import prepare
    from voice.session import _certificates, _vad
    answers.put((len(there), [part.cache_info().currsize for part in (_vad, _certificates, prepare)]))

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["call.preload"])
if __name__ == "__main__":
    answers = context.SimpleQueue()
    job = context.Process(target=look, args=[answers])
    job.start()
    print(answers.get())
    job.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere jobs are not forked")
def test_jobs_inherit_our_modules_and_what_is_slow_to_make(tmp_path: Path) -> None:
    assert "call.preload" in server._preload_modules  # pyright: ignore[reportPrivateUsage]
    program = tmp_path / "jobs.py"
    program.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "(3, [1, 1, 1])", done.stderr
