"""An event loop whose time passes only while nothing is to be done: whatever a program waits for comes at once, and a
busy machine is late for nothing."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from typing import Any
from unittest import mock


class _Selector(selectors.DefaultSelector):
    """Never waits for a time: it lets it pass. For threads it does wait."""

    def __init__(self, loop: QuickLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout == 0:
            return super().select(0)
        if self._loop.threads or timeout is None:
            return super().select(None)
        if events := super().select(0):
            return events
        self._loop.now += max(0.0, timeout)
        return []


class QuickLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 0.0
        self.threads = 0
        """What runs in threads takes no time."""
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> Any:
        running = super().run_in_executor(executor, func, *args)
        self.threads += 1
        running.add_done_callback(self._done)
        return running

    def _done(self, _: object) -> None:
        self.threads -= 1


def run(main: Any) -> Any:
    """`asyncio.run` by a clock of its own, which `time` tells as well."""
    loop = QuickLoop()
    began = time.time()
    clocks = {"time": lambda: began + loop.now, "monotonic": loop.time, "perf_counter": loop.time}
    with ExitStack() as patches, asyncio.Runner(loop_factory=lambda: loop) as runner:
        for name, tell in clocks.items():
            patches.enter_context(mock.patch.object(time, name, tell))
        return runner.run(main)
