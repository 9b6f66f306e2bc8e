"""One person's writes that nobody waits for, kept in order until the store takes them; and when to leave it alone."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from uuid import UUID

from memory.sessions.timing import Timing
from memory.stores.protocol import StoreError, StoreRefused

log = logging.getLogger("rapport.memory")

CAPACITY = 1000
"""Writes of one person that may wait: an hour of talk, and a few megabytes."""


class Breaker:
    """Keeps somebody from waiting for a store that is dead to them.

    Closed, calls go through. After `failures` of them in a row it opens: for `rest` seconds every call fails at once,
    then one goes through as a probe. If the store answers it the breaker closes, else it stays open for as long again.
    """

    def __init__(
        self, failures: int = 3, rest: float = Timing().rest, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._rest = rest
        self._clock = clock
        self._failed = 0
        self._opens_again_at = 0.0
        """From when on a probe may go, if it is open."""
        self._probing = False

    @property
    def healthy(self) -> bool:
        return not self._failed

    @property
    def open(self) -> bool:
        return self._failed >= self._limit

    @property
    def wait(self) -> float:
        """How long, in seconds, until a call may go through; 0 if one may now."""
        return max(0.0, self._opens_again_at - self._clock()) if self.open else 0.0

    @contextmanager
    def call(self) -> Generator[None]:
        """Around one call of the store. Raises `StoreError` instead of letting it through."""
        if self.open and (self.wait or self._probing):
            raise StoreError(f"the store is left alone for a moment: it failed {self._failed} times in a row")
        probe = self._probing = self.open
        try:
            yield
        except StoreRefused:
            self._failed = 0  # no, but an answer
            raise
        except StoreError:
            self._failed += 1
            self._opens_again_at = self._clock() + self._rest
            raise
        else:
            self._failed = 0
        finally:
            if probe:
                self._probing = False

    def let_probe(self) -> None:
        """Do not wait for the next probe: somebody has no time left."""
        self._opens_again_at = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    what: str
    write: Callable[[], Awaitable[object]]


class Outbox:
    """One person's writes in one event loop. Each is tried at once, and again until it is done; the next one only then.

    A write must be idempotent and must not take for ever. It is given up only if the store refuses it for good, or it
    fails in another way than by `StoreError`. At most `capacity` may wait; over that the newest is turned away, so that
    what was taken stays taken and in order. Whatever is given up or turned away is logged as lost, without its words.
    """

    def __init__(self, user: UUID, breaker: Breaker, timing: Timing = Timing(), capacity: int = CAPACITY) -> None:  # noqa: B008 - it is frozen
        self._user = user
        self._breaker = breaker
        self._timing = timing
        self._capacity = capacity
        self._loop = asyncio.get_running_loop()
        self._items: deque[_Item] = deque()
        self._task: asyncio.Task[None] | None = None
        """Writes while anything waits; None otherwise."""
        self.writing = asyncio.Lock()
        """Held by each write: while somebody else holds it, nothing is being written."""
        self._emptied = asyncio.Event()
        self._hurry = asyncio.Event()

    def __len__(self) -> int:
        """How many wait, with the one that is being written."""
        return len(self._items)

    @property
    def idle(self) -> bool:
        return not self._items and self._task is None and not self.writing.locked()

    def put(self, what: str, write: Callable[[], Awaitable[object]]) -> bool:
        """Take a write; False if there is no room. `what` names its kind in the log."""
        if len(self._items) >= self._capacity:
            self._lost(what, f"{len(self._items)} writes wait already")
            return False
        self._items.append(_Item(what, write))
        self._emptied.clear()
        if self._task is None:
            # an empty context: a write must not depend on who was bound where the first one was put
            self._task = self._loop.create_task(self._write_all(), name="memory_outbox", context=Context())
        return True

    async def settled(self) -> None:
        """Wait until nothing waits any more."""
        while self._items:
            await self._emptied.wait()

    def drop(self) -> None:
        """Forget what waits, because the person wanted it deleted. Safe from any thread."""
        with suppress(RuntimeError):  # in a thread that has no loop
            if asyncio.get_running_loop() is self._loop:
                self._drop()
                return
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._drop)

    async def flush(self, seconds: float) -> int:
        """Write what waits, now or never: how many could not be written within `seconds`. They go on waiting."""
        self._hurry.set()
        try:
            async with asyncio.timeout(seconds):
                await self.settled()
        except TimeoutError:
            log.error("[MEMORY WAITING] %d writes could not be made within %.1f s", len(self._items), seconds)
        finally:
            self._hurry.clear()
        return len(self._items)

    async def aclose(self) -> None:
        """Give up what still waits. Safe to call twice."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        for item in self._items:
            self._lost(item.what, "the process ends")
        self._drop()

    async def _write_all(self) -> None:
        failures = 0
        try:
            while self._items:
                failures = 0 if await self._try(self._items[0]) else failures + 1
                if failures:
                    await self._pause(failures)
        finally:
            self._task = None

    async def _try(self, item: _Item) -> bool:
        """Is there nothing left to do for it?"""
        async with self.writing:
            if item not in self._items:  # dropped while somebody wanted quiet
                return True
            try:
                await item.write()
            except StoreRefused as error:
                self._lost(item.what, str(error))
            except StoreError as error:
                log.warning("[MEMORY WAITING] %d writes wait for the store: %s", len(self._items), error)
                return False
            except Exception as error:  # its text may hold what somebody said
                self._lost(item.what, type(error).__name__)
            # perhaps it dropped itself
            if self._items and self._items[0] is item:
                self._items.popleft()
            if not self._items:
                self._emptied.set()
            return True

    async def _pause(self, failures: int) -> None:
        """Longer after each failure, and not in step with other processes."""
        first, longest = self._timing.first_pause, self._timing.longest_pause
        if self._hurry.is_set():
            await asyncio.sleep(random.uniform(first / 2, first))  # noqa: S311
        else:
            pause = min(first * 2**failures, longest)
            pause = max(random.uniform(pause / 2, pause), self._breaker.wait)  # noqa: S311
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
        if self._hurry.is_set():
            self._breaker.let_probe()

    def _drop(self) -> None:
        self._items.clear()
        self._emptied.set()

    def _lost(self, what: str, why: str) -> None:
        log.error("[MEMORY LOST] %s of user %s: %s", what, self._user, why)
