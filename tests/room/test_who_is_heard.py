"""The shipped worker in a room: whose job it is, who is heard, what is kept, and what one session says in the log.

`agent.server` and `agent.entrypoint` as they are shipped, in real jobs. Replaced are only the server's native edge, the
models behind the session (`Voice`), and where the store's file lies.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import Sequence
from contextvars import Context
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from livekit.agents import ConversationItemAddedEvent, JobProcess
from livekit.protocol.agent_pb import agent_session as wire

import agent
from call.assistant import prompts
from identity import livekit_identity_to_uuid, set_session_user
from memory.manager import MemoryManager
from memory.records import Memory
from memory.settings import MemorySettings
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from room.participant import RoomSettings
from room.rescue.rescue import RescueSettings
from tests.memory.sessions.moody import delayed
from tests.room.console import console
from tests.room.edge import AGENT, Edge, EdgeRoom
from tests.room.models import Call, Request, spoken
from tests.room.product import Product
from tests.room.worker import Worker, until, working

ALICE, BOB, EVE = "alice@example.com", "bob@example.com", "eve@example.com"


def lines(log: pytest.LogCaptureFixture, *marks: str) -> list[str]:
    """The log's messages that begin with one of the marks, in order."""
    return [record.getMessage() for record in list(log.records) if record.getMessage().startswith(marks)]


async def over(worker: Worker, room: EdgeRoom) -> None:
    room.close()
    await worker.idle()


# -- whose job it is


async def test_the_first_person_in_the_room_is_the_user(product: Product, room: EdgeRoom) -> None:
    room.join(EVE)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, EVE, "I live in Oslo.")
        room.text(ALICE, "I live in Rome.")
        await product.chat(room, EVE, "I love chess.")
        await over(worker, room)
    assert product.memories(EVE) == ["I live in Oslo.", "I love chess."]
    assert product.everything_stored() == product.memories(EVE)
    assert product.profiles() == [str(livekit_identity_to_uuid(EVE))]


async def test_the_session_listens_to_its_user_and_not_to_whom_the_room_lists_first(
    product: Product, room: EdgeRoom
) -> None:
    room.join(EVE, still_connecting=True)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.text(EVE, "I live in Hell.")
        room.speak(EVE, spoken("I love fire"))
        await product.chat(room, ALICE, "I live in Oslo.")
        await product.say(room, ALICE, "I love tea")
        await over(worker, room)
    assert set(product.turns(room)) == {"", "I live in Oslo.", "I love tea"}
    assert product.everything_stored() == product.memories(ALICE) == ["I live in Oslo.", "I love tea"]


async def test_an_agent_who_came_first_is_not_the_user(product: Product, room: EdgeRoom) -> None:
    room.join("another-agent", AGENT, attributes={"lk.agent.name": "another"})
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        room.text("another-agent", "I live in a data centre.")
        room.join(ALICE)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await over(worker, room)
    assert product.memories(ALICE) == product.everything_stored() == ["I live in Oslo."]
    assert product.profiles() == [str(livekit_identity_to_uuid(ALICE))]


async def test_a_console_identity_is_not_honoured_in_a_room(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = RoomSettings(console_identity="boss@example.com")
    product.set(room=console)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await over(worker, room)
    assert product.profiles() == [str(livekit_identity_to_uuid(ALICE))]


async def test_a_console_job_is_the_console_identitys_whoever_launched_it(
    product: Product, server: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RoomSettings(console_identity="boss@example.com")
    product.set(room=settings)
    mallorys = Context()
    mallorys.run(set_session_user, "mallory@example.com")
    with console() as terminal:
        async with working(product.server) as worker:
            await worker.console_job(context=mallorys)
            await until(lambda: terminal.connected and product.sessions, "the console's session")
            await until(lambda: product.models["console-room"].requests, "the greeting")
            number = mallorys.run(terminal.type, "I live in Oslo.")
            await until(lambda: number in terminal.answers, "the answer")
    assert product.models["console-room"].requests[-1].words == "I live in Oslo."
    assert product.everything_stored() == product.memories("boss@example.com") == ["I live in Oslo."]
    assert product.profiles() == [str(livekit_identity_to_uuid("boss@example.com"))]


@pytest.mark.parametrize("identity", ["   ", "alice\x00@example.com", "alice\n@example.com", "a" * 513])
async def test_an_identity_that_cannot_stand_for_a_person_ends_the_job(
    identity: str, product: Product, server: Edge, log: pytest.LogCaptureFixture
) -> None:
    room = server.room(f"refused {identity!r:.20}")
    room.join(identity)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: lines(log, "[SESSION REFUSED]"), "the refusal")
        await worker.idle()  # by itself
    assert room.closed
    assert product.models == {}, "a session was built"
    assert room.sent == [] and room.agent_state == ""
    assert not product.file.exists(), "the store was asked"
    assert identity not in "".join(lines(log, "[SESSION REFUSED]"))
    assert lines(log, "[SESSION INIT]") == []


async def test_an_anonymous_visitor_is_talked_to_and_nothing_is_kept(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    visitor = "voice_assistant_user_1234"

    def mind(request: Request) -> str | Call:
        if "Remember" in request.words and not request.tool_has_answered:
            return Call("remember", {"category": "FACT", "key": "city", "value": "Oslo"})
        return "Well."

    product.mind = mind
    room.join(visitor)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, visitor, "I live in Oslo.")
        await product.chat(room, visitor, "Remember that I live in Oslo.")
        await until(lambda: product.requests(room)[-1].tool_has_answered, "the tool's answer")
        await over(worker, room)
    assert not product.file.exists(), "the store was asked"
    assert len(lines(log, "[MEMORY OFF]")) == 1
    assert "Your memory is off in this call" in product.requests(room)[-1].everything
    assert lines(log, "[MEMORY STORED]", "[MEMORY CATEGORIZATION]", "[PROFILE CREATE]") == []


async def test_on_a_worker_that_would_lose_it_nothing_is_kept_and_people_are_told(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    product.services = dataclasses.replace(product.services, temporary="set SUPABASE_URL")
    room.join("alice@example.com")
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, "alice@example.com", "I live in Oslo.")
        await over(worker, room)
    assert product.memories("alice@example.com") == product.profiles() == []
    assert len(lines(log, "[MEMORY OFF] temporary memory")) == 1
    assert "Your memory is off in this call" in product.requests(room)[-1].everything


async def test_such_a_worker_says_so_at_its_start(product: Product, log: pytest.LogCaptureFixture) -> None:
    product.services = dataclasses.replace(product.services, temporary="set SUPABASE_URL")
    product.set(rescue=RescueSettings(rescue="off"))
    product.server.emit("worker_registered", "AW_1", None)
    [told] = [record for record in log.records if record.getMessage().startswith("[MEMORY TEMPORARY]")]
    assert (told.levelname, told.getMessage().endswith(": set SUPABASE_URL")) == ("ERROR", True)


# -- who is heard


async def test_a_second_person_is_neither_answered_nor_remembered(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.join(EVE)
        room.text(EVE, "I live in Hell.")
        room.speak(EVE, spoken("I love fire"))
        await product.chat(room, ALICE, "I live in Oslo.")
        await product.say(room, ALICE, "I love tea")
        await over(worker, room)
    assert set(product.turns(room)) == {"", "I live in Oslo.", "I love tea"}
    assert "Hell" not in (seen := "".join(request.everything for request in product.requests(room)))
    assert "fire" not in seen
    assert product.everything_stored() == product.memories(ALICE) == ["I live in Oslo.", "I love tea"]


async def test_nobody_inherits_the_session_of_somebody_who_left(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        room.join(EVE)
        room.leave(ALICE)
        room.text(EVE, "I live in Hell.")
        room.speak(EVE, spoken("I love fire"))
        room.join(ALICE)  # the page was reloaded
        await product.chat(room, ALICE, "I love chess.")
        await product.say(room, ALICE, "I love tea")
        await over(worker, room)
    assert product.everything_stored() == product.memories(ALICE) == ["I live in Oslo.", "I love chess.", "I love tea"]
    assert set(product.turns(room)) == {"", "I live in Oslo.", "I love chess.", "I love tea"}


@pytest.mark.parametrize(
    "request_of",
    [
        {"run_input": wire.SessionRequest.RunInput(text="I live in Hell.")},
        {"get_chat_history": wire.SessionRequest.GetChatHistory()},
        {"get_agent_info": wire.SessionRequest.GetAgentInfo()},
    ],
    ids=lambda request: next(iter(request)),
)
async def test_a_stranger_cannot_speak_to_the_sessions_host(
    request_of: dict[str, Any], product: Product, room: EdgeRoom
) -> None:
    message = wire.AgentSessionMessage(request=wire.SessionRequest(request_id="1", **request_of))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.join(EVE)
        number = room.message(EVE, message.SerializeToString(), "lk.agent.session")
        await product.chat(room, ALICE, "Good morning.")
        await over(worker, room)
    assert not room.was_read(number), "a handler is registered"
    assert not [sent for sent in room.sent if sent.topic == "lk.agent.session"]
    assert "Hell" not in "".join(request.everything for request in product.requests(room))
    assert product.everything_stored() == []


# -- what one session says in the log


async def test_a_session_tells_its_story_in_the_log_without_a_word_of_the_person(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    user = livekit_identity_to_uuid(ALICE)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.say(room, ALICE, "I am interested in Xiangqi")
        await until(lambda: lines(log, "[MEMORY STORED]"), "the turn to be stored")
        await over(worker, room)
    story = [line for line in lines(log, "[") if not line.startswith("[CAPACITY]")]
    key = story[5].split()[2] if len(story) > 5 else "none"
    report = json.loads(story.pop().removeprefix("[SESSION REPORT] "))
    assert (report["user"], report["ended"], report["user_turns"]) == (str(user), "left", 1)
    assert story == [
        f"[SESSION INIT] Identity: {ALICE} → UUID: {user}",
        f"[PROFILE CREATE] Profile created for user: {user}",
        f"[CONVERSATION] new for user: {user}",
        f"[SESSION INIT] ✓ Profile ready for user: {user}",
        "[LANGUAGE] en",
        f"[MEMORY CATEGORIZATION] {key} -> INTEREST",
        f"[MEMORY STORED] INTEREST {key} for user: {user}",
        f"[SESSION END] for user: {user}",
    ]
    assert "Xiangqi" not in log.text
    assert "Xiangqi" not in "".join(str(vars(record)) for record in log.records)


# -- a store that does not answer


class BrokenStore(SqliteStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        delayed(self, self._fail)

    async def _fail(self) -> None:
        raise StoreError("the store is unreachable")


class HangingStore(BrokenStore):
    async def _fail(self) -> None:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")


@pytest.mark.parametrize("kind_of_store", [BrokenStore, HangingStore])
async def test_a_store_that_does_not_answer_costs_the_memory_and_not_the_call(
    kind_of_store: type[SqliteStore],
    product: Product,
    room: EdgeRoom,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    deadline = 0.5
    short = MemorySettings(memory_deadline=deadline)
    product.set(memory=short)
    product.remember_with(MemoryManager(lambda: kind_of_store(product.file), deadline))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: lines(log, "[SESSION INIT] Identity"))
        began = time.monotonic()
        await until(lambda: product.requests(room), "the greeting")
        waited = time.monotonic() - began
        await product.answered(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await product.say(room, ALICE, "I love tea")
        await over(worker, room)
    assert waited < deadline + 2.0  # of which two busy cores need up to a second for starting the session
    assert prompts.NEUTRAL_GREETING in product.requests(room)[0].instructions
    assert lines(log, "[MEMORY OFF]")
    assert not product.file.exists()
    assert lines(log, "[PROFILE CREATE]", "[MEMORY STORED]") == []
    assert len(lines(log, "[SESSION END]")) == 1


async def test_a_write_that_hangs_does_not_hold_up_the_conversation(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    class SlowToWrite(SqliteStore):
        async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
            await asyncio.sleep(60)
            raise AssertionError("nobody waits that long")

    product.remember_with(MemoryManager(lambda: SlowToWrite(product.file), deadline=2.0))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await product.chat(room, ALICE, "Good.")
        assert lines(log, "[MEMORY CATEGORIZATION]") and not lines(log, "[MEMORY WAITING]"), "the reply waited"
        room.close()
        await until(lambda: not worker.running, "the jobs to end", patience=20)
    assert product.everything_stored() == []


# -- exactly once


async def test_two_first_calls_of_one_person_at_once_get_one_first_greeting(product: Product, server: Edge) -> None:
    rooms = [server.room("first on the phone"), server.room("first on the laptop")]
    for room in rooms:
        room.join(ALICE)
    async with working(product.server) as worker:
        await asyncio.gather(*(worker.job(room.name) for room in rooms))
        for room in rooms:
            await product.greeted(room)
        for room in rooms:
            room.close()
        await worker.idle()
    first = [prompts.FIRST_GREETING in product.requests(room)[0].instructions for room in rooms]
    assert sorted(first) == [False, True]
    assert len(product.profiles()) == 1


async def test_somebody_who_comes_back_is_greeted_as_known(product: Product, server: Edge) -> None:
    rooms = [server.room("the first time"), server.room("the second time")]
    async with working(product.server) as worker:
        for room in rooms:
            room.join(ALICE)
            await worker.job(room.name)
            await product.greeted(room)
            await over(worker, room)
    greetings = [product.requests(room)[0].instructions for room in rooms]
    assert prompts.FIRST_GREETING in greetings[0] and prompts.RETURN_GREETING not in greetings[0]
    assert prompts.RETURN_GREETING in greetings[1] and prompts.FIRST_GREETING not in greetings[1]


async def test_a_turn_that_is_delivered_twice_is_stored_once(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        session, delivered = product.sessions[room.name], set[str]()

        def deliver_again(event: ConversationItemAddedEvent) -> None:
            if event.item.id not in delivered:
                delivered.add(event.item.id)
                session.emit("conversation_item_added", event)

        session.on("conversation_item_added", deliver_again)
        await product.chat(room, ALICE, "I live in Oslo.")
        await over(worker, room)
    assert product.memories(ALICE) == ["I live in Oslo."]
    assert [text for role, text in product.transcript(ALICE) if role == "user"] == ["I live in Oslo."]
    assert len(product.transcript(ALICE)) == len({text for _, text in product.transcript(ALICE)}) == 3
    assert len(lines(log, "[MEMORY STORED]")) == 1


async def test_a_write_in_progress_at_the_end_of_the_call_is_kept(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = threading.Event()

    class SlowToWrite(SqliteStore):
        async def remember(self, user: UUID, memory: Memory) -> Memory | None:
            writing.set()
            await asyncio.sleep(0.5)
            return await super().remember(user, memory)

    product.remember_with(MemoryManager(lambda: SlowToWrite(product.file), deadline=1.5))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.text(ALICE, "I live in Oslo.")
        await until(writing.is_set, "the write to begin")
        assert product.memories(ALICE) == []
        await over(worker, room)
    assert product.memories(ALICE) == ["I live in Oslo."]


# -- two people at once in one process


async def test_two_calls_at_once_keep_what_they_hear_apart(product: Product, server: Edge) -> None:
    hers, his = server.room("alice talks"), server.room("bob talks")

    async def talk(room: EdgeRoom, person: str, city: str) -> None:
        room.join(person)
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, person, f"I live in {city}.")
        await product.say(room, person, f"My name is {person[:3]}")
        await product.chat(room, person, "Where do I live?")

    async with working(product.server) as worker:
        await asyncio.gather(talk(hers, ALICE, "Oslo"), talk(his, BOB, "Rome"))
        for room in (hers, his):
            room.close()
        await worker.idle()
    assert product.memories(ALICE) == ["I live in Oslo.", "My name is ali"]
    assert product.memories(BOB) == ["I live in Rome.", "My name is bob"]
    assert "Rome" not in "".join(request.everything for request in product.requests(hers))
    assert "Oslo" not in "".join(request.everything for request in product.requests(his))


# -- code that comes with somebody else's context


async def test_a_job_whose_thread_is_bound_to_somebody_else_is_still_its_own_persons(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    # what a setup function that calls set_session_user leaves behind
    def setup(proc: JobProcess) -> None:
        set_session_user("mallory@example.com")
        agent.prewarm(proc, product.services)

    room.join(ALICE)
    async with working(agent.make_server(product.services, setup)) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await product.say(room, ALICE, "I love tea")
        await over(worker, room)
    assert product.everything_stored() == product.memories(ALICE) == ["I live in Oslo.", "I love tea"]
    assert product.profiles() == [str(livekit_identity_to_uuid(ALICE))]
    assert lines(log, "[SESSION END]") == [f"[SESSION END] for user: {livekit_identity_to_uuid(ALICE)}"]


@pytest.mark.parametrize("origin", ["script", "other job"])
async def test_a_turn_started_in_a_foreign_context_touches_nobody_elses_memory(
    origin: str, product: Product, server: Edge
) -> None:
    hers, his = server.room(f"alice, prompted from {origin}"), server.room(f"bob, when prompted from {origin}")
    async with working(product.server) as worker:
        for room, person in ((his, BOB), (hers, ALICE)):
            room.join(person)
            await worker.job(room.name)
            await product.greeted(room)
        await product.chat(his, BOB, "I live in Rome.")
        await until(lambda: product.memories(BOB))
        foreign = Context()
        if origin == "script":
            foreign.run(set_session_user, BOB)
        else:
            foreign = product.contexts[his.name]
        prompt = lambda: product.sessions[hers.name].generate_reply(user_input="I love chess in Rome.")  # noqa: E731
        product.loops[hers.name].call_soon_threadsafe(prompt, context=foreign.copy())
        await until(lambda: "I love chess in Rome." in product.turns(hers), "the prompted turn")
        await product.answered(hers)
        hers.close()
        his.close()
        await worker.idle()
    del foreign  # it holds bob's room
    assert product.memories(BOB) == ["I live in Rome."]
    assert product.memories(ALICE) == ["I love chess in Rome."], "whose session it is, it is who said it"
    assert "I live in Rome." not in "".join(request.everything for request in product.requests(hers))
