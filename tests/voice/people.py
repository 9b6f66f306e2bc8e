"""People who speak and listen at the speed of speech: recordings of them, and ears that know what is said in them."""

from __future__ import annotations

import asyncio
import json
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import NOT_GIVEN, APIConnectOptions, NotGivenOr, stt, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import io
from numpy.typing import NDArray

PEOPLE = Path(__file__).parent.parent / "fixtures" / "people"
RATE = 16_000
_FRAME = RATE // 50  # as `room_options` has it
# What a recording has before and after its first and last word.
_MARGIN = 0.3
_QUIET = 0.1


@dataclass(frozen=True)
class Word:
    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Sentence:
    """A recording, with the seconds of its words, of its end, and of the pauses in it (second, length)."""

    name: str
    samples: NDArray[np.int16]
    words: tuple[Word, ...]
    end: float
    pauses: tuple[tuple[float, float], ...] = ()

    def paused(self, place: int, seconds: float) -> Sentence:
        """With so long a silence before the word of that number: their own pause, if there is one, made longer."""
        after, before = self.words[place - 1], self.words[place]
        for at, length in self.pauses:
            if after.start < at and at + length <= before.end:
                return self._moved(at + length / 2, seconds - length)
        return self._moved((after.end + before.start) / 2, seconds)

    def closed(self) -> Sentence:
        """Their own pauses shortened, so that it is said in one breath."""
        sentence, short = self, tuple[tuple[float, float], ...]()
        for at, length in sorted(self.pauses, reverse=True):
            less = max(0.0, length - _QUIET)
            sentence = sentence._moved(at + _QUIET / 2, -less)
            short = ((at, length - less), *((later - less, each) for later, each in short))
        return replace(sentence, pauses=short)

    def tone(self, seconds: float) -> NDArray[np.int16]:
        """The sound of its room where nobody speaks: its quietest tenth of a second, to and fro."""
        step = int(_QUIET * RATE)
        parts = [self.samples[at : at + step] for at in range(0, len(self.samples) - step, step // 4)]
        quiet = min(parts, key=lambda part: float(np.abs(part.astype(np.int32)).mean()))
        return np.pad(quiet, (0, max(0, int(seconds * RATE) - step)), mode="symmetric")[: int(seconds * RATE)]

    def _moved(self, at: float, seconds: float) -> Sentence:
        """All that is later than `at`, by so many seconds; what was there meanwhile is gone, if it is earlier."""
        place = int(at * RATE)
        later = self.samples[place - int(min(0.0, seconds) * RATE) :]
        words = tuple(
            replace(word, start=word.start + seconds, end=word.end + seconds)
            if word.start + word.end > 2 * at
            else word
            for word in self.words
        )
        samples = np.concatenate([self.samples[:place], self.tone(max(0.0, seconds)), later])
        return replace(self, samples=samples, words=words, end=self.end + seconds)


def sentences(folder: Path = PEOPLE) -> Iterator[Sentence]:
    """What a folder has, by its `speech.json`. Raises `OSError`, `ValueError`, `KeyError`, `wave.Error`."""
    for name, known in json.loads((folder / "speech.json").read_text(encoding="utf-8")).items():
        with wave.open(str(folder / name)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
                raise ValueError(f"{name}: not 16 kHz, mono, 16 bit")
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        words = tuple(Word(*word) for word in known["words"])
        pauses = tuple((at, length) for at, length in known["pauses"])
        yield Sentence(name, samples[: int((known["end"] + _MARGIN) * RATE)], words, known["end"], pauses)


class Microphone(io.AudioInput):
    """Hears one sentence after the other, and what its room sounds like meanwhile."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._frames = asyncio.Queue[rtc.AudioFrame]()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()

    async def hear(self, samples: NDArray[np.int16]) -> None:
        began = time.perf_counter()
        for place in range(0, len(samples) - _FRAME + 1, _FRAME):
            wait = began + (place + _FRAME) / RATE - time.perf_counter()
            await asyncio.sleep(max(0.0, wait))
            self._frames.put_nowait(rtc.AudioFrame(samples[place : place + _FRAME].tobytes(), RATE, 1, _FRAME))


class Loudspeaker(io.AudioOutput):
    """Plays at the speed of speech, and can be paused."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=True))
        self._seconds = self._played = 0.0
        self._since: float | None = None
        self._end: asyncio.TimerHandle | None = None
        self._paused = self._whole = False

    @property
    def sounds(self) -> bool:
        return self._since is not None

    @property
    def played(self) -> float:
        """How many seconds of what it plays were heard."""
        return self._played + (time.time() - self._since if self._since else 0.0)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._seconds += frame.duration
        self._play()

    def flush(self) -> None:
        super().flush()
        self._whole = True
        self._play()

    def clear_buffer(self) -> None:
        self._stop(interrupted=True)

    def pause(self) -> None:
        super().pause()
        self._paused = True
        self._played, self._since = self.played, None
        if self._end:
            self._end.cancel()

    def resume(self) -> None:
        super().resume()
        self._paused = False
        self._play()

    def _play(self) -> None:
        if self._paused or not self._seconds:
            return
        if self._since is None:
            self._since = time.time()
            if not self._played:
                self.on_playback_started(created_at=self._since)
        if self._whole:
            left = max(0.0, self._seconds - self.played)
            self._end = asyncio.get_running_loop().call_later(left, lambda: self._stop(interrupted=False))

    def _stop(self, *, interrupted: bool) -> None:
        if self._end:
            self._end.cancel()
        if self._seconds:
            position = min(self._seconds, self.played)
            self._seconds = self._played = 0.0
            self._since, self._paused, self._whole = None, False, False
            self.on_playback_finished(playback_position=position, interrupted=interrupted)


class KnowingEars(stt.STT[Any]):
    """Know the words of what is said to the microphone, and need some seconds for each recording of a part of it."""

    def __init__(self, latency: float, language: str = "en") -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.latency = latency
        self._language = language
        self._said: Sentence | None = None
        self._told = 0.0

    def will_hear(self, sentence: Sentence) -> None:
        self._said, self._told = sentence, 0.0

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.SpeechEvent:
        text = self._words_in(rtc.combine_audio_frames(buffer))
        await asyncio.sleep(self.latency)
        heard: Any = stt.SpeechData(language=self._language, text=text)  # type: ignore[arg-type]
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])

    def _words_in(self, part: rtc.AudioFrame) -> str:
        """The words of it that were not told before: a part begins a little before its first word, perhaps in the
        last one of the part before."""
        assert self._said
        # it may begin before the recording and end after it, so it is looked for by its middle
        data, third = part.data.tobytes(), part.samples_per_channel // 3
        place = self._said.samples.tobytes().find(data[2 * third : 4 * third])
        assert place >= 0, "what is recognised was not said"
        until = place / 2 / RATE + part.duration * 2 / 3
        words = [word for word in self._said.words if self._told < (word.start + word.end) / 2 <= until]
        self._told = until
        return " ".join(word.text for word in words)
