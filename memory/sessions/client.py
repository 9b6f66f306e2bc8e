"""A store as one event loop uses it: never waited for too long, left alone while it is dead, written to behind.

Each person has an outbox and a breaker of their own, so that nobody waits for the trouble of somebody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from memory.sessions.outbox import Breaker, Outbox
from memory.sessions.timing import Timing
from memory.stores.protocol import Store, StoreError, StoreRefused

log = logging.getLogger("rapport.memory")

P = ParamSpec("P")
T = TypeVar("T")
Measure = Callable[[str, float, bool], None]
"""Told of each call of the store: its name, the seconds it took, and whether it was answered. Must not raise."""


Method = Callable[Concatenate[Store, UUID, P], Coroutine[Any, Any, T]]
"""One of those that name their user: `Store.memories`, say."""


class StoreClient:
    """Belongs to the event loop that it is made in: async clients cannot be shared between loops."""

    def __init__(self, store: Store, deadline: float, timing: Timing, measure: Measure | None = None) -> None:
        """`deadline`: how long, in seconds, somebody may wait for the store."""
        self.deadline = deadline
        self.timing = timing
        self._store = store
        self._measure = measure
        self._people: dict[UUID, PersonalStore] = {}
        """Those for whom something waits, whom the store fails, or who asked last."""
        self._failing: dict[UUID, Breaker] = {}
        """Of those whom it failed since it answered anybody."""
        self._closed = False

    def of(self, user: UUID) -> PersonalStore:
        """The store for one person. Raises `StoreError` once this is closed."""
        if self._closed:
            raise StoreError("the store is closed here")
        if user not in self._people:
            self._people = {each: theirs for each, theirs in self._people.items() if not theirs.idle}
            self._people[user] = PersonalStore(self, user)
        return self._people[user]

    @property
    def fails_everybody(self) -> bool:
        """It is dead to two people or more, has answered nobody since, and is not to be tried yet."""
        dead = [breaker for breaker in self._failing.values() if breaker.open]
        return len(dead) > 1 and all(breaker.wait for breaker in dead)

    @property
    def waiting(self) -> int:
        """How many writes wait."""
        return sum(len(each.outbox) for each in self._people.values())

    def waiting_for(self, user: UUID) -> int:
        """How many of the user's."""
        theirs = self._people.get(user)
        return len(theirs.outbox) if theirs else 0

    async def flush(self, seconds: float) -> int:
        """Write what waits: how many writes are left after so many seconds."""
        return sum(await asyncio.gather(*(each.outbox.flush(seconds) for each in self._people.values())))

    def drop(self, user: UUID) -> None:
        """Forget what waits for the user, who wanted it deleted. Safe from any thread."""
        if theirs := self._people.get(user):
            theirs.outbox.drop()

    async def aclose(self) -> None:
        """Close the store. What still waits is lost, and logged. Safe to call twice."""
        self._closed = True
        for each in self._people.values():
            await each.outbox.aclose()
        try:
            async with asyncio.timeout(self.deadline):
                await self._store.aclose()
        except TimeoutError:
            log.warning("[MEMORY FAILED] the store could not be closed within %s s", self.deadline)

    async def call(
        self, theirs: PersonalStore, seconds: float, method: Method[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Raises `StoreError`, and after so many seconds too."""
        with theirs.breaker.call():
            try:
                answer = await self.once(theirs.user, seconds, method, *args, **kwargs)
            except StoreRefused:
                self._failing.clear()  # no, but an answer
                raise
            except (StoreError, asyncio.CancelledError):
                self._failing[theirs.user] = theirs.breaker
                raise
            self._failing.clear()
            return answer

    async def once(self, user: UUID, seconds: float, method: Method[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same past every breaker."""
        began, answered = perf_counter(), False
        try:
            async with asyncio.timeout(seconds):
                answer: T = await getattr(self._store, method.__name__)(user, *args, **kwargs)
            answered = True
            return answer
        except TimeoutError:
            raise StoreError(f"the store did not answer within {seconds} s") from None
        finally:
            if self._measure:
                self._measure(method.__name__, perf_counter() - began, answered)


class PersonalStore:
    """The store for one person: no call through it can be for somebody else."""

    def __init__(self, client: StoreClient, user: UUID) -> None:
        self.user = user
        self.deadline = client.deadline
        self.breaker = Breaker(rest=client.timing.rest)
        self.outbox = Outbox(user, self.breaker, client.timing)
        self._client = client

    @property
    def idle(self) -> bool:
        return self.outbox.idle and self.breaker.healthy

    async def ask(self, method: Method[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """One call that somebody waits for. Raises `StoreError`, at once if the store is left alone."""
        # once is enough then; but who was not failed themselves is never refused for the trouble of others
        if not self.breaker.healthy and self._client.fails_everybody:
            raise StoreError("the store is left alone for a moment: it fails everybody")
        return await self._client.call(self, self.deadline, method, *args, **kwargs)

    async def ask_in_order(self, method: Method[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, once what the person did before is written."""
        await self.settled()
        return await self.ask(method, *args, **kwargs)

    async def write(self, method: Method[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """One call from the outbox, for which nobody waits."""
        return await self._client.call(self, max(self.deadline, self._client.timing.write), method, *args, **kwargs)

    async def spare(self, method: Method[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """One call that nobody waits for and the talk goes on without: left out while the store fails the person, and
        its own failure keeps nobody from the store. Raises `StoreError`."""
        if not self.breaker.healthy:
            raise StoreError("the store is left alone for a moment")
        seconds = max(self.deadline, self._client.timing.write)
        return await self._client.once(self.user, seconds, method, *args, **kwargs)

    async def settled(self) -> None:
        """Wait until what waits is written: what the person does next must not overtake it. Raises `StoreError`."""
        if self.breaker.open and len(self.outbox):
            raise StoreError("the store fails, and what this person did before still waits for it")
        await self._in_time(self.outbox.settled())

    @asynccontextmanager
    async def quiet(self) -> AsyncGenerator[None]:
        """Nothing of the person is written behind in here. Raises `StoreError` if what is being written does not end
        in time."""
        await self._in_time(self.outbox.writing.acquire())
        try:
            yield
        finally:
            self.outbox.writing.release()

    async def _in_time(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            async with asyncio.timeout(self.deadline):
                await work
        except TimeoutError:
            raise StoreError(f"what was to be written before was not within {self.deadline} s") from None
