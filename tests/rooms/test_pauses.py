"""Who stops to think in the middle of a sentence has said one thing."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked
from tests.stack.worker import Worker
from voice.failure import HOLD_ON

Fresh = Callable[[str], str]
BLUE_SECONDS = 1.64
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


@dataclass
class Pausing:
    """People who say that their favorite color is blue, with a pause before the last word."""

    server: LiveKitServer
    worker: Worker
    asked: Asked
    recording: Path

    async def say_one_thing(self, identity: str, room: str) -> list[str]:
        """And get these answers to it. What our recogniser makes of the word "blue" alone is another matter."""
        heard = len(self.asked.heard)
        async with Person(self.server, identity, room) as person:
            await person.answer()
            before = len(answers(person))
            await person.say(self.recording)
            await person.answer()
        [kept] = await self.worker.keeps(identity, 1)
        assert kept.value.lower().startswith("my favorite color is")
        assert kept.value.lower() == " ".join(filter(None, self.asked.heard[heard:])).lower()
        return answers(person)[before:]


def answers(person: Person) -> list[str]:
    told = [each.text for each in person.transcripts if each.of != person.identity]
    return [text for text in told if not HOLD_ON.startswith(text.strip())]


@pytest.fixture
def pausing(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, speech: Path, tmp_path: Path
) -> Callable[[float], Pausing]:
    """By the seconds of the pause."""
    said = speech / "blue.rms.wav"
    return lambda pause: Pausing(livekit_server, worker, asked, with_a_pause(said, BLUE_SECONDS, pause, tmp_path))


async def test_a_sentence_with_a_pause_in_it_is_one_statement(
    pausing: Callable[[float], Pausing], fresh: Fresh
) -> None:
    await pausing(0.6).say_one_thing(fresh("alice"), fresh("kitchen"))


@pytest.mark.soak
@pytest.mark.parametrize("pause", [0.4, 0.6, 1.0, 1.5])
async def test_so_are_twenty_of_them(pausing: Callable[[float], Pausing], fresh: Fresh, pause: float) -> None:
    people = pausing(pause)
    for number in range(20):
        assert len(await people.say_one_thing(fresh(f"alice{number}"), fresh(f"room{number}"))) == 1
