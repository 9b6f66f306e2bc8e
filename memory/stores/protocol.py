"""What a store can do.

Every method names its user: no store knows who is speaking. All are idempotent, safe for many processes at once, and
raise only `StoreError`, whose text never holds what was to be stored. All times are in UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from memory.records import (
    Category,
    Changes,
    Curation,
    Memory,
    MemoryVector,
    Mention,
    Past,
    Profile,
    Rewording,
    Session,
    SessionRecord,
    Turn,
)


class StoreError(Exception):
    """The store could not do it: unreachable, misconfigured, or too slow. The text is safe to log."""


class StoreRefused(StoreError):
    """The store answered, and will never do this: what it was given breaks its rules. Trying again is in vain."""


class StoreOutdated(StoreError):
    """The store answered, and has no such thing: its schema is older than this program."""


class Store(Protocol):
    """Profiles, memories and conversations, by user."""

    async def ensure_profile(self, user: UUID, email: str | None) -> tuple[Profile, bool]:
        """The user's profile, made if it was missing; True with it for the one caller that made it. An existing
        row keeps its `is_first_login`, and gets the e-mail address only if it has none."""
        ...

    async def complete_first_login(self, user: UUID) -> bool:
        """Take the person's one first greeting: True for exactly one caller, ever."""
        ...

    # -- what they told us

    async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
        """Keep them all or none; what was kept, in their order. Makes the profile if it is missing.

        Each replaces the value under its (category, key), which goes into the past, where it held until the new one's
        `said_at`; the same value again changes nothing but when and where it was said, and `expires_at`. What was said
        before the value that holds replaces nothing, whenever it comes: it goes into the past, where it held until the
        next one that was said (unless that is the same value), and what holds is returned in its place. Of equal times
        the later call wins. What has expired is in nobody's way.

        One with a `source` is kept once: it is left out if a memory of that category and source was current or past
        before this call, so that one turn may state several things. Keys that begin with `STATEMENT_KEY` give way, see
        there; two of one time and with equal words are two, if either has a source. Of two with any other (category,
        key) the last counts. A `conversation` that is not this user's, or was erased, is left out of a memory.
        """
        ...

    async def retrieve(self, user: UUID, category: Category, key: str) -> Memory | None:
        """The memory under (category, key), unless it has expired."""
        ...

    async def memories(self, user: UUID) -> list[Memory]:
        """All that hold now, oldest first; equal times by category and key."""
        ...

    async def past(self, user: UUID) -> list[Past]:
        """All that held once and were replaced, in the order in which they ceased to hold."""
        ...

    async def forget(self, user: UUID, category: Category, key: str) -> bool:
        """Delete one memory with its past; False if there was none."""
        ...

    async def memories_since(self, user: UUID, version: int) -> Changes:
        """What changed since this version of the person's memories; with -1 all that hold. Whatever is kept, replaced
        or deleted makes a later version, which of one person are seen in their order; a vector makes none, nor does
        what comes late and only goes into the past. After an erasure versions begin anew."""
        ...

    async def uncurated(self, user: UUID, limit: int) -> list[Memory]:
        """The latest of what was said in a turn (it has a `source`), holds, and no curator has seen, at most so many:
        oldest first. A new value is news to a curator, an old one that is said again is not."""
        ...

    async def curate(self, user: UUID, curation: Curation) -> Curation:
        """Do what a curator makes of statements, all or nothing; what of it was done.

        Each statement is curated once: what follows from one that another curator has seen, that was forgotten or
        replaced meanwhile, is left out, so that doing it again does nothing. `seen` are seen from now on, and so are
        the `facts`. A fact follows from a seen statement of the same source and time, which it is kept beside; it
        replaces what is under its (category, key) as in `remember`, but nothing that was said at the same time or
        later, and brings nothing back that has ended since. What `ended` goes into the past as it is, if it is still
        there, has a source, and follows from a statement that was said then, or is a seen one itself that is set aside
        (see `Past.set_aside`). Nothing is made for somebody unknown.
        """
        ...

    async def vectors(self, user: UUID, model: str) -> list[MemoryVector]:
        """Those that a model of this name made of what holds now, oldest first. A vector says what its text says: it
        goes with its memory, and when the value is replaced. The past keeps none."""
        ...

    async def put_vectors(self, user: UUID, model: str, vectors: Sequence[MemoryVector]) -> int:
        """Keep vectors that a model of this name made, in place of another's: how many were kept. Left out is that of
        a memory that is not there any more, or was said at another time: it is of another text."""
        ...

    # -- conversations

    async def start_session(  # noqa: PLR0913 - each has a name at the call
        self, user: UUID, *, email: str | None, thread: str, job: str, room: str, resume_within: timedelta, turns: int
    ) -> Session:
        """Get or create the living session of (user, thread), and bring the job into it; makes the profile.

        The conversation is the thread's last one if something happened in it within `resume_within`, else a new one.
        `turns` is how many of its last turns are wanted. A job that asks again, whatever may be resumed, gets the
        session that it is in, and hears what it heard first.
        """
        ...

    async def append_turns(self, user: UUID, conversation: UUID, turns: Sequence[Turn]) -> int:
        """Write turns into the transcript, each `id` once (one that is written already gets the later `text` and
        `interrupted`), and note that the conversation is active. How many were new; none if it is not this user's
        conversation, or was erased."""
        ...

    async def touch_session(self, user: UUID, session: UUID) -> bool:
        """Say that the session is alive; False if it has ended or is not this user's."""
        ...

    async def end_session(self, user: UUID, session: UUID, job: str, reason: str) -> bool:
        """Take the job out of the session, which ends with its last one; True if it ended by this call."""
        ...

    async def summarise(self, user: UUID, conversation: UUID, summary: str) -> bool:
        """Keep a short summary of a conversation; False if it is not this user's, or was erased."""
        ...

    async def conversation_exists(self, user: UUID, conversation: UUID) -> bool:
        """Is anything still kept of it? False if it is not this user's, or was erased."""
        ...

    async def turn_text(self, user: UUID, conversation: UUID, turn: str) -> str | None:
        """What was said in the turn of that id, as far as the transcript still has it and it is this user's."""
        ...

    # -- what is forgotten

    async def mentions(self, user: UUID, words: Sequence[str], skip: int, limit: int) -> list[Mention]:
        """The summaries of the user's conversations, and then the turns, oldest first, in which one of these words is
        found, perhaps as a part of another; at most so many, after the first `skip`. Words are as `records.folded`
        writes them, and so is what they are looked for in."""
        ...

    async def redact(
        self,
        user: UUID,
        texts: Sequence[tuple[Mention, str]],
        memories: Sequence[Rewording],
        gone: Sequence[tuple[Category, str]],
    ) -> int:
        """Make what is kept of the user say less, all of it or nothing; how many texts and memories changed.

        Each of the `texts` becomes the other one with it, if it still is as it was found; an empty summary is none. A
        memory that says something else by now is left alone. Those under the (category, key) of `gone` go with their
        past. Nothing of it goes into the past, and no conversation becomes active by it.
        """
        ...

    # -- the person's rights

    async def export(self, user: UUID) -> dict[str, Any]:
        """Everything that is kept of the user, as JSON values: `profile` (or None), `memories`, `past`,
        `conversations`, `sessions` and `turns`, each list in an order that is always the same. Vectors are left out:
        they are nothing that was told, and are made anew from it after an import. Who has apps of their own has
        `connections` too, which no import puts back: there is no secret in an export."""
        ...

    async def import_(self, user: UUID, document: dict[str, Any]) -> None:
        """Put an export back: exporting again gives the same document. What stands there already is kept; raises
        `ValueError` for a document that is not one, or is another person's, and then changes nothing."""
        ...

    async def erase(self, user: UUID) -> dict[str, int]:
        """Delete everything of the user: how many rows went, by table (`profiles`, `memories`, `memory_history`,
        `conversations`, `sessions`, `messages`, and `connections` where there were any). What was granted by apps goes
        into the queue of what is given back to them."""
        ...

    # -- the deployment

    async def sessions(self, *, living: bool, limit: int) -> list[SessionRecord]:
        """The latest sessions of everybody, newest first; only those that have not ended, if `living`."""
        ...

    async def end_abandoned(self, unseen_since: datetime, reason: str) -> list[SessionRecord]:
        """End the sessions that nobody has touched since then; those that ended by this call."""
        ...

    async def take_lease(self, name: str, holder: str, seconds: float) -> bool:
        """Become, or stay, the one holder of a name for so long; False while somebody else is."""
        ...

    async def purge(self, turns_before: datetime) -> dict[str, int]:
        """Delete turns older than that and memories that have expired: how many rows went, by table. With its first
        turn that goes, and where nothing happened since then, a conversation loses its summary."""
        ...

    async def aclose(self) -> None:
        """Release connections. Safe to call twice."""
        ...
