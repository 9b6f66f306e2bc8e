"""How often a server is asked, and about which rooms; and what a worker does whose server says that it is too often."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from google.protobuf.message import Message
from livekit.agents import AgentServer
from livekit.agents.types import ATTRIBUTE_AGENT_NAME
from livekit.protocol.agent_dispatch import (
    AgentDispatch,
    AgentDispatchState,
    CreateAgentDispatchRequest,
    ListAgentDispatchRequest,
    ListAgentDispatchResponse,
)
from livekit.protocol.models import ParticipantInfo, Room
from livekit.protocol.room import ListParticipantsRequest, ListParticipantsResponse, ListRoomsResponse

from room.budget import Budget, BudgetSpent, Rounds
from room.rescue import Rescue, RescueSettings
from room.rules import Rules
from tests.room.worker import until

NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def spent(budget: Budget) -> int:
    """How many calls it lets through in this moment."""
    for count in range(1_000):
        try:
            budget.spend()
        except BudgetSpent:
            return count
    raise AssertionError("there is no end to it")


def test_no_minute_has_more_calls_than_the_budget_wherever_it_begins() -> None:
    clock = Clock()
    budget = Budget(20, clock)
    made: list[float] = []
    for tenth in range(3000):
        clock.time = tenth / 10
        while budget.left():
            budget.spend()
            made.append(clock.time)
    assert max(sum(start <= each < start + 60 for each in made) for start in made) == 20
    assert len(made) == 100  # and nothing is left unused


def test_of_a_share_less_is_left_and_nothing_where_more_is_spent() -> None:
    budget = Budget(100, Clock())
    for _ in range(45):
        budget.spend()
    assert [budget.left(share) for share in (1.0, 0.9, 0.4)] == [55, 45, 0]
    budget.share = 0.1
    assert budget.left() == 0


def test_what_another_worker_has_spent_counts_for_a_minute() -> None:
    clock = Clock()
    budget = Budget(100, clock)
    budget.assume(0.3)
    assert budget.left() == 70
    clock.time = 60.0
    assert budget.left() == 100


@pytest.mark.parametrize(("said", "seconds"), [("17", 17.0), (None, 5.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 5.0)])
def test_a_server_that_wants_no_more_is_left_alone_as_long_as_it_says(said: str | None, seconds: float) -> None:
    clock = Clock()
    budget = Budget(100, clock)
    budget.answered(429, said)
    clock.time = seconds - 0.1
    assert spent(budget) == 0
    clock.time = seconds
    assert budget.left() == 100


def test_who_is_refused_again_and_again_waits_twice_as_long_each_time_up_to_a_minute() -> None:
    clock = Clock()
    budget = Budget(100, clock)
    waits: list[float] = []
    for _ in range(6):
        budget.answered(429)
        began = clock.time
        while not budget.left():
            clock.time += 1
        waits.append(clock.time - began)
    assert waits == [5, 10, 20, 40, 60, 60]
    budget.answered(200)
    budget.answered(429)
    clock.time += 5
    assert budget.left()


# --- which rooms ----------------------------------------------------------------------------------------------------


def room(sid: str = "RM_1", people: int = 1, publishers: int = 2, *, age: float = 60) -> Room:
    """By default somebody with a microphone, and an agent."""
    made = int(NOW - age)
    return Room(sid=sid, name=sid.lower(), num_participants=people, num_publishers=publishers, creation_time=made)


def due(rounds: Rounds, *rooms: Room, now: float = NOW) -> tuple[list[str], list[str]]:
    urgent, quiet = rounds.due(rooms, now)
    return [each.sid for each in urgent], [each.sid for each in quiet]


@pytest.mark.parametrize(
    ("there", "urgent", "quiet"),
    [
        (room(), [], ["RM_1"]),
        (room(publishers=1), ["RM_1"], []),
        (room(publishers=0), ["RM_1"], []),
        (room(people=0, publishers=0), [], []),
        (room(publishers=0, age=5), [], []),  # its agent may be on its way
        (room(publishers=0, age=-30), ["RM_1"], []),  # our clock is wrong
    ],
)
def test_a_room_that_nobody_has_looked_into(there: Room, urgent: list[str], quiet: list[str]) -> None:
    assert due(Rounds(), there) == (urgent, quiet)


@pytest.mark.parametrize(
    ("people", "publishers", "urgent"),
    [(1, 1, True), (2, 2, True), (1, 2, False), (1, 3, False), (0, 0, False)],
)
def test_a_room_in_which_somebody_stopped_publishing_or_came_is_looked_into_again(
    people: int, publishers: int, urgent: bool
) -> None:
    rounds = Rounds()
    due(rounds, room())
    rounds.settle(room(), NOW)
    assert due(rounds, room(people=people, publishers=publishers))[0] == (["RM_1"] if urgent else [])


def test_what_has_changed_is_news_until_somebody_has_looked() -> None:
    rounds = Rounds()
    for publishers in (2, 1, 2, 2):
        urgent, _ = due(rounds, room(publishers=publishers))
    assert urgent == ["RM_1"]
    rounds.settle(room(), NOW)
    assert due(rounds, room())[0] == []


def test_of_the_others_that_comes_first_whose_last_look_is_longest_ago() -> None:
    rounds = Rounds()
    rooms = [room("RM_1"), room("RM_2"), room("RM_3")]
    due(rounds, *rooms)
    rounds.settle(rooms[0], NOW)
    rounds.settle(rooms[2], NOW - 10)
    assert due(rounds, *rooms)[1] == ["RM_2", "RM_3", "RM_1"]


def test_a_room_for_which_an_agent_was_sent_is_left_alone_for_a_while() -> None:
    rounds = Rounds()
    due(rounds, room(publishers=0))
    rounds.doubt(room(), until=NOW + 6)
    assert due(rounds, room(publishers=0), now=NOW + 5) == ([], [])
    assert due(rounds, room(publishers=0), now=NOW + 6) == (["RM_1"], [])


# --- a deployment ---------------------------------------------------------------------------------------------------


class Cloud:
    """A LiveKit server's API, as far as a sweep asks it, with its rooms, and a limit of its own."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.order: list[str] = []
        self.rooms: dict[str, bool] = {}
        """Whether its agent is there."""
        self.refuses: Callable[[], str | None] = lambda: None
        """How long one has to wait, where one asks too much."""

    async def handle(self, request: web.Request) -> web.Response:
        method, body = request.path.rsplit("/", 1)[1], await request.read()
        self.asked[method] += 1
        self.order.append(method)
        if (seconds := self.refuses()) is not None:
            return web.Response(status=429, text="too many requests", headers={"Retry-After": seconds})
        answers: dict[str, Callable[[bytes], Message]] = {
            "ListRooms": self._all_rooms,
            "ListParticipants": self._participants,
            "ListDispatch": self._dispatches,
            "CreateDispatch": self._send,
        }
        answer = answers[method](body)
        return web.Response(body=answer.SerializeToString(), content_type="application/protobuf")

    def _all_rooms(self, _: bytes) -> Message:
        rooms = [
            Room(sid=f"RM_{name}", name=name, num_participants=1, num_publishers=1 + served)
            for name, served in self.rooms.items()
        ]
        return ListRoomsResponse(rooms=rooms)

    def _participants(self, body: bytes) -> Message:
        there = [ParticipantInfo(identity="alice")]
        if self.rooms[ListParticipantsRequest.FromString(body).room]:
            there.append(ParticipantInfo(kind=ParticipantInfo.AGENT, attributes={ATTRIBUTE_AGENT_NAME: ""}))
        return ListParticipantsResponse(participants=there)

    def _dispatches(self, body: bytes) -> Message:
        name = ListAgentDispatchRequest.FromString(body).room
        lost = AgentDispatch(id=f"AD_{name}", agent_name="", room=name, state=AgentDispatchState(created_at=1))
        return ListAgentDispatchResponse(agent_dispatches=[lost])

    def _send(self, body: bytes) -> Message:
        self.rooms[CreateAgentDispatchRequest.FromString(body).room] = True
        return AgentDispatch()


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    it = Cloud()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    for name, value in {"URL": address, "API_KEY": "devkey", "API_SECRET": "secret" * 8}.items():
        monkeypatch.setenv(f"LIVEKIT_{name}", value)
    yield it
    await runner.cleanup()


@pytest.fixture
async def sweeping(cloud: Cloud) -> AsyncIterator[Callable[..., None]]:
    """Start a worker that would look fifty times a second."""
    rescues: list[Rescue] = []

    def start(off: str | None = None, **settings: int) -> None:
        server = AgentServer()
        rescues.append(Rescue(Rules(""), RescueSettings(sweep_seconds=0.02, **settings)))
        rescues[-1].watch(server, off)
        server.emit("worker_registered", "AW_1", None)

    yield start
    for each in rescues:
        await each.aclose()


async def test_rooms_in_order_are_looked_into_seldom_and_lists_come_first(
    cloud: Cloud, sweeping: Callable[..., None]
) -> None:
    cloud.rooms = {f"room{i}": True for i in range(50)}
    sweeping(livekit_api_budget=20)
    await until(lambda: cloud.asked.total() == 8)
    await asyncio.sleep(0.5)  # as long as twenty-five sweeps would take
    assert cloud.order[0] == "ListRooms"
    assert set(cloud.asked) == {"ListRooms", "ListParticipants"}
    assert cloud.asked.total() <= 10


async def test_people_who_miss_an_agent_take_three_calls_each(cloud: Cloud, sweeping: Callable[..., None]) -> None:
    cloud.rooms = {f"room{i}": i >= 7 for i in range(20)}
    sweeping(livekit_api_budget=100)
    await until(lambda: all(cloud.rooms.values()))
    assert [cloud.asked[each] for each in ("ListDispatch", "CreateDispatch")] == [7, 7]
    assert cloud.asked.total() <= 60


async def test_what_is_too_much_for_one_minute_waits_for_the_next(cloud: Cloud, sweeping: Callable[..., None]) -> None:
    cloud.rooms = {f"room{i}": False for i in range(50)}
    sweeping(livekit_api_budget=40)
    await until(lambda: cloud.asked["CreateDispatch"] >= 1)
    await asyncio.sleep(0.3)
    assert cloud.asked.total() <= 40
    assert not all(cloud.rooms.values())


async def test_a_server_that_has_enough_is_left_alone_and_asked_again_later(
    cloud: Cloud, sweeping: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    cloud.rooms = {"room": False}
    cloud.refuses = lambda: "1"
    sweeping()
    await until(cloud.asked.total)
    cloud.refuses = lambda: None
    await asyncio.sleep(0.5)
    assert cloud.asked.total() == 1
    await until(lambda: cloud.rooms["room"])
    assert len([line for line in caplog.messages if line.startswith("[SWEEP FAILED]")]) == 1


async def test_a_rescue_that_is_off_asks_nothing_and_says_why(
    cloud: Cloud, sweeping: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="rapport.room")
    sweeping("as RESCUE says")
    await asyncio.sleep(0.1)
    assert cloud.asked.total() == 0
    assert "[RESCUE OFF] agents are not put back by us: as RESCUE says" in caplog.messages


@pytest.mark.parametrize(
    ("rescue", "url", "hosted", "off"),
    [
        ("auto", "wss://us.livekit.cloud", False, True),
        ("auto", "wss://livekit.example.com", False, False),
        ("auto", "wss://livekit.example.com", True, True),
        ("on", "wss://us.livekit.cloud", True, False),
        ("off", "wss://livekit.example.com", False, True),
    ],
)
def test_where_the_platform_sends_agents_anew_we_do_not(
    monkeypatch: pytest.MonkeyPatch, rescue: str, url: str, hosted: bool, off: bool
) -> None:
    monkeypatch.delenv("LIVEKIT_REMOTE_EOT_URL", raising=False)
    if hosted:
        monkeypatch.setenv("LIVEKIT_REMOTE_EOT_URL", "https://eot.example")
    monkeypatch.setenv("RESCUE", rescue)
    assert bool(RescueSettings().why_off(url)) is off
