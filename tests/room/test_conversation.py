"""One conversation, not one per message or job: taken up again, written down, and ended for a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from livekit.agents import get_job_context

from call.assistant import prompts
from identity import livekit_identity_to_uuid
from memory.manager import MemoryManager
from memory.records import Session
from memory.settings import MemorySettings
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from room.dispatch import leave
from room.participant import RoomSettings
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.worker import Worker, until, working

ALICE, BOB = "alice@example.com", "bob@example.com"

Set = Callable[..., None]


@pytest.fixture
def settings(product: Product, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Change the worker's settings of rooms and memory."""

    def change(room: dict[str, Any] | None = None, memory: dict[str, Any] | None = None) -> None:
        product.set(
            room=RoomSettings.model_validate(room or {}),
            memory=MemorySettings.model_validate(memory or {}),
        )

    monkeypatch.setattr("call.job.leave", partial(leave, seconds=0.1))  # there is no server to ask
    return change


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which thread the dispatch of a room names, by the room's name."""
    named: dict[str, str] = {}
    monkeypatch.setattr("call.acquaintance.thread_in", lambda metadata: named.get(get_job_context().job.room.name))
    return named


def asked_last(product: Product, room: EdgeRoom) -> bool:
    requests = product.requests(room)
    return bool(requests) and "still there" in requests[-1].instructions


async def job(worker: Worker, product: Product, room: EdgeRoom, person: str, *words: str) -> None:
    """All of a call."""
    await product.call(worker, room, person, *words)
    await worker.idle()


async def test_who_comes_back_to_their_thread_goes_on_where_they_stopped(
    product: Product, server: Edge, threads: dict[str, str]
) -> None:
    first, second = server.room("monday"), server.room("monday again")
    threads.update({first.name: "trip", second.name: "trip"})
    async with working(product.server) as worker:
        await job(worker, product, first, ALICE, "I want to see Porto.", "What shall I pack?")
        await job(worker, product, second, ALICE)
    [greeting] = product.requests(second)
    assert prompts.RESUMED_GREETING in greeting.instructions
    assert prompts.FIRST_GREETING not in greeting.everything
    assert greeting.told[-4:] == [
        ("user", "I want to see Porto."),
        ("assistant", "You said I want to see Porto."),
        ("user", "What shall I pack?"),
        ("assistant", "You said What shall I pack?"),
    ]
    assert greeting.instructions.count(product.services.settings.character.instructions) == 1
    assert product.endings(ALICE) == ["left", "left"]


async def test_another_thread_is_another_conversation_that_knows_what_the_last_was_about(
    product: Product, server: Edge, threads: dict[str, str]
) -> None:
    first, second = server.room("tuesday"), server.room("tuesday again")
    threads.update({first.name: "trip", second.name: "work"})
    async with working(product.server) as worker:
        await job(worker, product, first, ALICE, "I want to see Porto.")
        await job(worker, product, second, ALICE)
    [greeting] = product.requests(second)
    assert greeting.told == []
    assert prompts.RETURN_GREETING in greeting.instructions
    [summary] = [
        item.text_content or "" for item in greeting.chat_ctx.messages() if "<earlier" in (item.text_content or "")
    ]
    assert "I want to see Porto." in summary


async def test_another_person_on_a_thread_of_the_same_name_finds_nothing_of_it(
    product: Product, server: Edge, threads: dict[str, str]
) -> None:
    first, second = server.room("wednesday"), server.room("wednesday again")
    threads.update({first.name: "trip", second.name: "trip"})
    async with working(product.server) as worker:
        await job(worker, product, first, ALICE, "I want to see Porto.")
        await job(worker, product, second, BOB, "I want to see Rome.")
    assert all("Porto" not in request.everything for request in product.requests(second))
    assert [text for role, text in product.transcript(BOB) if role == "user"] == ["I want to see Rome."]


async def test_a_conversation_that_is_too_long_ago_is_not_taken_up_again(
    product: Product, server: Edge, threads: dict[str, str], settings: Set
) -> None:
    settings(memory={"resume_window": 0})
    first, second = server.room("thursday"), server.room("thursday again")
    threads.update({first.name: "trip", second.name: "trip"})
    async with working(product.server) as worker:
        await job(worker, product, first, ALICE, "I want to see Porto.")
        await job(worker, product, second, ALICE)
    [greeting] = product.requests(second)
    assert greeting.told == []
    assert prompts.RETURN_GREETING in greeting.instructions


async def test_every_committed_turn_is_written_once_as_it_happens(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "Good morning.")
        await until(lambda: len(product.transcript(ALICE)) == 3, "the turns to be written")
        await product.say(room, ALICE, "I love tea")
        await until(lambda: len(product.transcript(ALICE)) == 5, "the turns to be written")
        room.close()
        await worker.idle()
    assert product.transcript(ALICE) == [
        ("assistant", "You said"),
        ("user", "Good morning."),
        ("assistant", "You said Good morning."),
        ("user", "I love tea"),
        ("assistant", "You said I love tea"),
    ]


async def test_nothing_said_is_kept_where_that_is_wanted(product: Product, room: EdgeRoom, settings: Set) -> None:
    settings(memory={"transcript_retention_days": 0})
    async with working(product.server) as worker:
        await job(worker, product, room, ALICE, "I live in Oslo.")
    assert product.transcript(ALICE) == []
    assert product.memories(ALICE) == ["I live in Oslo."]


async def test_a_silent_person_is_asked_once_and_then_the_call_ends(
    product: Product, room: EdgeRoom, settings: Set, log: pytest.LogCaptureFixture
) -> None:
    settings(room={"idle_timeout": 0.5})
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await worker.idle()  # by itself
    asked = [request.instructions for request in product.requests(room)]
    assert [("still there" in each, prompts.GOODBYES["idle"] in each) for each in asked] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert room.closed
    assert product.endings(ALICE) == ["idle"]
    [report] = [r.getMessage() for r in log.records if r.getMessage().startswith("[SESSION REPORT]")]
    assert json.loads(report.removeprefix("[SESSION REPORT] "))["ended"] == "idle"


async def test_who_answers_when_asked_goes_on(product: Product, room: EdgeRoom, settings: Set) -> None:
    settings(room={"idle_timeout": 1.0})
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        for _ in range(2):
            await until(lambda: asked_last(product, room), "the question")
            await product.answered(room)
            await product.chat(room, ALICE, "Yes.")
        assert not room.closed
        room.close()
        await worker.idle()
    assert product.endings(ALICE) == ["left"]


async def test_a_call_lasts_as_long_as_a_call_may(product: Product, room: EdgeRoom, settings: Set) -> None:
    settings(room={"max_call_length": 0.5})
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await worker.idle()
    assert prompts.GOODBYES["too long"] in product.requests(room)[-1].instructions
    assert product.endings(ALICE) == ["too long"]


async def test_a_worker_that_stops_says_so(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
    assert product.endings(ALICE) == ["stopped"]


async def test_a_store_that_answers_late_is_known_from_then_on(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(SqliteStore):
        async def start_session(self, *args: Any, **kwargs: Any) -> Session:
            if not late["is over"]:
                raise StoreError("not yet")
            return await super().start_session(*args, **kwargs)

    late = {"is over": False}
    product.remember_with(MemoryManager(lambda: Late(product.file), deadline=0.5))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        late["is over"] = True
        await until(lambda: product.memories(ALICE) == ["I live in Oslo."], "what was said to be stored", 20)
        await product.chat(room, ALICE, "Where do I live?")
        room.close()
        await worker.idle()
    first, last = product.requests(room)[0], product.requests(room)[-1]
    assert "Your memory does not answer" in first.instructions
    assert "Your memory does not answer" not in last.instructions
    assert [text for role, text in product.transcript(ALICE) if role == "user"] == [
        "I live in Oslo.",
        "Where do I live?",
    ]
    assert product.profiles() == [str(livekit_identity_to_uuid(ALICE))]


# -- where the person is


def is_told(request: Request, zone: str) -> bool:
    """Does it hold the present hour of the zone, or that of a moment ago?"""
    now = datetime.now(ZoneInfo(zone))
    return any(f"{at:%A, %d %B %Y, %H:%M}." in request.everything for at in (now, now - timedelta(minutes=1)))


async def test_the_hour_is_that_of_the_person_as_they_show_and_tell_it(product: Product, room: EdgeRoom) -> None:
    def mind(request: Request) -> str | Call:
        if request.tool_has_answered or not request.words.startswith("Why"):
            return f"You said {request.words}"
        return Call("why", {"category": "FACT", "key": "time_zone"})

    product.mind = mind
    room.join(ALICE, attributes={"timezone": "Pacific/Auckland"})
    room.join(BOB, attributes={"timezone": "America/Lima"})
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.attributes(BOB, {"timezone": "Asia/Tokyo"})
        await product.chat(room, ALICE, "Hello.")
        assert is_told(product.requests(room)[-1], "Pacific/Auckland")
        room.attributes(ALICE, {"timezone": "Asia/Kathmandu"})
        await product.chat(room, ALICE, "I have landed.")
        assert is_told(product.requests(room)[-1], "Asia/Kathmandu")
        room.attributes(ALICE, {"timezone": "../etc/passwd" * 1000})
        await product.chat(room, ALICE, "My time zone is Eucla.")
        await until(lambda: product.memories(ALICE), "it to be stored")
        await product.chat(room, ALICE, "Why do you think so?")
        room.close()
        await worker.idle()
    answer = product.requests(room)[-1]
    assert is_told(answer, "Australia/Eucla")
    told = datetime.now(ZoneInfo("Australia/Eucla"))
    hours = [f"{told - timedelta(minutes=ago):%d %B %Y at %H:%M}" for ago in (0, 1)]
    assert any(f"They said on {hour}: My time zone is Eucla" in answer.everything for hour in hours)


async def test_two_people_in_one_room_have_each_their_own_hour(product: Product, room: EdgeRoom, settings: Set) -> None:
    settings(room={"room_policy": "everyone"})
    room.join(ALICE, attributes={"timezone": "Pacific/Auckland"})
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        alices = product.models[room.name]
        room.join(BOB, attributes={"timezone": "America/Lima"})
        await until(lambda: product.models[room.name] is not alices, "the second call")
        await product.greeted(room)
        bobs = product.models[room.name]
        room.close()
        await worker.idle()
    hours = ["Pacific/Auckland", "America/Lima"]
    assert [is_told(alices.requests[0], zone) for zone in hours] == [True, False]
    assert [is_told(bobs.requests[0], zone) for zone in hours] == [False, True]


async def test_a_tool_that_keeps_a_timezone_sets_the_hour(product: Product, room: EdgeRoom) -> None:
    def mind(request: Request) -> str | Call:
        if request.tool_has_answered or not request.words.startswith("Keep"):
            return f"You said {request.words}"
        return Call("remember", {"category": "PLAN", "key": "timezone", "value": "Kathmandu"})

    product.mind = mind
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "Keep where I am.")
        room.close()
        await worker.idle()
    assert is_told(product.requests(room)[-1], "Asia/Kathmandu")


async def test_a_model_that_spells_a_key_otherwise_means_the_same(product: Product, room: EdgeRoom) -> None:
    """It sees some keys, and remembers others; "forget it" takes all of them."""
    keys = {"Keep red": "favourite_colour", "Keep green": "user_favorite_color", "Keep blue": "colors_favorite"}

    def mind(request: Request) -> str | Call:
        if request.tool_has_answered or not request.words.startswith(("Keep", "Forget")):
            return f"You said {request.words}"
        if request.words.startswith("Forget"):
            return Call("forget", {"keys": ["my_favourite_color"]})
        return Call("remember", {"category": "FACT", "key": keys[request.words], "value": request.words})

    product.mind = mind
    room.join(ALICE)
    left: list[dict[str, str]] = []
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for words in ("My favorite color is teal.", "Thanks.", *keys, "Forget it"):
            await product.chat(room, ALICE, words)
            left.append({key: value for key, value in product.named(ALICE).items() if "user_input" not in key})
        room.close()
        await worker.idle()
    assert left[2:] == [{"favorite_color": value} for value in keys] + [{}]


@pytest.mark.parametrize("answer", ["katja", "It's Marta.", "Hi, Marta here"])
async def test_who_is_asked_for_their_name_in_the_first_greeting_answers_with_it(
    product: Product, server: Edge, answer: str
) -> None:
    """And in the second call, where nobody has asked, the same words are no name."""
    first, second = server.room(f"asked: {answer}"), server.room(f"not asked: {answer}")
    async with working(product.server) as worker:
        await job(worker, product, first, ALICE, "Hello!", answer, "I like tea.")
        await job(worker, product, second, ALICE, "Robin", "Thanks.")
    assert product.named(ALICE)["name"].strip(".") in answer
