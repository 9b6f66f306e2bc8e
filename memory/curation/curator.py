"""A curator is a model that is asked, beside the call, about what our rules have kept: how often, and at what cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import tzinfo
from time import monotonic
from typing import Any

from memory.curation.check import believed
from memory.curation.request import RESPONSE_FORMAT, Batch, messages
from memory.records import Curation

Ask = Callable[[list[dict[str, str]], dict[str, Any], Callable[[int], None]], Awaitable[str]]
"""Sends chat messages with a `response_format` of the OpenAI chat API, and gives the answer's text; tells the function
that it is handed how many tokens that took. May take long, and raise anything."""

TURNS_A_REQUEST = 4
"""At most one request for so many turns of the person, on average."""


@dataclass(slots=True)
class Spent:
    """What curators of one session have cost."""

    requests: int = 0
    refused: int = 0
    """Requests whose answer was not believed, or never came."""
    tokens: int = 0
    seconds: float = 0.0

    def more(self, tokens: int) -> None:
        self.tokens += tokens


class Budget:
    """How often a curator may be asked. What a session does not reach waits for the next one, in which what nobody has
    curated counts as the turns in which it was said."""

    def __init__(self) -> None:
        self._turns = self._left = self._requests = 0

    def turn(self) -> None:
        """The person has taken one."""
        self._turns += 1

    def left_over(self, turns: int) -> None:
        """So many turns of theirs no curator has seen, with those that they have taken now."""
        self._left = max(0, turns - self._turns)

    def asked(self) -> None:
        self._requests += 1

    def failed(self) -> None:
        """What was left over is so again, and is not counted twice in one session."""
        self._left = 0

    @property
    def allows(self) -> bool:
        """May one be asked now?"""
        return TURNS_A_REQUEST * (self._requests + 1) <= self._turns + self._left


class Curator:
    """One session's."""

    def __init__(self, ask: Ask, seconds: float) -> None:
        """`seconds`: how long one answer may take."""
        self.spent = Spent()
        self._ask = ask
        self._seconds = seconds

    async def curated(self, batch: Batch, zone: tzinfo | None) -> Curation:
        """What is to be done about the batch. Raises `AnswerRefused`, `TimeoutError`, and whatever a model's client may
        raise."""
        began = monotonic()
        self.spent.requests += 1
        self.spent.refused += 1  # until it is not
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._ask(messages(batch, zone), RESPONSE_FORMAT, self.spent.more)
        finally:
            self.spent.seconds += monotonic() - began
        curation = believed(answer, batch)
        self.spent.refused -= 1
        return curation
