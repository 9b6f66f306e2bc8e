"""Something is forgotten for good: in the store, in what still waits to be written, and in every open session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from memory.recall.redaction import Forgetting, Redaction
from memory.records import Memory, Mention, Past, Turn
from memory.stores.protocol import Store, StoreOutdated

log = logging.getLogger("rapport.memory")

Ask = Callable[..., Coroutine[Any, Any, Any]]
"""Asks the store for one of its methods, for one person: `PersonalStore.ask`, say."""

_AT_ONCE = 500
"""Texts that one call finds or changes: in all there may be a life's worth of them."""


async def forget_stored(ask: Ask, planned: Forgetting) -> None:
    """Take it out of all that is kept; the memories go last, so that what fails in between can be asked for again.
    Raises `StoreError`. In a database that is older than this only the memories go, and a line in the log says so."""
    names = [(memory.category, memory.key) for memory in planned.gone]
    try:
        await redact_texts(ask, planned.redaction)
        await ask(Store.redact, [], planned.rewordings, names)
    except StoreOutdated as error:
        log.error("[MEMORY FAILED] what was forgotten stays in the transcript: %s", error)
        for name in names:
            await ask(Store.forget, *name)


async def redact_texts(ask: Ask, redaction: Redaction) -> None:
    """Take it out of turns and summaries. Raises `StoreError`."""
    changes: list[tuple[Mention, str]] = []
    skip, found = 0, [None] * _AT_ONCE
    while len(found) == _AT_ONCE:
        found = await ask(Store.mentions, redaction.needles, skip, _AT_ONCE)
        skip += len(found)
        changes += await asyncio.to_thread(_changes, found, redaction)  # some 0.1 ms for each
    for at in range(0, len(changes), _AT_ONCE):
        await ask(Store.redact, changes[at : at + _AT_ONCE], [], [])


def _changes(found: Sequence[Mention], redaction: Redaction) -> list[tuple[Mention, str]]:
    left = ((mention, redaction(mention.text, mention.turn)) for mention in found)
    return [(mention, text) for mention, text in left if text != mention.text]


def forgotten(known: Sequence[Memory], stored: Sequence[Memory], past: Sequence[Past]) -> list[Memory]:
    """Which of those that are known here somebody has forgotten elsewhere. What was ended is in the `past`."""
    names = {(memory.category, memory.key) for memory in (*stored, *(one.memory for one in past))}
    return [memory for memory in known if (memory.category, memory.key) not in names]


@dataclass
class _Late:
    redaction: Redaction
    at: datetime
    heard_again: datetime | None = None
    """When the person spoke next: what they and the agent say from then on is new."""

    def concerns(self, turn: Turn) -> bool:
        if turn.said_at <= self.at:
            return True
        return turn.role == "assistant" and (self.heard_again is None or turn.said_at < self.heard_again)


class LateWords:
    """What still comes of forgotten things in one session: a turn that waits to be written, an answer that is being
    spoken."""

    def __init__(self) -> None:
        self._all: list[_Late] = []

    def begin(self, redaction: Redaction) -> None:
        """From now on nothing that was said before says it any more."""
        if all(late.redaction is not redaction for late in self._all):
            self._all = [*self._all, _Late(redaction, datetime.now(UTC))]

    def undo(self, redaction: Redaction) -> None:
        """It could not be forgotten."""
        self._all = [late for late in self._all if late.redaction is not redaction]

    def heard(self, turn: Turn) -> None:
        for late in self._all:
            if turn.role == "user" and turn.said_at > late.at and late.heard_again is None:
                late.heard_again = turn.said_at

    def left_of(self, turn: Turn) -> Turn:
        for late in self._all:
            if late.concerns(turn):
                turn = replace(turn, text=late.redaction(turn.text, turn.id))
        return turn

    def left_of_summary(self, text: str) -> str:
        for late in self._all:
            if late.heard_again is None:
                text = late.redaction(text)
        return text

    def left_of_memories(self, memories: Sequence[Memory]) -> list[Memory]:
        """Those that say nothing of it, or were said since."""
        return [
            memory
            for memory in memories
            if not any(memory.said_at <= late.at and late.redaction.tells(memory.value) for late in self._all)
        ]
