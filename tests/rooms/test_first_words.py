"""What people say and type before the agent is there."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked
from tests.stack.worker import Worker

Fresh = Callable[[str], str]


async def test_what_was_said_while_the_agent_joined_is_answered(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen"), microphone=False) as alice:
        await alice.answer()
        await alice.type("my favorite color is green")
        await alice.answer()
    await worker.keeps(alice.identity, 1)
    async with Person(livekit_server, alice.identity, fresh("office"), announce_early_audio=True) as alice:
        await alice.until(lambda: alice.agents, "the agent", 20)
        await send_early_audio(alice, speech / "ask_color.rms.wav")
        await alice.until(lambda: alice.understood, "her words to be understood", 20)
        answer = await alice.answer()

    assert asked.heard == ["what is my favorite color"]
    assert alice.understood == ["what is my favorite color"]
    assert "Your favorite color is green." in answer.text


@pytest.mark.thorough
async def test_what_somebody_else_said_meanwhile_is_not_heard(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    room = fresh("kitchen")
    async with Person(livekit_server, fresh("alice"), room) as alice:
        await alice.answer()
        async with Person(livekit_server, fresh("eve"), room, agent=None, announce_early_audio=True) as eve:
            await eve.meet()
            await send_early_audio(eve, speech / "books.rms.wav", track=alices_track(eve, alice))
            await send_early_audio(eve, speech / "books.rms.wav")
            await alice.say(speech / "ask_color.rms.wav")
            answer = await alice.answer()

    assert "I don't know your favorite color yet." in answer.text
    assert asked.heard == ["what is my favorite color"]


@pytest.mark.thorough
async def test_an_early_recording_that_nobody_can_read_does_not_end_the_call(
    livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, tmp_path: Path
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen"), announce_early_audio=True) as alice:
        await alice.until(lambda: alice.agents, "the agent", 20)
        writer = await alice.room.local_participant.stream_bytes(
            "recording", topic=TOPIC, mime_type="audio/opus", attributes={"sampleRate": "often"}
        )
        await writer.write(b"\0" * 10_000)
        await writer.aclose()
        await alice.answer()
        await alice.type("my cat is called Tilda")
        await alice.answer()
    await worker.logs("[EARLY AUDIO] cannot be read")
    assert [each.value for each in worker.kept(alice.identity)] == ["my cat is called Tilda"]


TOPIC = "lk.agent.pre-connect-audio-buffer"


async def send_early_audio(person: Person, recording: Path, track: str | None = None) -> None:
    """As LiveKit's front ends do it, the moment an agent is there; as raw samples instead of opus."""
    own = next(iter(person.room.local_participant.track_publications.values())).sid
    with wave.open(str(recording)) as file:
        samples, rate = file.readframes(file.getnframes()), file.getframerate()
    writer = await person.room.local_participant.stream_bytes(
        "recording",
        topic=TOPIC,
        mime_type="audio/pcm",
        attributes={"trackId": track or own, "sampleRate": str(rate), "channels": "1"},
        destination_identities=[person.agents[0].identity],
    )
    await writer.write(samples)
    await writer.aclose()


def alices_track(eve: Person, alice: Person) -> str:
    return next(iter(eve.room.remote_participants[alice.identity].track_publications.values())).sid
