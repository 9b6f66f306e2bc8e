"""A program beside the tests: it writes to a file, is waited for with a deadline, and leaves nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 10.0
"""How long a program may take to end by itself before it is killed."""


class NotReady(AssertionError):
    """A program ended or did not get ready; the text says which and how its log ends."""


class Program:
    """One program at a time, in a process group of its own, its output in `log`.

    Everything blocks, so that a fixture of any scope and a plain script can use it. Stopping twice is harmless. When
    we die without stopping it, a shell that reads from a pipe of ours notices, and kills the group.
    """

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the program; also the id of its process group. Raises `NotReady` before the start."""
        if self._process is None:
            raise NotReady(f"{self.name} was not started")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and before it was started."""
        return self._process.poll() if self._process else None

    def run(self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> None:
        """Start it. What it writes is appended to the log."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                arguments,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watch = subprocess.Popen(
            ["/bin/sh", "-c", f"cat >/dev/null; kill -s KILL -- -{self._process.pid}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ready_when(self, ready: Callable[[], object], seconds: float, what: str) -> None:
        """Block until `ready()` holds. Raises `NotReady` when the program ends or the seconds are over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code is not None:
                raise self.failure(f"ended with {self.exit_code} before {what}")
            if time.monotonic() > deadline:
                raise self.failure(f"{what}: still not after {seconds:g} s")
            time.sleep(0.05)

    def stop(self, seconds: float = STOP_SECONDS) -> int | None:
        """Ask it to end (SIGTERM), then kill whatever is left of its group. Returns its exit code."""
        if (process := self._process) is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        self.kill()
        return process.returncode

    def kill(self) -> None:
        """End the whole group at once, without a goodbye."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if (watch := self._watch) and watch.stdin:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(watch.pid, signal.SIGKILL)  # its `cat` too
            watch.wait()
            watch.stdin.close()
            self._watch = None

    def failure(self, what: str) -> NotReady:
        """An exception that carries the end of the log."""
        return NotReady(f"{self.name} {what}\n--- the end of {self.log}\n{self.tail()}")

    def text(self) -> str:
        """The whole log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 40) -> str:
        return "\n".join(line[:300] for line in self.text().splitlines()[-lines:])


async def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Wait for something that another process does. Raises `AssertionError` when the seconds are over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still waiting after {seconds:g} s: {what}")
        await asyncio.sleep(0.05)
