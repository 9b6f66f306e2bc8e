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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from identity import SessionUser, current_user
from memory.brief import brief
from memory.capture import statement_in
from memory.categories import Category, categorise
from memory.recall import rank
from memory.store import MAX_KEY_CHARACTERS, MAX_VALUE_CHARACTERS, Memory, Profile, Store, StoreError

log = logging.getLogger("rapport.memory")

T = TypeVar("T")
Action = Literal["remembered", "recalled", "forgotten"]
Observer = Callable[[Action, Memory], None]
"""Told of what happens to one user's memories, in the acting task; must neither block nor raise."""


class MemoryOff(Exception):
    """This session keeps nothing: its identity is anonymous."""


@dataclass(slots=True)
class _OpenMemory:
    """What is held in process for one user while sessions of theirs are open."""

    sessions: int = 0
    loaded: bool = False
    memories: dict[tuple[Category, str], Memory] = field(default_factory=dict[tuple[Category, str], Memory])
    observers: list[Observer] = field(default_factory=list[Observer])

    def in_order(self) -> list[Memory]:
        return sorted(self.memories.values(), key=lambda memory: (memory.said_at, memory.category, memory.key))


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
        self._open: dict[UUID, _OpenMemory] = {}
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

    def retrieve_all(self, category: str) -> dict[str, str]:
        """All values of a category by key, oldest first."""
        return self._wait(self._retrieve_all(current_user(), category))

    async def aretrieve_all(self, category: str) -> dict[str, str]:
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

    async def open_session(self) -> None:
        """Load the user's memories into the process, for `brief`. Pair with `close_session`, also if it raises."""
        user = current_user()
        with self._lock:
            opened = self._open.setdefault(user.uuid, _OpenMemory())
            opened.sessions += 1
        if user.remembered:
            stored = await self._within(self._store_here().memories(user.uuid))
            with self._lock:
                # what was said while this was loading is newer than what was loaded
                opened.memories = {(memory.category, memory.key): memory for memory in stored} | opened.memories
                opened.loaded = True

    def observe(self, observer: Observer) -> None:
        """Tell `observer` what happens to the user's memories in this process, until their session is closed."""
        with self._lock:
            if opened := self._open.get(current_user().uuid):
                opened.observers.append(observer)

    async def close_session(self) -> None:
        """Let go of what `open_session` loaded, when the user's last session here ends."""
        user = current_user().uuid
        with self._lock:
            if opened := self._open.get(user):
                opened.sessions -= 1
                if opened.sessions <= 0:
                    del self._open[user]

    def brief(self, query: str, already_said: Collection[str] = ()) -> str:
        """What the model should know for this turn, as a block of text; never does I/O.

        `already_said` are the turns (sources) that the model sees anyway, word by word.
        """
        with self._lock:
            opened = self._open.get(current_user().uuid)
            memories = opened.in_order() if opened else []
            observers = list(opened.observers) if opened else []
        told = brief([memory for memory in memories if memory.source not in already_said], query)
        for memory in told.matched:
            for observer in observers:
                observer("recalled", memory)
        return told.text

    async def capture(self, turn: str, source: str, said_at: datetime) -> Memory | None:
        """Keep what a committed user turn states about its speaker, once per `source`; None if it states nothing."""
        user = current_user()
        statement = statement_in(turn)
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
            log.info("[MEMORY STORED] %s %s for user: %s", kept.category, kept.key, user.uuid)
            self._changed("remembered", user, kept)
        return kept

    async def _retrieve(self, user: SessionUser, category: str, key: str) -> str | None:
        found = await self._within(self._store_here().retrieve(user.uuid, Category.parse(category), key))
        return found.value if found and user.remembered else None

    async def _retrieve_all(self, user: SessionUser, category: str) -> dict[str, str]:
        wanted = Category.parse(category)
        return {memory.key: memory.value for memory in await self._memories(user) if memory.category is wanted}

    async def _memories(self, user: SessionUser) -> list[Memory]:
        with self._lock:
            opened = self._open.get(user.uuid)
            if not user.remembered or (opened and opened.loaded):
                return opened.in_order() if opened else []
        return await self._within(self._store_here().memories(user.uuid))

    async def _recall(self, user: SessionUser, query: str, limit: int) -> list[Memory]:
        return rank(await self._memories(user), query)[:limit]

    async def _forget(self, user: SessionUser, category: str, key: str) -> bool:
        _refuse_anonymous(user)
        store, parsed = self._store_here(), Category.parse(category)
        found = await self._within(store.retrieve(user.uuid, parsed, key))
        gone = found is not None and await self._within(store.forget(user.uuid, parsed, key))
        if found and gone:
            log.info("[MEMORY FORGOTTEN] %s %s for user: %s", parsed, key, user.uuid)
            self._changed("forgotten", user, found)
        return gone

    async def _forget_everything(self, user: SessionUser) -> int:
        _refuse_anonymous(user)
        count = await self._within(self._store_here().forget_everything(user.uuid))
        log.info("[MEMORY FORGOTTEN] all %d for user: %s", count, user.uuid)
        with self._lock:
            opened = self._open.get(user.uuid)
            gone = opened.in_order() if opened else []
        for memory in gone:
            self._changed("forgotten", user, memory)
        return count

    def _changed(self, action: Action, user: SessionUser, memory: Memory) -> None:
        with self._lock:
            opened = self._open.get(user.uuid)
            if opened and action == "remembered":
                opened.memories[memory.category, memory.key] = memory
            elif opened:
                opened.memories.pop((memory.category, memory.key), None)
            observers = list(opened.observers) if opened else []
        for observer in observers:
            observer(action, memory)

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
    """The text without surrounding blanks, and without what a database refuses (NUL, lone surrogates)."""
    clean = text.replace("\0", "").encode("utf-8", "ignore").decode().strip()
    if not clean:
        raise ValueError(f"the {name} is empty")
    if len(clean) > longest:
        raise ValueError(f"the {name} has {len(clean)} characters, at most {longest} are stored")
    return clean
