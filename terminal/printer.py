"""What the person sees, and in which stream."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys


class Failure(Exception):
    """Something failed; the text says what and what to do, to the person at the terminal."""

    def __init__(self, what: str, log: str = "") -> None:
        super().__init__(what)
        self.log = log


class Printer:
    """The conversation goes to stdout, everything about it to stderr.

    `failed` is true once an error was shown: it becomes exit status 1.
    """

    def __init__(self, *, as_json: bool, typed: bool) -> None:
        self._as_json = as_json
        self._typed = typed  # what a person types at a prompt is on the screen already
        self.failed = False

    def show(self, event: str, text: str, **more: str) -> None:
        """Show one event: user, agent, memory, link or error."""
        self.failed = self.failed or event == "error"
        if self._as_json:
            self._write(json.dumps({"event": event, "text": text, **more}, ensure_ascii=False))
        elif event == "error":
            self.hint(f"error: {text}")
        elif event == "memory":
            self._write(f"memory: {more['action']} {more['category']} — {text}")
        elif event == "link":
            self._write(f"link: connect {more['app']} at {text}")
        elif event == "agent":
            self._write(f"agent: {text}")
        elif not self._typed:
            self._write(f"you: {text}")

    def hint(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(text, file=sys.stderr, flush=True)

    def _write(self, line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            # `| head -1` has what it wanted. Without the redirection Python complains again when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            signal.raise_signal(signal.SIGTERM)
