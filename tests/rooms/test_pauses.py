"""Who stops to think in the middle of a sentence has said one thing."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.worker import Worker

Fresh = Callable[[str], str]
BLUE_SECONDS = 1.71
"""Where in "my favorite color is blue" the last word begins."""


def with_a_pause(recording: Path, at: float, pause: float, folder: Path) -> Path:
    """The recording with silence in it."""
    said = folder / f"{pause}.wav"
    with wave.open(str(recording)) as file, wave.open(str(said), "wb") as paused:
        paused.setparams(file.getparams())
        paused.writeframes(file.readframes(round(at * file.getframerate())))
        paused.writeframes(bytes(round(pause * file.getframerate()) * file.getsampwidth()))
        paused.writeframes(file.readframes(file.getnframes()))
    return said


async def is_one_statement(
    livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, name: str, recording: Path
) -> None:
    async with Person(livekit_server, fresh(name), fresh(f"room of {name}")) as alice:
        await alice.answer()
        await alice.say(recording)
        await alice.answer()
    [kept] = await worker.keeps(alice.identity, 1)
    assert kept.key == "favorite_color"
    assert kept.value.lower().startswith("my favorite color is blue")


async def test_a_sentence_with_a_pause_in_it_is_one_statement(
    livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, speech: Path, tmp_path: Path
) -> None:
    recording = with_a_pause(speech / "blue.rms.wav", BLUE_SECONDS, 0.6, tmp_path)
    await is_one_statement(livekit_server, worker, fresh, "alice", recording)


@pytest.mark.soak
@pytest.mark.parametrize("pause", [0.4, 0.6, 1.0, 1.5])
async def test_so_are_twenty_of_them(
    livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, speech: Path, tmp_path: Path, pause: float
) -> None:
    recording = with_a_pause(speech / "blue.rms.wav", BLUE_SECONDS, pause, tmp_path)
    for number in range(20):
        await is_one_statement(livekit_server, worker, fresh, f"alice{number}", recording)
