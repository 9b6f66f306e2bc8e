"""How often a server is asked, and about which rooms; and what a worker does whose server says that it is too often."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest
from livekit.agents import AgentServer
from livekit.protocol.models import Room

from room.rescue.budget import Budget, BudgetSpent, Rounds
from room.rescue.rescue import Rescue, RescueSettings
from room.rescue.rules import Rules
from tests.room.livekit import Agent, LiveKit, serving
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


@pytest.fixture
async def livekit(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveKit]:
    """Twenty rooms; their agents came a while ago."""
    it = LiveKit(20, 1, random.Random(20))  # noqa: S311
    for room in it.rooms.values():
        room.born -= 60
        room.dispatches.clear()
        room.dispatches.append((room.born, Agent(0, room.born)))
    async with serving(it, monkeypatch):
        yield it


@pytest.fixture
async def sweeping(livekit: LiveKit) -> AsyncIterator[Callable[..., None]]:
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


def lose(livekit: LiveKit, count: int) -> None:
    """The agents of so many rooms have been gone for a while."""
    for room in list(livekit.rooms.values())[:count]:
        for _, agent in room.dispatches:
            assert agent
            agent.leaves = room.born + 1


def sent(livekit: LiveKit) -> int:
    return livekit.asked()["CreateDispatch"]


async def test_rooms_in_order_are_looked_into_seldom_and_lists_come_first(
    livekit: LiveKit, sweeping: Callable[..., None]
) -> None:
    sweeping(livekit_api_budget=20)
    await until(lambda: len(livekit.calls) >= 4)
    await asyncio.sleep(0.5)  # as long as twenty-five sweeps would take
    assert livekit.calls[0][1] == "ListRooms"
    assert set(livekit.asked()) == {"ListRooms", "ListParticipants"}
    assert len(livekit.calls) <= 8


async def test_people_who_miss_an_agent_take_three_calls_each(livekit: LiveKit, sweeping: Callable[..., None]) -> None:
    lose(livekit, 7)
    sweeping(livekit_api_budget=200)
    await until(lambda: sent(livekit) == 7)
    assert livekit.asked()["ListDispatch"] == 7
    assert livekit.asked()["ListParticipants"] <= 20


async def test_what_is_too_much_for_one_minute_waits_for_the_next(
    livekit: LiveKit, sweeping: Callable[..., None]
) -> None:
    lose(livekit, 20)
    sweeping(livekit_api_budget=40)
    await until(lambda: sent(livekit))
    await asyncio.sleep(0.3)
    assert len(livekit.calls) <= 40
    assert 5 <= sent(livekit) < 20


async def test_a_server_that_has_enough_is_left_alone_and_asked_again_later(
    livekit: LiveKit, sweeping: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    lose(livekit, 1)
    livekit.refuses, livekit.retry_after = lambda: True, "1"
    sweeping()
    await until(lambda: livekit.calls)
    livekit.refuses = lambda: False
    await asyncio.sleep(0.5)
    assert len(livekit.calls) == 1
    await until(lambda: sent(livekit))
    assert len([line for line in caplog.messages if line.startswith("[SWEEP FAILED]")]) == 1


async def test_a_rescue_that_is_off_asks_nothing_and_says_why(
    livekit: LiveKit, sweeping: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="rapport.room")
    sweeping("as RESCUE says")
    await asyncio.sleep(0.1)
    assert livekit.calls == []
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


# --- ten minutes ----------------------------------------------------------------------------------------------------

ROOMS, WORKERS, BUDGET, MINUTES = 50, 3, 100, 10.0
# A server takes 21 s of it to notice that agents are gone, and up to five more to list it.
BACK_SECONDS = 45.0
# More people than a minute's budget holds, and a server that refuses a fifth of the calls.
BACK_IN_TROUBLE = 180.0


class Deployment:
    """Workers that share a lease, as their housekeeping does."""

    def __init__(self, livekit: LiveKit) -> None:
        self._livekit = livekit
        self._holder = (-1, 0.0)
        self._rescues = {number: self._start(number) for number in range(WORKERS)}

    def _start(self, number: int) -> Rescue:
        async def lease() -> bool:
            holder, until = self._holder
            if holder == number or time.monotonic() > until:
                self._holder = (number, time.monotonic() + 15)
            return self._holder[0] == number

        server = AgentServer()
        rescue = Rescue(Rules(""), RescueSettings(), lease)
        rescue.watch(server)
        server.emit("worker_registered", f"AW_{number}", None)
        return rescue

    @property
    def sweeper(self) -> int:
        return self._holder[0]

    async def kill(self, number: int) -> dict[str, float]:
        """A worker dies. How long its people had no agent that answers, in seconds."""
        killed = time.time()
        await self._rescues.pop(number).aclose()
        lost = self._livekit.kill(number)
        back: dict[str, float] = {}
        while len(back) < len(lost):
            await asyncio.sleep(0.1)
            now = time.time()
            for room in lost:
                if any(agent.worker in self._livekit.workers for agent in room.agents(now)):
                    back.setdefault(room.name, now - killed)
        took = sorted(back.values())
        return {"people": len(took), "median": took[len(took) // 2], "slowest": took[-1]}

    async def aclose(self) -> None:
        for rescue in self._rescues.values():
            await rescue.aclose()


@pytest.mark.soak
async def test_three_workers_ask_no_more_than_their_budget_for_ten_minutes_and_people_get_their_agents_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dice = random.Random(429)  # noqa: S311
    async with serving(LiveKit(ROOMS, WORKERS, dice), monkeypatch) as livekit:
        deployment = Deployment(livekit)
        began = time.monotonic()
        await asyncio.sleep(120)
        quiet = len(livekit.calls)
        first = await deployment.kill(deployment.sweeper)  # the worst of the three
        print(f"\n{quiet / 2:g} calls a minute where nothing happens; the sweeper dies: {first}")  # noqa: T201
        await asyncio.sleep(began + 300 - time.monotonic())
        livekit.refuses = lambda: dice.random() < 0.2
        second = await deployment.kill(next(iter(livekit.workers - {deployment.sweeper})))
        print(f"with 429s another one dies: {second}")  # noqa: T201
        await asyncio.sleep(began + MINUTES * 60 - time.monotonic())
        await deployment.aclose()

        now, most = time.time(), livekit.most_in_a_minute()
        sent = {name: len(room.dispatches) - 1 for name, room in livekit.rooms.items()}
        print(f"most in a minute: {most}, refused: {livekit.refused}, all: {dict(livekit.asked())}")  # noqa: T201
        assert [len(room.agents(now)) for room in livekit.rooms.values()] == [1] * ROOMS
    assert most <= BUDGET
    assert livekit.refused
    assert sum(sent.values()) == first["people"] + second["people"]  # nobody got one more
    assert first["slowest"] < BACK_SECONDS
    assert second["slowest"] < BACK_IN_TROUBLE
