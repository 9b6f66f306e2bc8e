"""What a LiveKit server's API tells of its rooms, where each has one person and should have one agent.

As late as a real one: it lists rooms as they were up to five seconds ago, jobs 3.4 s after they began and for ever, and
agents of a dead worker for 21 s. It counts what it is asked, and may refuse.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from google.protobuf.message import Message
from livekit.agents.types import ATTRIBUTE_AGENT_NAME
from livekit.protocol.agent import Job, JobState
from livekit.protocol.agent_dispatch import (
    AgentDispatch,
    AgentDispatchState,
    CreateAgentDispatchRequest,
    ListAgentDispatchRequest,
    ListAgentDispatchResponse,
)
from livekit.protocol.models import ParticipantInfo, Room
from livekit.protocol.room import ListParticipantsRequest, ListParticipantsResponse, ListRoomsResponse

_LIST_SECONDS = 5.0
_JOB_LISTED_SECONDS = 3.4
_GHOST_SECONDS = 21.0
_JOIN_SECONDS = (0.5, 3.0)


@dataclass
class Agent:
    worker: int
    joins: float
    leaves: float = float("inf")

    def is_there(self, now: float) -> bool:
        return self.joins <= now < self.leaves


@dataclass
class Kitchen:
    """A room."""

    name: str
    born: float = field(default_factory=time.time)
    dispatches: list[tuple[float, Agent | None]] = field(default_factory=list[tuple[float, Agent | None]])
    """When each was made, and the agent that came of it."""

    def agents(self, now: float) -> list[Agent]:
        return [agent for _, agent in self.dispatches if agent and agent.is_there(now)]

    def dispatch(self, worker: int | None, joins_after: float) -> None:
        now = time.time()
        self.dispatches.append((now, None if worker is None else Agent(worker, now + joins_after)))


class LiveKit:
    """`workers` are those that live, by number; each new agent is one of theirs."""

    def __init__(self, rooms: int, workers: int, dice: random.Random) -> None:
        self.calls: list[tuple[float, str]] = []
        """When, in seconds of `time.time()`, and what was asked."""
        self.refused = 0
        self.refuses: Callable[[], bool] = lambda: False
        self.retry_after = "3"
        self.rooms = {f"kitchen{number}": Kitchen(f"kitchen{number}") for number in range(rooms)}
        self.workers = set(range(workers))
        self._dice = dice
        self._list: list[Room] = []
        self._listed = 0.0
        for number, room in enumerate(self.rooms.values()):
            room.dispatch(number % workers if workers else None, dice.uniform(*_JOIN_SECONDS))

    def asked(self) -> Counter[str]:
        return Counter(what for _, what in self.calls)

    def most_in_a_minute(self) -> int:
        times = [at for at, _ in self.calls]
        return max((sum(start <= at < start + 60 for at in times) for start in times), default=0)

    def kill(self, worker: int) -> list[Kitchen]:
        """A worker dies. The rooms of its agents."""
        self.workers.discard(worker)
        now, lost = time.time(), list[Kitchen]()
        for room in self.rooms.values():
            for agent in room.agents(now):
                if agent.worker == worker:
                    agent.leaves = now + _GHOST_SECONDS
                    lost.append(room)
        return lost

    async def handle(self, request: web.Request) -> web.Response:
        method, body = request.path.rsplit("/", 1)[1], await request.read()
        self.calls.append((time.time(), method))
        if self.refuses():
            self.refused += 1
            return web.Response(status=429, text="too many requests", headers={"Retry-After": self.retry_after})
        answers: dict[str, Callable[[bytes], Message]] = {
            "ListRooms": self._all_rooms,
            "ListParticipants": self._participants,
            "ListDispatch": self._dispatches,
            "CreateDispatch": self._send,
            "DeleteDispatch": lambda _: AgentDispatch(),
        }
        return web.Response(body=answers[method](body).SerializeToString(), content_type="application/protobuf")

    def _all_rooms(self, _: bytes) -> Message:
        now = time.time()
        if now - self._listed >= _LIST_SECONDS:
            self._listed = now
            self._list = [
                Room(
                    sid=f"RM_{room.name}",
                    name=room.name,
                    creation_time=int(room.born),
                    num_participants=1,
                    num_publishers=1 + len(room.agents(now)),
                )
                for room in self.rooms.values()
            ]
        return ListRoomsResponse(rooms=self._list)

    def _participants(self, body: bytes) -> Message:
        room = self.rooms[ListParticipantsRequest.FromString(body).room]
        agents = [
            ParticipantInfo(kind=ParticipantInfo.AGENT, attributes={ATTRIBUTE_AGENT_NAME: ""})
            for _ in room.agents(time.time())
        ]
        return ListParticipantsResponse(participants=[ParticipantInfo(identity="alice"), *agents])

    def _dispatches(self, body: bytes) -> Message:
        room, now = self.rooms[ListAgentDispatchRequest.FromString(body).room], time.time()
        listed: list[AgentDispatch] = []
        for number, (made, agent) in enumerate(room.dispatches):
            begun = agent and now - made > _JOB_LISTED_SECONDS
            jobs = [Job(id=f"AJ_{number}", state=JobState(started_at=int(made * 1e9)))] if begun else []
            state = AgentDispatchState(created_at=int(made * 1e9), jobs=jobs)
            listed.append(AgentDispatch(id=f"AD_{room.name}_{number}", room=room.name, state=state))
        return ListAgentDispatchResponse(agent_dispatches=listed)

    def _send(self, body: bytes) -> Message:
        worker = self._dice.choice(sorted(self.workers)) if self.workers else None
        room = self.rooms[CreateAgentDispatchRequest.FromString(body).room]
        room.dispatch(worker, self._dice.uniform(*_JOIN_SECONDS))
        return AgentDispatch()


@asynccontextmanager
async def serving(it: LiveKit, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveKit]:
    """As the server that the environment names."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    for name, value in {"URL": address, "API_KEY": "devkey", "API_SECRET": "secret" * 8}.items():
        monkeypatch.setenv(f"LIVEKIT_{name}", value)
    try:
        yield it
    finally:
        await runner.cleanup()
