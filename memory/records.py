"""What is remembered of a person, as records; how much of each is kept; what databases take of a text.

All times are in UTC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

MAX_KEY_CHARACTERS = 200
MAX_VALUE_CHARACTERS = 4000
MAX_TURN_CHARACTERS = 16_000
MAX_THREAD_CHARACTERS = 512
_LONGEST = {"key": MAX_KEY_CHARACTERS, "value": MAX_VALUE_CHARACTERS, "thread": MAX_THREAD_CHARACTERS}

STATEMENT_KEY = "user_input_"
"""Keys that begin so are statements that nobody named. One never replaces another: a taken number gives way to the
next free one."""


def statement_key(said_at: datetime) -> str:
    """The key of what was stated then."""
    return f"{STATEMENT_KEY}{int(said_at.timestamp() * 1000)}"


def next_statement_key(key: str) -> str:
    """The key with the number at its end one higher: two statements of one millisecond are two memories."""
    return re.sub(r"\d*$", lambda digits: str(int(digits[0] or 0) + 1), key, count=1)


class CategoryError(ValueError):
    """No such category; the message lists the known ones."""


class Category(StrEnum):
    FACT = "FACT"
    GOAL = "GOAL"
    INTEREST = "INTEREST"
    PREFERENCE = "PREFERENCE"
    OPINION = "OPINION"
    EXPERIENCE = "EXPERIENCE"
    PLAN = "PLAN"
    RELATIONSHIP = "RELATIONSHIP"
    # Kept from the earlier system: stored on request, never guessed from what somebody says.
    CAMPAIGNS = "CAMPAIGNS"
    LORE = "LORE"
    PRESENTATION = "PRESENTATION"

    @classmethod
    def parse(cls, name: str) -> Category:
        """The category of that name, in any case. Raises `CategoryError`."""
        try:
            return cls(name.strip().upper())
        except ValueError:
            raise CategoryError(f"unknown category {name!r}: use one of {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True)
class Profile:
    """One person's row, as the `profiles` table holds it."""

    id: UUID
    email: str | None
    is_first_login: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """One thing a person told us, as it holds now.

    `source` is the turn it came from and `conversation` where that was, if it came from one; after `expires_at` it is
    as if it had never been told.
    """

    category: Category
    key: str
    value: str
    said_at: datetime
    source: str | None = None
    conversation: UUID | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What held until it was replaced: `memory` was true from its `said_at` until `until`."""

    memory: Memory
    until: datetime

    @property
    def set_aside(self) -> bool:
        """It held for no time at all: nobody is told that it ever did, but it is kept, and can be had back."""
        return self.until == self.memory.said_at


@dataclass(frozen=True, slots=True)
class Curation:
    """What a curator makes of statements, as it is to be done, or as it was done.

    `seen` are the statements that were read: no curator reads them again. `facts` are what these state under names,
    each with the source and the time of its statement. `ended` are earlier memories that held until one of these was
    said, and those of these that are set aside.
    """

    seen: Sequence[Memory]
    facts: Sequence[Memory] = ()
    ended: Sequence[Past] = ()


@dataclass(frozen=True, slots=True)
class MemoryVector:
    """What a model makes of the text of the memory under (category, key), as it was said then: one signed byte for each
    number, of the largest one's 127ths."""

    category: Category
    key: str
    said_at: datetime
    data: bytes


@dataclass(frozen=True, slots=True)
class Changes:
    """What of a person's memories changed since a `version`, oldest first; the version now; and the `count` of all that
    hold, which tells of what was forgotten. Of equal versions nothing has changed."""

    version: int
    count: int
    memories: list[Memory]


@dataclass(frozen=True, slots=True)
class Turn:
    """One committed turn of a conversation. `id` is the framework's item id; `text` is what was said, or what of the
    agent's words was heard before somebody interrupted it."""

    id: str
    role: Literal["user", "assistant"]
    text: str
    said_at: datetime
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Rewording:
    """Wherever `memory` stands as it is, now or in the past, it says these `words` from then on; with none it goes."""

    memory: Memory
    words: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A text that is kept of a conversation: that of the turn of that id, or its summary."""

    conversation: UUID
    turn: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """What a job gets when it starts: the session it is in, and what is known of the person.

    A conversation is one person's on one thread; at most one session of it lives at a time, and several jobs (two
    devices, a job that died and its successor) may be in it. `turns` are the last of a resumed conversation, oldest
    first; `summary` is that of the person's conversation before, where this one is new.
    """

    id: UUID
    conversation: UUID
    resumed: bool
    profile: Profile
    created: bool
    memories: list[Memory] = field(default_factory=list[Memory])
    past: list[Past] = field(default_factory=list[Past])
    turns: list[Turn] = field(default_factory=list[Turn])
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session as operators see it. `seen_at` is when one of its jobs last said that it is alive."""

    id: UUID
    user: UUID
    thread: str
    room: str
    jobs: tuple[str, ...]
    started_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    end_reason: str | None


def log_name(memory: Memory) -> str:
    """When it was said: its key may be made of the person's words ("allergy_penicillin")."""
    return statement_key(memory.said_at)


def checked(name: Literal["key", "value", "thread"], text: str) -> str:
    """The text as it can be stored. Raises `ValueError` for one that is empty or too long."""
    clean, longest = storable(text), _LONGEST[name]
    if not clean:
        raise ValueError(f"the {name} is empty")
    if len(clean) > longest:
        raise ValueError(f"the {name} has {len(clean)} characters, at most {longest} are stored")
    return clean


def storable(text: str) -> str:
    """The text without blanks around it, and without what databases refuse (NUL, lone surrogates)."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode().strip()


def folded(text: str) -> str:
    """The text as stores search it: in lower case, in parts where letters have some, and without accents."""
    return re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text)).lower()
