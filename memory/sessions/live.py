"""The memories of everybody who has a session open in this process: no I/O, and nothing left when the session ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Literal
from uuid import UUID

from memory.language.frame import Frame
from memory.language.private.discretion import Discretion
from memory.language.statements import Statement
from memory.recall.redaction import Forgetting, Redaction
from memory.records import STATEMENT_KEY, Curation, Memory, Past, Session, Turn
from memory.sessions.forgetting import LateWords
from memory.sessions.person import Person

Action = Literal["remembered", "recalled", "forgotten"]
Observer = Callable[[Action, Memory], None]
"""Told of what happens to one user's memories, in the acting task, where perhaps nobody is bound; must neither block
nor raise."""

_LAST_STATEMENTS = 50
"""More do not fit into a summary."""

_Change = Callable[[Person], None] | None
"""None stands for "everything forgotten"."""


class OpenSession:
    """What `LiveMemories` knows of one open session of one user. It belongs to the event loop that loads it."""

    def __init__(self, user: UUID, *, remembered: bool) -> None:
        self.user = user
        self.remembered = remembered
        """False for an anonymous identity: nothing is stored for it."""
        self.observers: list[Observer] = []
        self.loaded = asyncio.Event()
        """Set once its memories are here, at the start or later."""
        self._stored: Session | None = None
        self.forgotten_at: float | None = None
        """When everything of the person was forgotten while it was open, in seconds since the epoch: what was said
        before it must not be told any more, and nothing of its conversation is kept."""
        self.before: Statement | None = None
        """The last thing they stated in the turn before: "no wait, it's green" is about that."""
        self.frame = Frame()
        """How their next utterance is to be taken: as their own, as part of a role play that goes on."""
        self.language_of: Callable[[str], str] = lambda _: ""
        """The ISO 639 code of what they say, "" for an unknown one."""
        self.unsettled: Turn | None = None
        """What they are saying, as long as the next turn may go on with it."""
        self.discretion = Discretion()
        """Knows what of its turns is private."""
        self.taking_back: set[asyncio.Task[Any]] = set()
        """One for each utterance that is being forgotten since the person wants it to be."""
        self.heard_last: str | None = None
        """The id of their last turn."""
        self.stated = deque[str](maxlen=_LAST_STATEMENTS)
        """What they stated, for a summary."""
        self.late = LateWords()
        self.on_redacted: list[Callable[[Redaction | None], None]] = []
        """Told, perhaps in another thread, of what must be taken out of the conversation; None stands for everything.
        Must neither block nor raise."""
        self.missed: list[_Change] | None = []
        """What changed since it was opened; None once its memories are loaded, or cannot be."""

    def settle(self) -> None:
        """What they are saying is whole, whatever comes next."""

    def redact(self, redaction: Redaction) -> None:
        """Nothing of the session tells it any more, nor what is still written of it."""
        self.late.begin(redaction)
        self.stated = deque[str](filter(None, map(redaction, self.stated)), _LAST_STATEMENTS)
        if self.before and redaction.tells(self.before.value):
            self.before = None
        if said := self.unsettled:
            left = redaction(said.text, said.id)
            self.unsettled = replace(said, text=left) if left else None
        if self._stored:  # what it began with has been told
            self._stored = replace(self._stored, memories=[], past=[], turns=[], summary=None)
        for redact in self.on_redacted:
            redact(redaction)

    @property
    def stored(self) -> Session | None:
        """What the store said when it started; None until then, and after everything was forgotten."""
        return None if self.forgotten_at else self._stored

    @property
    def conversation(self) -> UUID | None:
        return self.stored.conversation if self.stored else None


class _Present:
    """What all sessions of one user share. `loaded` is False until the first of them has its memories."""

    def __init__(self) -> None:
        self.sessions: list[OpenSession] = []
        self.person = Person()
        self.loaded = False
        self.changes = 0
        """How often anything changed: what the store told meanwhile may be older."""

    def apply(self, change: _Change) -> None:
        self.changes += 1
        if change:
            change(self.person)
        else:
            self.person = Person()


class LiveMemories:
    """Who has a session here, and what they are known to have told. Safe for jobs in threads of their own."""

    def __init__(self) -> None:
        self._people: dict[UUID, _Present] = {}
        self._lock = threading.RLock()

    # -- sessions

    def enter(self, session: OpenSession) -> None:
        with self._lock:
            self._people.setdefault(session.user, _Present()).sessions.append(session)

    def await_loading(self, session: OpenSession) -> None:
        """The user's memories are going to be read, perhaps again."""
        with self._lock:
            session.missed = session.missed or []

    def loaded(self, session: OpenSession, stored: Person) -> None:
        """Take over what the store had. What changed while it was being read is newer than what was read."""
        with self._lock:
            present = self._of(session.user)
            if session not in present.sessions:
                return
            present.person = stored
            present.loaded = True
            present.changes += 1
            for change in session.missed or []:
                present.apply(change)
            session.missed = None
        session.loaded.set()

    def leave(self, session: OpenSession) -> None:
        """The user's last session takes their memories along. Safe to call twice."""
        with self._lock:
            sessions = self._of(session.user).sessions
            if session in sessions:
                sessions.remove(session)
                if not sessions:
                    del self._people[session.user]

    def is_loaded(self, user: UUID) -> bool:
        """Did the memories of the user arrive?"""
        with self._lock:
            return self._of(user).loaded

    def sessions(self, user: UUID) -> list[OpenSession]:
        """In the order in which the user opened them here."""
        with self._lock:
            return list(self._of(user).sessions)

    # -- what is known here: only what was said since, if nothing is loaded

    @contextmanager
    def person(self, user: UUID) -> Generator[Person]:
        """For a short look, while which nothing changes; nobody of who has no session."""
        with self._lock:
            yield self._of(user).person

    def of(self, user: UUID) -> list[Memory]:
        """Oldest first."""
        with self.person(user) as person:
            return person.index.memories()

    def has_all(self, user: UUID) -> bool:
        """Are all memories of the user here? Of very many the oldest are left to the store."""
        with self._lock:
            present = self._of(user)
            return present.loaded and present.person.complete

    # -- what other processes did

    def changes(self, user: UUID) -> int:
        """Another number than before: what the store was asked meanwhile may be out of date."""
        with self._lock:
            return self._of(user).changes

    def take_over(  # noqa: PLR0913 - as its caller has them
        self,
        user: UUID,
        stored: Sequence[Memory],
        changes: int,
        *,
        waiting: bool,
        all_of_them: bool = False,
        past: Iterable[Past] = (),
    ) -> bool:
        """Take over what the store told when `changes` were counted here, and tell observers what was news; False, and
        nothing of it, if anything changed here meanwhile. The truth that was said later holds.

        `waiting`: something that was said here is not written yet. Where it is all that the store has, what it has not
        has ended there, if it is `past`, or is gone with its past, unless something waits.
        """
        with self.person(user) as person:
            if self._of(user).changes != changes:
                return False
            news = [memory for memory in stored if _is_news(memory, person, waiting=waiting)]
            lacking = _lacking(stored, person) if all_of_them and not waiting else []
            ended = {one.memory: one for one in past if one.memory in lacking}
            gone = [memory for memory in lacking if memory not in ended]
            self.put(user, *news)
            for one in ended.values():
                self.end(user, one)
            for memory in gone:
                self.take_out(user, memory)
        self.tell(user, "remembered", news)
        self.tell(user, "forgotten", gone)
        return True

    def count(self, user: UUID) -> int:
        """How many hold."""
        with self.person(user) as person:
            return len(person.index) + person.index.left_out

    # -- what happens to it

    def take(
        self, user: UUID, statements: Iterable[Statement], source: str, said_at: datetime, conversation: UUID | None
    ) -> list[Memory]:
        """Take over what of a turn's statements is news here, and return it. Nobody is told of it."""
        with self.person(user) as person:
            news = person.news(statements, source, said_at, conversation)
            self.put(user, *news)
        return news

    def put(self, user: UUID, *memories: Memory) -> None:
        for memory in memories:
            self._apply(user, partial(Person.put, memory=memory))

    def take_out(self, user: UUID, memory: Memory) -> None:
        """It and its past."""
        self._apply(user, lambda person: person.take_out(memory.category, memory.key))

    def take_out_everything(self, user: UUID) -> list[Memory]:
        """What was there. The user's sessions go on, in conversations of which nothing is kept."""
        with self.person(user) as person:
            gone = person.index.memories()
            self._apply(user, None)
            for session in self._of(user).sessions:
                session.forgotten_at, session.before, session.unsettled = time.time(), None, None
                session.stated.clear()
        for session in self.sessions(user):
            for redact in session.on_redacted:
                redact(None)
        return gone

    def curated(self, user: UUID, done: Curation) -> None:
        """Take over what a curator has done; observers hear of the facts it named."""
        with self.person(user):
            self.put(user, *done.facts)
            for past in done.ended:
                self.end(user, past)
        self.tell(user, "remembered", done.facts)

    @contextmanager
    def forgetting(self, user: UUID, redaction: Redaction) -> Generator[None]:
        """What still waits to be written says nothing of it, unless this fails."""
        sessions = self.sessions(user)
        for session in sessions:
            session.late.begin(redaction)
        try:
            yield
        except BaseException:
            for session in sessions:
                session.late.undo(redaction)
            raise

    def forget(self, user: UUID, planned: Forgetting) -> None:
        """Here too, in every session. Observers hear of the memories that go."""
        with self.person(user) as person:
            gone = [memory for memory in planned.gone if person.get(memory.category, memory.key)]
            for memory in planned.gone:
                self.take_out(user, memory)
            for one in planned.rewordings:
                self._apply(user, partial(Person.reword, memory=one.memory, words=one.words))
        for session in self.sessions(user):
            session.redact(planned.redaction)
        self.tell(user, "forgotten", gone)

    def snapshot(self, user: UUID) -> tuple[list[Memory], list[Past]]:
        """All that is known here, for a look in another thread."""
        with self.person(user) as person:
            return person.index.memories(), person.past()

    def end(self, user: UUID, past: Past) -> None:
        self._apply(user, partial(Person.end, past=past))

    def tell(self, user: UUID, action: Action, memories: Sequence[Memory]) -> None:
        observers = [observer for session in self.sessions(user) for observer in session.observers]
        for memory in memories:
            for observer in observers:
                observer(action, memory)

    def _of(self, user: UUID) -> _Present:
        """Of who has no session, one that nobody sees again."""
        return self._people.get(user) or _Present()

    def _apply(self, user: UUID, change: _Change) -> None:
        with self._lock:
            present = self._of(user)
            present.apply(change)
            for session in present.sessions:
                if session.missed is not None:
                    session.missed.append(change)


def _is_news(memory: Memory, person: Person, *, waiting: bool) -> bool:
    held = person.get(memory.category, memory.key)
    if held is None or memory.key.startswith(STATEMENT_KEY):
        # two statements that took the same key: the one that waits gets another when it is written
        return held is None or (held != memory and not waiting)
    return held != memory and held.said_at <= memory.said_at


def _lacking(stored: Iterable[Memory], person: Person) -> list[Memory]:
    names = {(memory.category, memory.key) for memory in stored}
    return [memory for memory in person.index.memories() if (memory.category, memory.key) not in names]
