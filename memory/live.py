"""The memories of everybody who has a session open in this process: no I/O, and nothing left when the session ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Literal
from uuid import UUID

from memory.categories import Category
from memory.store import Memory

Action = Literal["remembered", "recalled", "forgotten"]
Observer = Callable[[Action, Memory], None]
"""Told of what happens to one user's memories, in the acting task; must neither block nor raise."""

_Key = tuple[Category, str]
_Change = tuple[Action, Memory] | None
"""None stands for "all forgotten"."""


class LiveSession:
    """One open session of one user."""

    def __init__(self, user: UUID) -> None:
        self.user = user
        self.observers: list[Observer] = []
        self.missed: list[_Change] | None = []
        """What changed since it was opened; None once its memories are loaded, or cannot be."""


class _Person:
    """What all sessions of one user share. `loaded` is False until the first of them has its memories."""

    def __init__(self) -> None:
        self.sessions: list[LiveSession] = []
        self.memories: dict[_Key, Memory] = {}
        self.loaded = False

    def apply(self, change: _Change) -> None:
        if change is None:
            self.memories.clear()
            return
        action, memory = change
        if action == "remembered":
            self.memories[memory.category, memory.key] = memory
        else:
            self.memories.pop((memory.category, memory.key), None)


class LiveMemories:
    """Who has a session here, and what they are known to have told. Safe for jobs in threads of their own."""

    def __init__(self) -> None:
        self._people: dict[UUID, _Person] = {}
        self._lock = threading.Lock()

    def open(self, user: UUID) -> LiveSession:
        session = LiveSession(user)
        with self._lock:
            self._people.setdefault(user, _Person()).sessions.append(session)
        return session

    def loaded(self, session: LiveSession, stored: Iterable[Memory]) -> None:
        """Take over what the store had. What changed while it was being read is newer than what was read."""
        with self._lock:
            person = self._people.get(session.user)
            if person is None:
                return
            person.memories = {(memory.category, memory.key): memory for memory in stored}
            person.loaded = True
            for change in session.missed or []:
                person.apply(change)
            session.missed = None

    def close(self, session: LiveSession) -> None:
        """End it; the user's last one takes their memories along. Safe to call twice."""
        with self._lock:
            person = self._people.get(session.user)
            if person and session in person.sessions:
                person.sessions.remove(session)
                if not person.sessions:
                    del self._people[session.user]

    def of(self, user: UUID) -> list[Memory]:
        """What is known here, oldest first; only what was said since, if nothing is loaded."""
        with self._lock:
            person = self._people.get(user)
            memories = list(person.memories.values()) if person else []
        return sorted(memories, key=lambda memory: (memory.said_at, memory.category, memory.key))

    def knows(self, user: UUID) -> bool:
        """Are all memories of the user here?"""
        with self._lock:
            return user in self._people and self._people[user].loaded

    def remembered(self, user: UUID, memory: Memory) -> None:
        self._change(user, ("remembered", memory))

    def forgotten(self, user: UUID, memory: Memory) -> None:
        self._change(user, ("forgotten", memory))

    def recalled(self, user: UUID, memory: Memory) -> None:
        self._tell(user, "recalled", [memory])

    def all_forgotten(self, user: UUID) -> None:
        gone = self.of(user)
        self._change(user, None)
        self._tell(user, "forgotten", gone)

    def _change(self, user: UUID, change: _Change) -> None:
        with self._lock:
            if person := self._people.get(user):
                person.apply(change)
                for session in person.sessions:
                    if session.missed is not None:
                        session.missed.append(change)
        if change:
            self._tell(user, change[0], [change[1]])

    def _tell(self, user: UUID, action: Action, memories: Iterable[Memory]) -> None:
        with self._lock:
            person = self._people.get(user)
            observers = [observer for session in person.sessions for observer in session.observers] if person else []
        for memory in memories:
            for observer in observers:
                observer(action, memory)
