"""A store as one event loop uses it: never waited for too long, left alone while it is dead, written to behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter
from typing import Any, Protocol, TypeVar
from uuid import UUID

from memory.sessions.outbox import Breaker, Outbox
from memory.stores.protocol import Store, StoreError

T = TypeVar("T")
Measure = Callable[[str, float, bool], None]
"""Told of each call of the store: its name, the seconds it took, and whether it was answered. Must not raise."""


class Ask(Protocol):
    """How a call of the store is made: with what patience."""

    def __call__(self, name: str, call: Callable[[Store], Coroutine[Any, Any, T]], /) -> Coroutine[Any, Any, T]: ...


# How long one try of a write may take that nobody waits for. A store that needs seconds is still a store.
PATIENCE_SECONDS = 10.0


class StoreClient:
    """Belongs to the event loop that it is made in: async clients cannot be shared between loops."""

    def __init__(self, store: Store, deadline: float, measure: Measure | None = None) -> None:
        """`deadline`: how long, in seconds, somebody may wait for the store."""
        self.deadline = deadline
        self._store = store
        self._measure = measure
        self._breaker = Breaker()
        self.outbox = Outbox(self._breaker)

    async def ask(self, name: str, call: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """One call that somebody waits for. Raises `StoreError`, at once if the store is left alone."""
        return await self._ask(name, call, self.deadline)

    async def write(self, name: str, call: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """One call from the outbox, for which nobody waits."""
        return await self._ask(name, call, max(self.deadline, PATIENCE_SECONDS))

    async def settled(self, user: UUID) -> None:
        """Wait until what waits for the user is written: what they do next must not overtake it. Raises
        `StoreError`."""
        if self._breaker.open and self.outbox.holds(user):
            raise StoreError("the store fails, and what this person did before still waits for it")
        await self._in_time(self.outbox.settled(user))

    @asynccontextmanager
    async def quiet(self) -> AsyncGenerator[None]:
        """Nothing is written behind in here. Raises `StoreError` if what is being written does not end in time."""
        async with AsyncExitStack() as stack:
            await self._in_time(stack.enter_async_context(self.outbox.quiet()))
            yield

    async def aclose(self) -> None:
        """Close the store. What still waits is lost, and logged."""
        await self.outbox.aclose()
        await self._store.aclose()

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self.deadline):
                return await work
        except TimeoutError:
            raise StoreError(f"what was to be written before was not within {self.deadline} s") from None

    async def _ask(self, name: str, call: Callable[[Store], Coroutine[Any, Any, T]], seconds: float) -> T:
        with self._breaker.call():
            began, answered = perf_counter(), False
            try:
                async with asyncio.timeout(seconds):
                    answer = await call(self._store)
                answered = True
                return answer
            except TimeoutError:
                raise StoreError(f"the store did not answer within {seconds} s") from None
            finally:
                if self._measure:
                    self._measure(name, perf_counter() - began, answered)
