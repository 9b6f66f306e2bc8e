"""The processes that a conversation needs: each has its log followed, and ends with us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Self

from terminal.printer import Failure, Printer

STOP_SECONDS = 5.0  # a worker that is asked to end says goodbye and writes what it has to; then it is killed


class Child:
    """A process that ends with us, and its log.

    It leads a process group of its own, so that the terminal's Ctrl-C reaches only us and `stop` reaches all it
    started. Its stdin is a pipe that is never written: when we die without a goodbye, it reads end of file.
    `ended` is set when it is of no more use to us; `why` then says so in words.
    """

    def __init__(self, name: str, printer: Printer, *, verbose: bool) -> None:
        self.name = name
        self.log: deque[str] = deque(maxlen=20)
        self.ended = asyncio.Event()
        self.why = ""
        self._printer = printer
        self._verbose = verbose
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self, *arguments: str, folder: Path, environment: Mapping[str, str]) -> None:
        """Run `python ARGUMENTS` in a folder."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=folder,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 24,  # bytes in a line of its log
        )
        if self._process.stdout:  # always: a pipe was asked for
            self._following = asyncio.create_task(self._follow(self._process, self._process.stdout))

    @property
    def started(self) -> bool:
        return self._process is not None

    async def stop(self) -> None:
        """End the process and all it started; returns when they are gone, after `STOP_SECONDS` at most."""
        if (process := self._process) is None:
            return
        # SIGTERM once: at a second one a console worker kills its own group (cli.py `_handle_exit`).
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._following:
            self._following.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def failure(self, otherwise: str, advice: str = "") -> Failure:
        """Why it ended, or what is the matter if it did not; what to do; how its log ends."""
        log = "\n".join(self.log)
        if missing := re.search(r"No module named '?([\w.]+)", log):
            advice = f"Python finds no module {missing[1]}: run `make talk`. {advice}"
        return Failure(f"{self.why or otherwise}. {advice}".strip(), "" if self._verbose else log)

    def notice(self, line: str) -> None:
        """Called with each line of the log."""

    def end(self, why: str) -> None:
        if not self.ended.is_set():
            self.why = why
            self.ended.set()

    async def _follow(self, process: asyncio.subprocess.Process, log: asyncio.StreamReader) -> None:
        while raw := await log.readline():
            line = re.sub(r"\x1b\[[0-9;]*m", "", raw.decode(errors="replace")).rstrip()
            self.log.append(line)
            if self._verbose:
                self._printer.hint(line)
            self.notice(line)
        self.end(f"{self.name} ended with exit code {await process.wait()}")


class OfflineVoice(Child):
    """The OpenAI-compatible server of the package `offline`, for when there is no key."""

    def __init__(self, printer: Printer, *, verbose: bool) -> None:
        super().__init__("the offline voice", printer, verbose=verbose)
        self._base_url = ""
        self._listening = asyncio.Event()

    def notice(self, line: str) -> None:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            self._base_url = json.loads(line)["base_url"]
            self._listening.set()

    async def listen(self, folder: Path, environment: Mapping[str, str], seconds: float) -> str:
        """Start it and return its base URL.

        Raises:
            Failure: it ended, or does not listen after so many seconds.
        """
        arguments = ("-m", "offline", "--port", "0", "--until-stdin-closes")
        await self.start(*arguments, folder=folder, environment=environment)
        if not await before(self.ended, self._listening.wait(), seconds):
            raise self.failure(f"the offline voice does not listen after {seconds:.0f} s", "Or set OPENAI_API_KEY.")
        return self._base_url


class Worker(Child):
    """`python -m livekit.agents console agent.py`, which connects to our port."""

    def __init__(self, printer: Printer, *, verbose: bool) -> None:
        super().__init__("the agent", printer, verbose=verbose)
        self._warned = False

    def notice(self, line: str) -> None:
        if '"job crashed"' in line:  # the worker itself stays, with nobody in it
            self.end("the agent's entrypoint failed")
        if "[MEMORY OFF]" in line and not self._warned:
            self._warned = True
            if not self._verbose:
                self._printer.hint(line[line.index("[MEMORY OFF]") :])


async def before(event: asyncio.Event, work: Coroutine[object, object, object], seconds: float | None = None) -> bool:
    """Do some work unless an event comes first, or the seconds have passed: then it is cancelled.

    True if the work was done. Raises what the work raised, unless the event explains it.
    """
    tasks = working, _ = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if event.is_set() or not working.done():
            return False
        working.result()
        return True
    finally:
        # not once: `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes with its result
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=STOP_SECONDS)
        await asyncio.gather(*tasks, return_exceptions=True)
