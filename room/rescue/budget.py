"""How much a LiveKit server is asked, and about which rooms: it has other users than us."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from livekit.protocol.models import Room

from room.rescue.rules import LISTED_SECONDS

_MINUTE = 60.0
# Without a word of the server's, so long after its first refusal; twice as long after each one more, up to a minute.
_FIRST_WAIT = 5.0


class BudgetSpent(Exception):
    """Nothing more may be asked for now."""


class Budget:
    """How many calls of a LiveKit server's API are left in this minute."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.a_minute = a_minute
        self.share = 1.0
        """How much of it is ours: the rest is for other workers of the deployment."""
        self._clock = clock
        self._calls: deque[float] = deque()
        self._closed_until = 0.0
        self._wait = _FIRST_WAIT

    def left(self, share: float = 1.0) -> int:
        """How many calls, if no more than this share of the minute's are spent; 0 while the server wants to be left
        alone."""
        while self._calls and self._calls[0] <= self._clock() - _MINUTE:
            self._calls.popleft()
        if self.closed_for:
            return 0
        return max(0, int(self.a_minute * min(share, self.share)) - len(self._calls))

    @property
    def closed_for(self) -> float:
        """How many seconds the server wants to be left alone."""
        return max(0.0, self._closed_until - self._clock())

    def spend(self) -> None:
        """Count a call that is made now. Raises `BudgetSpent`."""
        if not self.left():
            raise BudgetSpent
        self._calls.append(self._clock())

    def assume(self, share: float) -> None:
        """That another worker has spent so much of this minute's."""
        self._calls.extend([self._clock()] * int(self.a_minute * share))

    def answered(self, status: int, retry_after: str | None = None) -> None:
        """Of 429, "too many requests", the server may say for how many seconds it wants no more."""
        if status != 429:
            self._wait = _FIRST_WAIT
            return
        seconds = float(retry_after) if retry_after and retry_after.isdecimal() else self._wait
        self._closed_until = self._clock() + seconds
        self._wait = min(2 * self._wait, _MINUTE)

    def counting(self) -> aiohttp.TraceConfig:
        """For a client's session: counts each of its requests, repeated ones too. One too many raises `BudgetSpent`."""

        async def start(*_: object) -> None:
            self.spend()

        async def end(_: aiohttp.ClientSession, __: SimpleNamespace, it: aiohttp.TraceRequestEndParams) -> None:
            self.answered(it.response.status, it.response.headers.get("Retry-After"))

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(start)
        trace.on_request_end.append(end)
        return trace


@dataclass(slots=True)
class _Seen:
    people: int
    publishers: int
    looked: float = -math.inf
    """When no agent was missing, by the clock of the wall."""
    in_order: bool = True
    not_before: float = 0.0
    """Until then it need not be looked into again."""


class Rounds:
    """Which rooms have to be looked into, by what one list of all rooms tells.

    An agent publishes its voice, and a list counts who publishes: where one is gone, the count falls. Where somebody
    new is, there are more people. A room of which the list tells nothing new is looked into when its turn comes.
    """

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        """By the ids of rooms."""

    def due(self, rooms: Iterable[Room], now: float) -> tuple[list[Room], list[Room]]:
        """Of the rooms with people, those that have to be looked into, and all others, that whose last look is the
        longest ago first. `now` is the time in seconds, by the clock of the wall."""
        # of a younger one nobody could tell whether its agent is still on its way
        there = [each for each in rooms if each.num_participants and not 0 <= now - each.creation_time < LISTED_SECONDS]
        self._seen = {room.sid: self._look_at(room) for room in there}
        missing = [room for room in there if not self._seen[room.sid].in_order]
        urgent = [room for room in missing if now >= self._seen[room.sid].not_before]
        quiet = [room for room in there if self._seen[room.sid].in_order]
        return urgent, sorted(quiet, key=lambda room: self._seen[room.sid].looked)

    def settle(self, room: Room, now: float) -> None:
        """No agent is missing there."""
        self._seen[room.sid] = _Seen(room.num_participants, room.num_publishers, now)

    def doubt(self, room: Room, until: float = 0.0) -> None:
        """An agent may be missing there. Before `until` nobody can tell."""
        seen = self._seen[room.sid]
        seen.in_order, seen.not_before = False, until

    def _look_at(self, room: Room) -> _Seen:
        people, publishers = room.num_participants, room.num_publishers
        if (seen := self._seen.get(room.sid)) is None:  # where somebody else speaks too, it is an agent
            return _Seen(people, publishers, in_order=publishers > people)
        in_order = seen.in_order and publishers >= seen.publishers and people <= seen.people
        return _Seen(people, publishers, seen.looked, in_order, seen.not_before)
