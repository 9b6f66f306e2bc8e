"""The memories of everybody who has a session open in this process: no I/O, and nothing left when the session ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from memory.language.statements import Statement, statements_in
from memory.recall.brief import Brief, brief
from memory.recall.vectors import Vector
from memory.records import Memory, Past, Session
from memory.sessions.person import Known

if TYPE_CHECKING:
    from memory.sessions.conversation import Conversation

Action = Literal["remembered", "recalled", "forgotten"]
Observer = Callable[[Action, Memory], None]
"""Told of what happens to one user's memories, in the acting task, where perhaps nobody is bound; must neither block
nor raise."""

_Change = tuple[Literal["put", "take out"], Memory] | None
"""None stands for "everything forgotten"."""


class LiveSession:
    """One open session of one user. It belongs to the event loop that loads it."""

    def __init__(self, user: UUID, *, remembered: bool = True) -> None:
        self.user = user
        self.remembered = remembered
        """False for an anonymous identity: nothing is stored for it."""
        self.observers: list[Observer] = []
        self.loaded = asyncio.Event()
        """Set once its memories are here, at the start or later."""
        self.talk: Conversation | None = None
        """How it is written; None for who only reads."""
        self.stored: Session | None = None
        """What the store said when it started; None until then, and after everything was forgotten."""
        self.erased = False
        """Everything of the person was forgotten while it was open: nothing of its conversation is kept any more."""
        self.forgotten_at: float | None = None
        """When that was, in seconds since the epoch: what was said before it must not be told any more."""
        self.missed: list[_Change] | None = []
        """What changed since it was opened; None once its memories are loaded, or cannot be."""

    @property
    def conversation(self) -> UUID | None:
        return self.stored.conversation if self.stored else None


class _Person:
    """What all sessions of one user share. `loaded` is False until the first of them has its memories."""

    def __init__(self) -> None:
        self.sessions: list[LiveSession] = []
        self.known = Known()
        self.loaded = False
        self.before: Statement | None = None
        """The last thing they stated in the turn before: "no wait, it's green" is about that."""

    def apply(self, change: _Change) -> None:
        if change is None:
            self.known, self.before = Known(), None
            return
        action, memory = change
        if action == "put":
            self.known.put(memory)
        else:
            self.known.take_out(memory.category, memory.key)


class LiveMemories:
    """Who has a session here, and what they are known to have told. Safe for jobs in threads of their own."""

    def __init__(self) -> None:
        self._people: dict[UUID, _Person] = {}
        self._lock = threading.Lock()

    # -- sessions

    def open(self, user: UUID, *, remembered: bool = True) -> LiveSession:
        session = LiveSession(user, remembered=remembered)
        with self._lock:
            self._people.setdefault(user, _Person()).sessions.append(session)
        return session

    def await_loading(self, session: LiveSession) -> None:
        """The user's memories are going to be read, perhaps again."""
        with self._lock:
            session.missed = session.missed or []

    def loaded(self, session: LiveSession, stored: Known) -> None:
        """Take over what the store had. What changed while it was being read is newer than what was read."""
        with self._lock:
            person = self._people.get(session.user)
            if person is None or session not in person.sessions:
                return
            person.known = stored
            person.loaded = True
            for change in session.missed or []:
                person.apply(change)
            session.missed = None
        session.loaded.set()

    def close(self, session: LiveSession) -> None:
        """End it; the user's last one takes their memories along. Safe to call twice."""
        with self._lock:
            person = self._people.get(session.user)
            if person and session in person.sessions:
                person.sessions.remove(session)
                if not person.sessions:
                    del self._people[session.user]

    def is_loaded(self, user: UUID) -> bool:
        """Did the memories of the user arrive?"""
        with self._lock:
            return user in self._people and self._people[user].loaded

    def latest(self, user: UUID) -> LiveSession | None:
        """The session that the user opened last here."""
        with self._lock:
            return self._people[user].sessions[-1] if user in self._people else None

    # -- what is known here: only what was said since, if nothing is loaded

    def of(self, user: UUID) -> list[Memory]:
        """Oldest first."""
        with self._known(user) as known:
            return known.index.memories()

    def has_all(self, user: UUID) -> bool:
        """Are all memories of the user here? Of very many the oldest are left to the store."""
        with self._known(user) as known:
            return self._people[user].loaded and known.complete if user in self._people else False

    def past(self, user: UUID) -> list[Past]:
        """In the order in which it passed."""
        with self._known(user) as known:
            return known.past()

    def search(self, user: UUID, query: str, limit: int, vector: Vector | None = None) -> list[Memory]:
        """Best first."""
        with self._known(user) as known:
            return known.index.search(query, limit, vector=vector)

    def brief(self, user: UUID, query: str, already_said: Collection[str], vector: Vector | None = None) -> Brief:
        with self._known(user) as known:
            return brief(known.index, query, past=known.past(), already_said=already_said, vector=vector)

    def without_vector(self, user: UUID, limit: int) -> list[Memory]:
        """The newest first."""
        with self._known(user) as known:
            return known.index.without_vector(limit)

    def put_vectors(self, user: UUID, memories: Iterable[Memory], vectors: Vector) -> None:
        """Of those that are still known as they were. Raises `ValueError` if they do not fit the others."""
        with self._known(user) as known:
            known.index.put_vectors(memories, vectors)

    def look_through(self, user: UUID, memory: Memory) -> None:
        with self._known(user) as known:
            known.look_through(memory)

    # -- what happens to it

    def statements_in(self, user: UUID, turn: str) -> tuple[list[Statement], Statement | None]:
        """What a turn states, given the last thing that was stated in the turn before; and that."""
        with self._lock:
            person = self._people.get(user) or _Person()
            before = person.before
            statements = statements_in(turn, before)
            person.before = statements[-1] if statements else None
        return statements, before

    def take(self, user: UUID, find_news: Callable[[Known], list[Memory]]) -> list[Memory]:
        """Take over what is news here, and return it. Nobody is told of it."""
        with self._known(user) as known:
            news = find_news(known)
            for memory in news:
                self._apply(user, ("put", memory))
        return news

    def put(self, user: UUID, memory: Memory) -> None:
        with self._lock:
            self._apply(user, ("put", memory))

    def take_out(self, user: UUID, memory: Memory) -> None:
        """It and its past."""
        with self._lock:
            self._apply(user, ("take out", memory))

    def take_out_everything(self, user: UUID) -> list[Memory]:
        """What was there. The user's sessions go on, in conversations of which nothing is kept."""
        with self._known(user) as known:
            gone = known.index.memories()
            self._apply(user, None)
            for session in self._people[user].sessions if user in self._people else []:
                session.stored, session.erased, session.forgotten_at = None, True, time.time()
        return gone

    def tell(self, user: UUID, action: Action, memories: Iterable[Memory]) -> None:
        with self._lock:
            person = self._people.get(user)
            observers = [observer for session in person.sessions for observer in session.observers] if person else []
        for memory in memories:
            for observer in observers:
                observer(action, memory)

    def _apply(self, user: UUID, change: _Change) -> None:
        if person := self._people.get(user):
            person.apply(change)
            for session in person.sessions:
                if session.missed is not None:
                    session.missed.append(change)

    @contextmanager
    def _known(self, user: UUID) -> Generator[Known]:
        with self._lock:
            person = self._people.get(user)
            yield person.known if person else Known()
