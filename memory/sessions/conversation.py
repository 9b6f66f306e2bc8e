"""One session's conversation in the store: found or begun, perhaps late; its turns written as they happen; ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from memory.records import MAX_TURN_CHARACTERS, MAX_VALUE_CHARACTERS, Session, Turn, storable
from memory.sessions.client import StoreClient
from memory.sessions.person import Known
from memory.sessions.session import LiveMemories, LiveSession
from memory.stores.protocol import Store, StoreError

log = logging.getLogger("rapport.memory")

Start = Callable[[Store], Coroutine[Any, Any, Session]]


class Conversation:
    """What happens in it waits in the outbox, in order and behind its start: a store that answers late gets it all.

    Nothing of it is written any more once everything of the person was forgotten.
    """

    def __init__(self, client: StoreClient, live: LiveMemories, session: LiveSession, start: Start, job: str) -> None:
        """`start` gets or creates the stored session; asking again is harmless."""
        self._client = client
        self._live = live
        self._session = session
        self._start = start
        self._job = job
        self._lapsed = False
        """The stored session is no more; the person's next turn begins another."""

    async def begin(self) -> Session:
        """What the store says to it. Raises `StoreError` if its first try fails or takes longer than the deadline;
        then it is tried on, and `LiveSession.loaded` is set when it has answered."""
        answer: asyncio.Future[Session] = asyncio.get_running_loop().create_future()

        async def begin() -> None:
            try:
                stored = await self._begin()
            except BaseException as error:
                if not answer.done():
                    answer.set_exception(error if isinstance(error, StoreError) else StoreError(type(error).__name__))
                raise
            if not answer.done():
                answer.set_result(stored)

        if not self._put("a session", begin):
            raise StoreError("too much waits for the store already")
        try:
            async with asyncio.timeout(self._client.deadline):
                return await answer
        except TimeoutError:
            raise StoreError(f"the store did not answer within {self._client.deadline} s") from None

    def append(self, turn: Turn) -> None:
        """Write a turn, or correct it if its id was written before."""
        if self._session.erased:
            return
        if self._lapsed:
            self._lapsed = False
            self._put("a session", self._begin)
        clean = replace(turn, text=storable(turn.text)[:MAX_TURN_CHARACTERS])
        self._put("a turn", lambda: self._append(clean))

    async def touch(self) -> bool:
        """Say that the session is alive. False if it is not: it was ended because nobody was heard of it for so long,
        or all that is kept of the person was erased elsewhere."""
        stored = self._session.stored
        if stored is None:
            return False
        alive = await self._client.ask(
            "touch_session", lambda store: store.touch_session(self._session.user, stored.id)
        )
        self._lapsed = self._lapsed or not alive
        return alive

    def summarise(self, summary: str) -> None:
        """Keep a short summary, for the conversation after it."""
        if clean := storable(summary)[:MAX_VALUE_CHARACTERS]:
            self._put("a summary", lambda: self._summarise(clean))

    def end(self, reason: str) -> None:
        self._put("an end", lambda: self._end(reason))

    def _put(self, what: str, write: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        return self._client.outbox.put(self._session.user, what, write)

    async def _begin(self) -> Session:
        session = self._session
        self._live.await_loading(session)
        stored = await self._client.write("start_session", self._start)
        known = await asyncio.to_thread(Known, stored.memories, stored.past)
        session.stored = stored
        self._live.loaded(session, known)
        if stored.created:
            log.info("[PROFILE CREATE] Profile created for user: %s", session.user)
        log.info("[CONVERSATION] %s for user: %s", "resumed" if stored.resumed else "new", session.user)
        return stored

    async def _append(self, turn: Turn) -> None:
        if stored := self._session.stored:
            await self._client.write(
                "append_turns", lambda store: store.append_turns(self._session.user, stored.conversation, [turn])
            )

    async def _summarise(self, summary: str) -> None:
        if stored := self._session.stored:
            await self._client.write(
                "summarise", lambda store: store.summarise(self._session.user, stored.conversation, summary)
            )

    async def _end(self, reason: str) -> None:
        if stored := self._session.stored:
            await self._client.write(
                "end_session", lambda store: store.end_session(self._session.user, stored.id, self._job, reason)
            )
