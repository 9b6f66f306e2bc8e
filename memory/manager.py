"""Where memories meet the user of the running session.

`MemoryManager` is what agents, tools and scripts call. It asks "who?" once per call, in the caller's own context, and
hands the answer down: nothing below it guesses. For every user with an open session it keeps their memories in
process, so that recall in the middle of a turn costs no I/O.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from identity import SessionUser, current_user, printable
from memory.brief import brief
from memory.capture import statement_in
from memory.categories import Category, categorise
from memory.live import LiveMemories, LiveSession
from memory.recall import rank
from memory.store import MAX_KEY_CHARACTERS, MAX_VALUE_CHARACTERS, Memory, Profile, Store, StoreError

log = logging.getLogger("rapport.memory")

T = TypeVar("T")


class MemoryOff(Exception):
    """This session keeps nothing: its identity is anonymous."""


class MemoryManager:
    """Memories of whoever the calling code works for. Methods with an `a` are awaitable twins.

    Every method raises `NoSessionUser` or `WrongSessionUser` (see `identity.current_user`), and `StoreError` when the
    store fails or takes longer than `deadline` seconds. Writing in an anonymous session raises `MemoryOff`; reading
    there finds nothing.

    The synchronous methods are for scripts and REPLs. They work inside a running event loop too, but block it, and
    say so in the log.
    """

    def __init__(self, open_store: Callable[[], Store], deadline: float) -> None:
        """`open_store` makes a store for the running event loop (async clients cannot be shared between loops);
        `deadline` is in seconds."""
        self._open_store = open_store
        self._deadline = deadline
        self._stores: WeakKeyDictionary[asyncio.AbstractEventLoop, Store] = WeakKeyDictionary()
        self._live = LiveMemories()
        # Jobs of a thread-executor worker share this object from loops of their own.
        self._lock = threading.Lock()
        self._background = _BackgroundLoop()

    # -- the public surface, in pairs

    def store(self, category: str, key: str, value: str) -> Memory:
        """Keep `value` under (category, key), replacing what was there. Raises `CategoryError` for an unknown
        category and `ValueError` for an empty or oversized key or value."""
        return self._wait(self._store(current_user(), category, key, value))

    async def astore(self, category: str, key: str, value: str) -> Memory:
        return await self._store(current_user(), category, key, value)

    def retrieve(self, category: str, key: str) -> str | None:
        """The value under (category, key), or None."""
        return self._wait(self._retrieve(current_user(), category, key))

    async def aretrieve(self, category: str, key: str) -> str | None:
        return await self._retrieve(current_user(), category, key)

    def retrieve_all(self, category: str | None = None) -> dict[str, str]:
        """All values of a category by key, oldest first; of all categories without one (of equal keys the later)."""
        return self._wait(self._retrieve_all(current_user(), category))

    async def aretrieve_all(self, category: str | None = None) -> dict[str, str]:
        return await self._retrieve_all(current_user(), category)

    def forget(self, category: str, key: str) -> bool:
        """Delete one memory; False if there was none."""
        return self._wait(self._forget(current_user(), category, key))

    async def aforget(self, category: str, key: str) -> bool:
        return await self._forget(current_user(), category, key)

    def recall(self, query: str, limit: int = 8) -> list[Memory]:
        """The memories that match the query best, at most `limit`, best first."""
        return self._wait(self._recall(current_user(), query, limit))

    async def arecall(self, query: str, limit: int = 8) -> list[Memory]:
        return await self._recall(current_user(), query, limit)

    def memories(self) -> list[Memory]:
        """Everything that is remembered, oldest first."""
        return self._wait(self._memories(current_user()))

    async def amemories(self) -> list[Memory]:
        return await self._memories(current_user())

    def forget_everything(self) -> int:
        """Delete all memories, and return how many there were."""
        return self._wait(self._forget_everything(current_user()))

    async def aforget_everything(self) -> int:
        return await self._forget_everything(current_user())

    # -- the session's side

    async def ensure_profile(self, user: UUID, email: str | None = None) -> Profile:
        """Make sure the user has a profile row, and return it."""
        profile, created = await self._within(self._store_here().ensure_profile(user, email))
        if created:
            log.info("[PROFILE CREATE] Profile created for user: %s", user)
        return profile

    async def complete_first_login(self) -> bool:
        """Take the person's one first greeting: True exactly once per person."""
        return await self._within(self._store_here().complete_first_login(current_user().uuid))

    def open_session(self) -> LiveSession:
        """Begin to keep the user's memories in the process, for `brief`. Pair with `close_session`."""
        return self._live.open(current_user().uuid)

    async def load(self, session: LiveSession) -> None:
        """Bring the memories of an open session into the process."""
        user = current_user()
        try:
            stored = await self._within(self._store_here().memories(user.uuid)) if user.remembered else []
        except BaseException:
            session.missed = None
            raise
        self._live.loaded(session, stored)

    def close_session(self, session: LiveSession) -> None:
        """Let go of what is kept for it. Safe to call twice, and anywhere."""
        self._live.close(session)

    def brief(self, query: str, already_said: Collection[str] = ()) -> str:
        """What the model should know for this turn, as a block of text; never does I/O.

        `already_said` are the turns (sources) that the model sees anyway, word by word.
        """
        user = current_user().uuid
        told = brief([memory for memory in self._live.of(user) if memory.source not in already_said], query)
        for memory in told.matched:
            self._live.recalled(user, memory)
        return told.text

    async def capture(self, turn: str, source: str, said_at: datetime) -> Memory | None:
        """Keep what a committed user turn states about its speaker, once per `source`; None if it states nothing."""
        user = current_user()
        statement = statement_in(storable(turn))
        if statement is None or not user.remembered:
            return None
        category = categorise(statement)
        key = f"user_input_{int(said_at.timestamp() * 1000)}"
        log.info("[MEMORY CATEGORIZATION] %s -> %s", key, category)
        return await self._remember(user, Memory(category, key, statement, said_at, source))

    async def aclose(self) -> None:
        """Close the running event loop's store."""
        if store := self._stores.pop(asyncio.get_running_loop(), None):
            await store.aclose()

    # -- one implementation for both twins; the user is an argument from here on

    async def _store(self, user: SessionUser, category: str, key: str, value: str) -> Memory:
        memory = Memory(
            Category.parse(category),
            _checked("key", key, MAX_KEY_CHARACTERS),
            _checked("value", value, MAX_VALUE_CHARACTERS),
            datetime.now(UTC),
        )
        return await self._remember(user, memory) or memory

    async def _remember(self, user: SessionUser, memory: Memory) -> Memory | None:
        _refuse_anonymous(user)
        kept = await self._within(self._store_here().remember(user.uuid, memory))
        if kept:
            log.info("[MEMORY STORED] %s %s for user: %s", kept.category, printable(kept.key), user.uuid)
            self._live.remembered(user.uuid, kept)
        return kept

    async def _retrieve(self, user: SessionUser, category: str, key: str) -> str | None:
        found = await self._within(self._store_here().retrieve(user.uuid, Category.parse(category), storable(key)))
        return found.value if found and user.remembered else None

    async def _retrieve_all(self, user: SessionUser, category: str | None) -> dict[str, str]:
        wanted = list(Category) if category is None else [Category.parse(category)]
        return {memory.key: memory.value for memory in await self._memories(user) if memory.category in wanted}

    async def _memories(self, user: SessionUser) -> list[Memory]:
        if not user.remembered or self._live.knows(user.uuid):
            return self._live.of(user.uuid)
        return await self._within(self._store_here().memories(user.uuid))

    async def _recall(self, user: SessionUser, query: str, limit: int) -> list[Memory]:
        return rank(await self._memories(user), query)[:limit]

    async def _forget(self, user: SessionUser, category: str, key: str) -> bool:
        _refuse_anonymous(user)
        store, parsed, key = self._store_here(), Category.parse(category), storable(key)
        found = await self._within(store.retrieve(user.uuid, parsed, key))
        gone = found is not None and await self._within(store.forget(user.uuid, parsed, key))
        if found and gone:
            log.info("[MEMORY FORGOTTEN] %s %s for user: %s", parsed, printable(key), user.uuid)
            self._live.forgotten(user.uuid, found)
        return gone

    async def _forget_everything(self, user: SessionUser) -> int:
        _refuse_anonymous(user)
        count = await self._within(self._store_here().forget_everything(user.uuid))
        log.info("[MEMORY FORGOTTEN] all %d for user: %s", count, user.uuid)
        self._live.all_forgotten(user.uuid)
        return count

    def _store_here(self) -> Store:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._stores:
                self._stores[loop] = self._open_store()
            return self._stores[loop]

    async def _within(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                return await work
        except TimeoutError:
            raise StoreError(f"the store did not answer within {self._deadline} s") from None

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            log.warning("a synchronous memory call blocks the event loop: await its twin with an `a` in front")
        return self._background.run(work)


class _BackgroundLoop:
    """An event loop in a daemon thread, started by the first synchronous call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="rapport-memory", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _refuse_anonymous(user: SessionUser) -> None:
    if not user.remembered:
        raise MemoryOff("this identity is anonymous (ANONYMOUS_IDENTITIES): nothing is stored in its session")


def _checked(name: str, text: str, longest: int) -> str:
    clean = storable(text)
    if not clean:
        raise ValueError(f"the {name} is empty")
    if len(clean) > longest:
        raise ValueError(f"the {name} has {len(clean)} characters, at most {longest} are stored")
    return clean


def storable(text: str) -> str:
    """The text without blanks around it, and without what databases refuse (NUL, lone surrogates)."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode().strip()
