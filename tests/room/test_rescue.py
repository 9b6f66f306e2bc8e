"""Where an agent is missing, told from what a server says of one room; and a worker whose server does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from livekit.agents import AgentServer
from livekit.agents.types import ATTRIBUTE_AGENT_NAME, ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.protocol.agent import Job, JobState
from livekit.protocol.agent_dispatch import AgentDispatch, AgentDispatchState
from livekit.protocol.models import ParticipantInfo, ParticipantPermission

from room.dispatch import is_superfluous
from room.rescue.rescue import Rescue, RescueSettings
from room.rescue.rules import Rules
from tests.room.worker import until

NOW = 1_800_000_000.0
RULES = Rules("rapport")


def ago(seconds: float) -> int:
    return int((NOW - seconds) * 1e9)


def person(identity: str = "alice", kind: str = "STANDARD", **more: Any) -> ParticipantInfo:
    return ParticipantInfo(identity=identity, kind=kind, **more)


def agent(name: str = "rapport", **attributes: str) -> ParticipantInfo:
    return ParticipantInfo(
        identity="agent-1", kind=ParticipantInfo.AGENT, attributes={ATTRIBUTE_AGENT_NAME: name, **attributes}
    )


def dispatch(
    name: str = "AD_1", *, seconds: float = 60, job: float | None = None, of: str = "rapport", metadata: str = ""
) -> AgentDispatch:
    """Made so many seconds ago; its job, if it got one, was assigned `job` seconds ago."""
    jobs = [] if job is None else [Job(id="AJ_1", state=JobState(started_at=ago(job)))]
    state = AgentDispatchState(created_at=ago(seconds), jobs=jobs)
    return AgentDispatch(id=name, agent_name=of, metadata=metadata, state=state)


def missing(
    participants: list[ParticipantInfo],
    dispatches: list[AgentDispatch],
    rules: Rules = RULES,
    over: Collection[str] = (),
) -> list[str]:
    return [vacancy.dispatch.id for vacancy in rules.vacancies(participants, dispatches, NOW, over)]


def test_a_person_whose_dispatch_found_no_worker_misses_an_agent() -> None:
    assert missing([person()], [dispatch()]) == ["AD_1"]


def test_a_person_whose_agent_is_gone_misses_it() -> None:
    assert missing([person()], [dispatch(job=30)]) == ["AD_1"]


def test_with_an_agent_nobody_misses_one() -> None:
    assert missing([person(), agent()], [dispatch(job=30)]) == []


def test_an_agent_of_another_name_is_no_help() -> None:
    assert missing([person(), agent("transcriber")], [dispatch()]) == ["AD_1"]


def test_an_avatar_is_not_an_agent_that_talks() -> None:
    avatar = agent("", **{ATTRIBUTE_PUBLISH_ON_BEHALF: "agent-1"})
    assert missing([person(), avatar], [dispatch(of="")], Rules("")) == ["AD_1"]


def test_in_a_room_where_nobody_asked_for_us_we_are_not_missed() -> None:
    assert missing([person()], []) == []
    assert missing([person()], [dispatch(of="transcriber")]) == []


def test_a_worker_without_a_name_is_missed_where_a_dispatch_has_no_name() -> None:
    assert missing([person()], [dispatch(of="")], Rules("")) == ["AD_1"]
    assert missing([person(), agent("")], [dispatch(of="")], Rules("")) == []


def test_who_cannot_be_talked_to_misses_nobody() -> None:
    hidden = person("recorder", permission=ParticipantPermission(hidden=True))
    gone = person("bob", state=ParticipantInfo.DISCONNECTED)
    assert missing([hidden, gone, person("+49", kind="SIP"), agent("transcriber")], [dispatch()]) == []
    assert missing([], [dispatch()]) == []


@pytest.mark.parametrize(
    ("kinds", "missed"), [(("connector",), True), (("whatsapp",), True), (("twilio",), False), (("standard",), False)]
)
def test_who_comes_through_a_connector_counts_by_its_name_or_as_one(kinds: Any, missed: bool) -> None:
    caller = person("+49", kind="CONNECTOR", kind_details=[ParticipantInfo.CONNECTOR_WHATSAPP])
    assert missing([caller], [dispatch()], Rules("rapport", kinds)) == (["AD_1"] if missed else [])


@pytest.mark.parametrize("kind", ["sip", "connector"])
def test_callers_count_where_they_are_let_in(kind: Any) -> None:
    caller = person("+49", kind=kind.upper())
    assert missing([caller], [dispatch()]) == []
    assert missing([caller], [dispatch()], Rules("rapport", ("standard", kind))) == ["AD_1"]


@pytest.mark.parametrize(
    ("on_its_way", "dispatched"),
    [
        (True, dispatch(seconds=5.5)),  # perhaps assigned already: the server lists jobs late
        (False, dispatch(seconds=6.5)),
        (True, dispatch(seconds=60, job=14.5)),
        (False, dispatch(seconds=60, job=15.5)),
        (False, dispatch(seconds=-30)),  # our clock is wrong
    ],
)
def test_an_agent_on_its_way_is_not_missed_yet(on_its_way: bool, dispatched: AgentDispatch) -> None:
    assert missing([person()], [dispatched]) == ([] if on_its_way else ["AD_1"])


def test_an_older_dispatch_that_is_on_its_way_counts_too() -> None:
    assert missing([person()], [dispatch("AD_1", seconds=20, job=2), dispatch("AD_2", seconds=10)]) == []


def test_an_agent_whose_job_is_known_to_be_over_is_missed_at_once() -> None:
    just_begun = [dispatch(seconds=1), dispatch(seconds=60, job=1)]
    assert [missing([person()], [each], over=["AD_1"]) for each in just_begun] == [["AD_1"], ["AD_1"]]


def test_of_two_that_died_one_after_the_other_none_is_waited_for() -> None:
    dispatches = [dispatch("AD_1", seconds=2), dispatch("AD_2", seconds=1)]
    assert missing([person()], dispatches, over=["AD_2"]) == []
    assert missing([person()], dispatches, over=["AD_1", "AD_2"]) == ["AD_2"]


def test_the_next_agent_is_sent_as_the_newest_was() -> None:
    first, second = dispatch("AD_1", seconds=60, job=50), dispatch("AD_2", seconds=30, job=20, metadata="vip")
    assert missing([person()], [second, first]) == ["AD_2"]


@pytest.mark.parametrize("died", [1, 2, 3])
def test_after_three_agents_the_room_is_given_up(died: int) -> None:
    dispatches = [dispatch(f"AD_{i}", seconds=60 - i, job=50 - i) for i in range(died)]
    [vacancy] = RULES.vacancies([person()], dispatches, NOW)
    assert vacancy.sent == died
    assert vacancy.hopeless == (died == 3)


def test_an_agent_that_dies_before_its_job_is_listed_counts() -> None:
    dispatches = [dispatch(f"AD_{i}", seconds=3 - i) for i in range(3)]
    [vacancy] = RULES.vacancies([person()], dispatches, NOW + 4.5, over=["AD_2"])
    assert [vacancy.sent, vacancy.lost] == [1, ("AD_0", "AD_1")]
    [vacancy] = RULES.vacancies([person()], [dispatch("AD_2", seconds=1)], NOW, over=["AD_2"])
    assert vacancy.sent == 1


def test_a_dispatch_that_no_worker_took_does_not_count_as_an_agent() -> None:
    dispatches = [dispatch(f"AD_{i}", seconds=100 - i) for i in range(20)]
    [vacancy] = RULES.vacancies([person()], dispatches, NOW)
    assert not vacancy.hopeless
    assert vacancy.sent == 0


def test_lost_dispatches_are_cleared_away_but_for_the_newest() -> None:
    dispatches = [dispatch("AD_1", seconds=60, job=50), *(dispatch(f"AD_{i}", seconds=60 - i) for i in (2, 3, 4))]
    [vacancy] = RULES.vacancies([person()], dispatches, NOW)
    assert vacancy.lost == ("AD_2", "AD_3")
    assert vacancy.dispatch.id == "AD_4"


def test_one_room_misses_one_agent_whatever_the_metadata_of_its_dispatches() -> None:
    dispatches = [dispatch("AD_1", seconds=60, metadata="a"), dispatch("AD_2", seconds=50, metadata="b")]
    assert missing([person()], dispatches) == ["AD_2"]


def test_where_metadata_says_whose_each_agent_is_each_is_missed() -> None:
    rules = Rules("rapport", by_metadata=True)
    dispatches = [dispatch("AD_1", metadata="alice"), dispatch("AD_2", metadata="bob")]
    alices = agent(**rules.attributes("alice"))
    assert missing([person()], dispatches, rules) == ["AD_1", "AD_2"]
    assert missing([person(), alices], dispatches, rules) == ["AD_2"]


def test_whose_agent_it_is_cannot_be_read_in_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules("rapport", by_metadata=True)
    monkeypatch.setenv("LIVEKIT_API_SECRET", "one")
    [mark] = rules.attributes("alice@example.com").values()
    monkeypatch.setenv("LIVEKIT_API_SECRET", "another")
    assert [mark] != list(rules.attributes("alice@example.com").values())
    assert Rules("rapport").attributes("alice@example.com") == {}


# --- two agents in one room -----------------------------------------------------------------------------------------


def in_the_room(own: SimpleNamespace, *others: SimpleNamespace, fake: bool = False) -> Any:
    room = SimpleNamespace(local_participant=own, remote_participants={each.identity: each for each in others})
    return SimpleNamespace(is_fake_job=lambda: fake, room=room, job=SimpleNamespace(agent_name="rapport"))


def colleague(
    identity: str, joined: float, *, name: str = "rapport", kind: int = 4, also: Mapping[str, str] | None = None
) -> SimpleNamespace:
    attributes = {ATTRIBUTE_AGENT_NAME: name, **(also or {})}
    joined_at = datetime.fromtimestamp(joined, UTC)
    return SimpleNamespace(identity=identity, joined_at=joined_at, kind=kind, attributes=attributes)


def test_of_two_agents_the_younger_is_superfluous() -> None:
    older, younger = colleague("agent-b", 1.0), colleague("agent-a", 1.001)
    assert is_superfluous(in_the_room(younger, older))
    assert not is_superfluous(in_the_room(older, younger))
    assert not is_superfluous(in_the_room(older))


def test_of_two_that_came_in_the_same_moment_exactly_one_is() -> None:
    one, other = colleague("agent-a", 1.0), colleague("agent-b", 1.0)
    assert [is_superfluous(in_the_room(one, other)), is_superfluous(in_the_room(other, one))] == [False, True]


def test_beside_a_person_or_an_agent_of_another_kind_nobody_is() -> None:
    mine = colleague("agent-a", 2.0)
    others = [
        colleague("alice", 1.0, name="", kind=0),
        colleague("pretender", 1.0, kind=0),
        colleague("agent-t", 1.0, name="transcriber"),
        colleague("agent-v", 1.0, also={ATTRIBUTE_PUBLISH_ON_BEHALF: "agent-a"}),
    ]
    assert not is_superfluous(in_the_room(mine, *others))


def test_beside_the_agent_of_somebody_else_nobody_is() -> None:
    rules = Rules("rapport", by_metadata=True)
    alices, bobs = rules.attributes("alice"), rules.attributes("bob")
    assert not is_superfluous(in_the_room(colleague("agent-b", 2.0, also=bobs), colleague("agent-a", 1.0, also=alices)))
    assert is_superfluous(in_the_room(colleague("agent-b", 2.0, also=bobs), colleague("agent-a", 1.0, also=bobs)))


def test_in_a_console_nobody_is() -> None:
    assert not is_superfluous(in_the_room(colleague("agent-a", 2.0), colleague("agent-b", 1.0), fake=True))


# --- a server that does not answer ----------------------------------------------------------------------------------


class Moody:
    """A server in whose place anything may answer; the sweep's first question is which rooms there are."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], web.Response | None] = web.Response

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        if (answer := self.answer()) is None:
            await asyncio.sleep(60)
            raise web.HTTPGatewayTimeout
        return answer


@pytest.fixture
async def moody(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Moody]:
    it = Moody()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    for name, value in {"URL": f"ws://127.0.0.1:{port}", "API_KEY": "devkey", "API_SECRET": "secret" * 8}.items():
        monkeypatch.setenv(f"LIVEKIT_{name}", value)
    yield it
    await runner.cleanup()


@pytest.fixture
async def sweeping(moody: Moody, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Rescue]:
    """A rescue that looks fifty times a second, for a worker that has just registered."""
    caplog.set_level(logging.INFO, logger="rapport.room")
    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0.02))
    rescue.watch(server)
    server.emit("worker_registered", "AW_1", None)
    yield rescue
    await rescue.aclose()


def twirp(status: int, code: str) -> Callable[[], web.Response]:
    return lambda: web.json_response({"code": code, "msg": "no"}, status=status)


async def test_a_server_that_refuses_is_asked_again_and_the_log_says_so_once(
    moody: Moody, sweeping: Rescue, caplog: pytest.LogCaptureFixture
) -> None:
    moody.answer = twirp(401, "unauthenticated")
    await until(lambda: moody.asked >= 5)
    moody.answer = twirp(503, "unavailable")
    asked = moody.asked
    await until(lambda: moody.asked >= asked + 5)
    moody.answer = web.Response
    await until(lambda: "works again" in caplog.text)

    refusals = [each for each in caplog.messages if each.startswith("[SWEEP FAILED]")]
    assert ["unauthenticated" in refusals[0], "unavailable" in refusals[1], len(refusals)] == [True, True, 2]


async def test_a_server_that_hangs_is_given_up_and_asked_again(moody: Moody, caplog: pytest.LogCaptureFixture) -> None:
    moody.answer = lambda: None
    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0.02), api_seconds=0.1)
    rescue.watch(server)
    server.emit("worker_registered", "AW_1", None)
    try:
        await until(lambda: moody.asked >= 3)
    finally:
        await rescue.aclose()
    assert len([each for each in caplog.messages if each.startswith("[SWEEP FAILED] TimeoutError")]) == 1


async def test_a_worker_that_reconnects_does_not_sweep_twice_and_one_that_stops_does_not_sweep(moody: Moody) -> None:
    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0.02))
    rescue.watch(server)
    for _ in range(5):
        server.emit("worker_registered", "AW_1", None)
    await until(lambda: moody.asked >= 3)
    assert [task.get_name() for task in asyncio.all_tasks()].count("rescue") == 1
    await rescue.aclose()
    assert [task.get_name() for task in asyncio.all_tasks()].count("rescue") == 0


async def test_a_worker_without_the_lease_asks_nothing(moody: Moody) -> None:
    looks = 0

    async def lease() -> bool:
        nonlocal looks
        looks += 1
        return looks > 3

    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0.02), lease)
    rescue.watch(server)
    server.emit("worker_registered", "AW_1", None)
    try:
        await until(lambda: moody.asked)
    finally:
        await rescue.aclose()
    assert looks > 3


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_in_the_moment_of_an_answer_is_not_missed(moody: Moody, turns: int) -> None:
    asked, answer = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def lease() -> bool:
        asked.set()
        return await asyncio.shield(answer)

    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0.02), lease)
    rescue.watch(server)
    server.emit("worker_registered", "AW_1", None)
    await asyncio.wait_for(asked.wait(), 5)
    answer.set_result(False)
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await rescue.aclose()


async def test_a_lease_that_fails_ends_nothing(moody: Moody, caplog: pytest.LogCaptureFixture) -> None:
    async def lease() -> bool:
        if "[SWEEP FAILED]" not in caplog.text:
            raise ConnectionError("no database")
        return True

    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0.02), lease)
    rescue.watch(server)
    server.emit("worker_registered", "AW_1", None)
    try:
        await until(lambda: moody.asked)
    finally:
        await rescue.aclose()
    assert "[SWEEP FAILED] ConnectionError; it is tried again, and this is said once" in caplog.messages
    assert "no database" not in caplog.text


async def test_who_nobody_tells_whose_turn_it_is_sweeps(moody: Moody) -> None:
    async def lease() -> bool:
        await asyncio.sleep(60)
        return False

    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0.02), lease, lease_seconds=0.05)
    rescue.watch(server)
    server.emit("worker_registered", "AW_1", None)
    try:
        await until(lambda: moody.asked >= 3)
    finally:
        await rescue.aclose()


async def test_a_framework_that_does_not_tell_of_dead_jobs_leaves_the_sweep(
    moody: Moody, sweeping: Rescue, caplog: pytest.LogCaptureFixture
) -> None:
    await until(lambda: moody.asked >= 2)
    assert len([each for each in caplog.messages if each.startswith("[RESCUE OFF]")]) == 1


async def test_zero_seconds_turn_the_sweep_off(moody: Moody) -> None:
    server = AgentServer()
    rescue = Rescue(Rules("rapport"), RescueSettings(sweep_seconds=0))
    rescue.watch(server)
    server.emit("worker_registered", "AW_1", None)
    await until(lambda: rescue._livekit)
    for _ in range(100):
        await asyncio.sleep(0)
    assert moody.asked == 0
    await rescue.aclose()


def test_the_time_between_two_looks_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert RescueSettings().sweep_seconds == 2
    monkeypatch.setenv("SWEEP_SECONDS", "0.5")
    assert RescueSettings().sweep_seconds == 0.5
    monkeypatch.setenv("SWEEP_SECONDS", "")
    assert RescueSettings().sweep_seconds == 2
