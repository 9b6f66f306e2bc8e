"""Lines that a person types, or that a pipe or a file holds."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import sys
import termios
import threading
from collections.abc import AsyncIterator, Callable, Generator


class Keyboard:
    """Lines from stdin, be it a terminal, a pipe or a file; blank ones are skipped.

    They are read in daemon threads: asyncio cannot read a file or use readline, and a thread of its pool would
    keep a Ctrl-C waiting for the next line. A pipe is read without Python's buffer, whose lock a thread that still
    reads would not give back when Python ends.
    """

    def __init__(self, *, prompt_on_stdout: bool) -> None:
        self._terminal = sys.stdin.isatty()
        self._readline = self._terminal and prompt_on_stdout
        self._rest = b""
        if self._readline:
            with contextlib.suppress(ImportError):
                importlib.import_module("readline")  # gives input() its editing

    async def lines(self) -> AsyncIterator[str]:
        while (line := await self._in_thread(self._read_line)) is not None:
            text = line.strip()
            if self._terminal and text.lower() == "quit":
                return
            if text:
                yield text
            if self._terminal and text.lower() == "bye":  # whatever the agent makes of it
                return

    def _read_line(self) -> str | None:
        if self._readline:
            return input("you: ")
        if self._terminal:
            print("you: ", end="", file=sys.stderr, flush=True)
        while b"\n" not in self._rest:
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                last, self._rest = self._rest, b""
                return last.decode(errors="replace") or None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    @staticmethod
    async def _in_thread(read: Callable[[], str | None]) -> str | None:
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str | None] = loop.create_future()

        def deliver(text: str | None) -> None:
            if not line.done():
                line.set_result(text)

        def work() -> None:
            text = None
            with contextlib.suppress(EOFError, OSError, UnicodeDecodeError):
                text = read()
            with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits
                loop.call_soon_threadsafe(deliver, text)

        threading.Thread(target=work, daemon=True).start()
        return await line


@contextlib.contextmanager
def terminal_restored() -> Generator[None]:
    """Leave the terminal as it was, even if a thread is still in readline, which turns the echo off."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print(file=sys.stderr)  # Ctrl-C and Ctrl-D leave the cursor behind the prompt
