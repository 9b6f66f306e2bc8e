"""People in real rooms with the shipped worker: a real server, real audio, and models that run on this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest
from livekit import rtc
from livekit.agents.voice.remote_session import RemoteSession

from tests.offline.listening import heard_sentence, heard_words
from tests.rooms.elsewhere import PersonElsewhere
from tests.rooms.person import Person, together
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked
from tests.stack.process import until
from tests.stack.worker import Worker

COLORS = ["blue", "red", "green"]
UNKNOWN = "I don't know your favorite color yet."
ANSWERS = [UNKNOWN, *(f"Your favorite color is {color}." for color in COLORS)]

Fresh = Callable[[str], str]


@pytest.fixture(autouse=True)
def nothing_failed_unnoticed(worker: Worker) -> Iterator[None]:
    before = len(worker.complaints)
    yield
    assert worker.complaints[before:] == []


@pytest.mark.thorough
async def test_what_alice_said_in_one_room_is_known_in_another(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    identity = fresh("alice")
    async with Person(livekit_server, identity, fresh("kitchen")) as alice:
        first_greeting = await alice.answer()
        await alice.say(speech / "blue.rms.wav")
        await alice.answer()
    kept = await worker.keeps(identity, 1)
    told = len(asked.conversations)
    async with Person(livekit_server, identity, fresh("office")) as alice:
        second_greeting = await alice.answer()
        await alice.say(speech / "ask_color.rms.wav")
        answer = await alice.answer()

    assert "I am Rapport" in first_greeting.text
    assert "I am Rapport" not in second_greeting.text
    assert "blue" in answer.text
    assert heard_words(answer.audio, COLORS) == "blue"
    assert [(each.category, each.value) for each in kept] == [("PREFERENCE", "my favorite color is blue")]
    assert worker.kept(identity) == kept
    assert asked.heard == ["my favorite color is blue", "what is my favorite color"]
    assert "blue" not in asked.conversations[0]
    assert all("my favorite color is blue" in conversation for conversation in asked.conversations[told:])


@pytest.mark.thorough
async def test_bob_in_a_room_of_his_own_at_the_same_time_hears_that_it_is_not_known(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen")) as alice:
        await alice.answer()
        await alice.type("my favorite color is blue")
        await alice.answer()
    await worker.keeps(alice.identity, 1)
    alice = Person(livekit_server, fresh("alice"), fresh("office"))
    bob = Person(livekit_server, fresh("bob"), fresh("garage"))
    async with together(alice, bob):
        await asyncio.gather(alice.answer(), bob.answer())
        await bob.type("my cat is called Tilda")
        await bob.answer()
        await asyncio.gather(alice.say(speech / "ask_color.rms.wav"), bob.say(speech / "ask_color.awb.wav"))
        alices, bobs = await asyncio.gather(alice.answer(), bob.answer())

    assert "blue" in alices.text
    assert heard_words(alices.audio, COLORS) == "blue"
    assert bobs.text == UNKNOWN
    assert heard_sentence(bobs.audio, ANSWERS) == UNKNOWN
    assert "blue" not in "\n".join(bob.story)
    assert "Tilda" not in "\n".join(alice.story)
    assert [each for each in asked.conversations if "blue" in each and "Tilda" in each] == []
    assert len([each for each in asked.conversations if "Tilda" in each]) >= 2
    assert [each.value for each in await worker.keeps(bob.identity, 1)] == ["my cat is called Tilda"]
    assert [each.value for each in worker.kept(alice.identity)] == ["my favorite color is blue"]


@pytest.mark.thorough
async def test_what_is_typed_is_known_when_it_is_asked_aloud_and_when_it_is_typed(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    identity = fresh("alice")
    async with Person(livekit_server, identity, fresh("kitchen"), microphone=False) as alice:
        await alice.answer()
        await alice.type("my favorite color is green")
        told = await alice.answer()
    await worker.keeps(identity, 1)
    async with Person(livekit_server, identity, fresh("office")) as alice:
        await alice.answer()
        await alice.say(speech / "ask_color.awb.wav")
        spoken = await alice.answer()
        await alice.type("what is my favorite color")
        typed = await alice.answer()

    assert ["green" in answer.text for answer in (told, spoken, typed)] == [True] * 3
    assert heard_words(spoken.audio, COLORS) == "green"
    assert heard_words(typed.audio, COLORS) == "green"
    assert asked.heard == ["what is my favorite color"]
    assert [each.value for each in worker.kept(identity)] == ["my favorite color is green"]


async def test_a_front_end_finds_what_it_shows(livekit_server: LiveKitServer, worker: Worker, fresh: Fresh) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen")) as alice:
        agent = await alice.meet()
        greeting = await alice.answer(seconds=20)
        tracks = list(agent.track_publications.values())
        microphone = next(iter(alice.room.local_participant.track_publications.values())).sid
        await alice.type("hello")
        await alice.answer(seconds=20)
    shown = [each for each in alice.transcripts if each.of == agent.identity]

    assert agent.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    assert [(track.kind, track.source) for track in tracks] == [
        (rtc.TrackKind.KIND_AUDIO, rtc.TrackSource.SOURCE_MICROPHONE)
    ]
    assert {"listening", "thinking", "speaking"} <= set(alice.states)
    assert alice.states[-1] == "listening"
    assert greeting.text == shown[0].text
    assert {each.track for each in shown} == {tracks[0].sid}
    assert microphone not in {each.track for each in shown}
    assert len({each.segment for each in shown}) == len(shown)


@pytest.mark.thorough
async def test_a_front_end_can_show_what_the_person_said(
    livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, speech: Path
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen")) as alice:
        await alice.answer()
        await alice.say(speech / "hello.rms.wav")
        await alice.answer()
        microphone = next(iter(alice.room.local_participant.track_publications.values())).sid
    own = [each for each in alice.transcripts if each.of == alice.identity]

    assert len(alice.understood) == 1
    assert {each.track for each in own} == {microphone}
    assert len({each.segment for each in own}) == 1


async def test_eve_in_the_same_room_is_neither_answered_nor_remembered(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    async with _eve_beside_alice(livekit_server, fresh) as (alice, eve):
        agent = await eve.meet()
        before = len(asked.conversations)
        await eve.say(speech / "books.rms.wav")
        await eve.type("my favorite color is red")
        await eve.type("my favorite color is red", to=[agent.identity])
        # What eve was answered would have been answered before this. It takes longer than an answer does.
        await alice.say(speech / "ask_color.rms.wav")
        answer = await alice.answer()

    assert answer.text == UNKNOWN
    assert heard_sentence(answer.audio, ANSWERS) == UNKNOWN
    assert asked.heard == ["what is my favorite color"]
    assert len(asked.conversations) > before
    assert "red" not in "\n".join(asked.conversations).split()
    assert "books" not in str(asked)
    assert eve.understood == []
    assert eve.transcripts == []
    assert eve.agent_audio is None
    await until(lambda: worker.endings(alice.identity) == ["left"], "the end of her session")
    assert worker.kept(alice.identity) == []
    assert eve.identity not in worker.store_text()
    assert "red" not in worker.store_text().split()


async def test_words_typed_before_the_agent_learns_of_their_sender_are_answered(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen"), microphone=False) as alice:
        await alice.meet()
        await alice.type("my favorite color is blue")
        await worker.keeps(alice.identity, 1)
    assert asked.heard == []
    assert [each.value for each in worker.kept(alice.identity)] == ["my favorite color is blue"]


async def test_nobody_can_read_or_steer_the_session_through_its_own_channel(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh
) -> None:
    ignored = len(worker.logged("ignoring byte stream with topic"))
    async with _eve_beside_alice(livekit_server, fresh) as (alice, eve):
        agent = await eve.meet()
        async with _session_channel(eve.room, agent.identity) as session:
            attempts = [
                asyncio.create_task(attempt)
                for attempt in (session.get_agent_info(), session.get_chat_history(), session.run("my cat is Tilda"))
            ]
            # the job got all three, and nobody took them
            await worker.logs("ignoring byte stream with topic", times=ignored + 3)
            await alice.type("my favorite color is blue")
            await alice.answer()
            answered = [attempt for attempt in attempts if attempt.done()]
            for attempt in attempts:
                attempt.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)

    assert answered == []
    assert "Tilda" not in str(asked)
    assert [each.value for each in await worker.keeps(alice.identity, 1)] == ["my favorite color is blue"]


@pytest.mark.thorough
async def test_who_drops_out_without_a_goodbye_comes_back_into_the_same_conversation(
    livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, speech: Path, tmp_path: Path
) -> None:
    log = tmp_path / "alice.log"
    async with PersonElsewhere(livekit_server, fresh("alice"), fresh("train"), log=log) as alice:
        await alice.answer()
        agent = await alice.meet()
        await alice.type("my favorite color is green")
        await alice.answer()
        await alice.drop()
        await alice.come_back()
        again = await alice.meet()
        await alice.say(speech / "ask_color.rms.wav")
        answer = await alice.answer()

    assert again == agent
    assert "green" in answer.text
    assert heard_words(answer.audio, COLORS) == "green"
    assert len(worker.logged(f"Identity: {alice.identity}")) == 1


@contextlib.asynccontextmanager
async def _eve_beside_alice(server: LiveKitServer, fresh: Fresh) -> AsyncGenerator[tuple[Person, Person]]:
    """Alice in her room, greeted, and eve who came after that: the agent talks to whom it met first."""
    async with Person(server, fresh("alice"), fresh("kitchen")) as alice:
        await alice.answer()
        async with Person(server, fresh("eve"), fresh("kitchen"), agent=None) as eve:
            yield alice, eve


@contextlib.asynccontextmanager
async def _session_channel(room: rtc.Room, agent: str) -> AsyncGenerator[RemoteSession]:
    session = RemoteSession.from_room(room, agent)
    await session.start()
    try:
        yield session
    finally:
        await session.aclose()
