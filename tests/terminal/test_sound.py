"""What a microphone sends, and when a speaker has finished."""

from __future__ import annotations

import array
import asyncio
import time
import wave
from pathlib import Path

import pytest

from terminal.sound import FRAME_BYTES, Microphone, Recording, Speaker
from tests.terminal.wav import write_wav


def test_a_stereo_recording_becomes_the_mean_of_its_channels(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(array.array("h", [100, 300, -32768, -32768]).tobytes())
    recording = Recording.read(tmp_path / "stereo.wav")
    assert array.array("h", recording.at_wire_rate()).tolist() == [200, -32768]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_recording_of_any_rate_keeps_its_length(tmp_path: Path, rate: int) -> None:
    recording = Recording.read(write_wav(tmp_path / "a.wav", rate=rate, seconds=1.5))
    assert len(recording.at_wire_rate()) / 96_000 == pytest.approx(1.5, rel=0.01)


async def test_the_microphone_sends_whole_frames_in_real_time_and_silence_between() -> None:
    sent: list[bytes] = []

    async def send(frame: bytes) -> None:
        sent.append(frame)

    microphone = Microphone(send)
    running = asyncio.create_task(microphone.run())
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    await microphone.say(b"\1" * (FRAME_BYTES * 10 + 2))
    took = time.monotonic() - begun
    await asyncio.sleep(0.1)
    running.cancel()
    assert 0.17 < took < 0.5
    assert {len(frame) for frame in sent} == {FRAME_BYTES}
    spoken = b"".join(sent)
    assert spoken.strip(b"\0") == b"\1" * (FRAME_BYTES * 10 + 2)
    assert spoken.startswith(bytes(FRAME_BYTES))
    assert spoken.endswith(bytes(FRAME_BYTES))


class Played:
    """A speaker that runs, and when it said that it had finished."""

    def __init__(self, *, instant: bool = False) -> None:
        self.finished: list[float] = []
        self.speaker = Speaker(self._note, instant=instant)
        self.speaker.kept = bytearray()

    async def __aenter__(self) -> Played:
        self._running = asyncio.create_task(self.speaker.run())
        self._begun = time.monotonic()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()

    async def _note(self) -> None:
        self.finished.append(time.monotonic() - self._begun)

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.02)):
            self.speaker.play(b"\1" * FRAME_BYTES)


async def test_the_speaker_finishes_when_an_answer_has_been_heard_not_when_it_has_been_sent() -> None:
    async with Played() as played:
        played.play(0.3)
        played.speaker.flush()
        assert not played.speaker.idle
        await asyncio.sleep(0.2)
        assert played.finished == []
        await asyncio.sleep(0.3)
        assert played.finished == [pytest.approx(0.3, abs=0.1)]
        assert played.speaker.idle
        assert len(played.speaker.kept or b"") / 96_000 == pytest.approx(0.3)


async def test_an_interrupted_speaker_forgets_the_rest_and_keeps_only_what_was_heard() -> None:
    async with Played() as played:
        played.play(1.0)
        played.speaker.flush()
        await asyncio.sleep(0.1)
        played.speaker.clear()
        await asyncio.sleep(0.1)
        assert played.speaker.idle
        assert played.finished == [], "the worker has stopped waiting for this one"
        assert len(played.speaker.kept or b"") / 96_000 < 0.3


async def test_a_flush_after_an_interruption_is_answered_at_once() -> None:
    async with Played() as played:
        played.play(1.0)
        await asyncio.sleep(0.05)
        played.speaker.clear()
        played.speaker.flush()
        await asyncio.sleep(0.1)
        assert len(played.finished) == 1, "the worker waits for it (tcp_console.py `flush`)"


async def test_nobody_listens_to_a_typed_conversation_so_its_speaker_is_instant() -> None:
    async with Played(instant=True) as played:
        played.play(5.0)
        played.speaker.flush()
        await asyncio.sleep(0.05)
        assert len(played.finished) == 1
        assert played.speaker.idle
