"""The person's microphone and speaker, and recordings of both."""

from __future__ import annotations

import array
import asyncio
import time
import wave
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

RATE = 48_000  # Hz, 16 bit mono: what the console's socket carries in both directions
BYTES_PER_SECOND = RATE * 2
FRAME_SECONDS = 0.02
FRAME_BYTES = int(BYTES_PER_SECOND * FRAME_SECONDS)


class Microphone:
    """Sends 20 ms frames in real time, for ever: a recording if there is one, silence if not.

    The silence matters: without it the worker's voice activity detection never hears that a sentence is over.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._frames: deque[bytes] = deque()
        self._silent = asyncio.Event()

    async def say(self, pcm: bytes) -> None:
        """Speak; returns when the last frame is sent. Short of a whole frame, silence is added."""
        for start in range(0, len(pcm), FRAME_BYTES):
            self._frames.append(pcm[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\0"))
        self._silent.clear()
        await self._silent.wait()

    async def run(self) -> None:
        clock = time.monotonic()
        while True:
            await self._send(self._frames.popleft() if self._frames else bytes(FRAME_BYTES))
            if not self._frames:
                self._silent.set()
            # Against a clock, so that late wake-ups do not add up; but a machine that slept need not catch up.
            clock = max(clock + FRAME_SECONDS, time.monotonic() - 1)
            await asyncio.sleep(clock - time.monotonic())


class Speaker:
    """Plays the agent's voice to nobody, in real time, and says when it has been played.

    The worker commits an answer only when we say so, and takes an interruption's position from the time that passed:
    a speaker faster than speech would make it believe that everything was heard. When nobody listens (typed
    conversations) there is nothing to interrupt, and `instant` saves the wait.
    """

    def __init__(self, finished: Callable[[], Awaitable[None]], *, instant: bool = False) -> None:
        self.kept: bytearray | None = None  # bytes played since somebody put a bytearray here
        self._finished = finished
        self._instant = instant
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: all of an answer has been sent
        self._playing = False

    @property
    def idle(self) -> bool:
        return self._queue.empty() and not self._playing

    def play(self, pcm: bytes) -> None:
        self._queue.put_nowait(pcm)

    def flush(self) -> None:
        """The answer is complete: `finished` is called when it has been played, at once if nothing is left."""
        self._queue.put_nowait(None)

    def clear(self) -> None:
        """Interrupted: forget what has not been played.

        A flush among it needs no answer, the worker stopped waiting for it; one that comes later does
        (tcp_console.py `clear_buffer`, `flush`).
        """
        while not self._queue.empty():
            self._queue.get_nowait()

    async def run(self) -> None:
        played_until = 0.0
        while True:
            self._playing = False
            piece = await self._queue.get()
            self._playing = True
            if piece is None:
                await self._finished()
            elif not self._instant:
                if self.kept is not None:
                    self.kept += piece
                played_until = max(played_until, time.monotonic()) + len(piece) / BYTES_PER_SECOND
                await asyncio.sleep(played_until - time.monotonic())


@dataclass(frozen=True)
class Recording:
    """A sentence somebody spoke: 16 bit mono samples at any rate."""

    name: str
    rate: int
    samples: bytes

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a WAV file; several channels become their mean.

        Raises:
            ValueError: it cannot be read or is not 16 bit; the text says what to do.
        """
        try:
            with wave.open(str(path), "rb") as file:
                width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
                samples = array.array("h", file.readframes(file.getnframes()) if width == 2 else b"")
        except (OSError, EOFError, ValueError, wave.Error) as error:
            raise ValueError(f"cannot read {path} as a WAV file: {error}") from error
        if width != 2:
            raise ValueError(f"{path} has {width * 8} bit samples. Convert it: sox {path} -b 16 16bit.wav")
        if not samples:
            raise ValueError(f"{path} has no sound in it")
        if channels > 1:
            each = [samples[channel::channels] for channel in range(channels)]
            samples = array.array("h", (sum(together) // channels for together in zip(*each, strict=True)))
        return cls(path.name, rate, samples.tobytes())

    def at_wire_rate(self) -> bytes:
        """The samples at 48 kHz."""
        if self.rate == RATE:
            return self.samples
        from livekit import rtc  # noqa: PLC0415  (a native library: not before the worker is on its way)

        resampler = rtc.AudioResampler(self.rate, RATE, quality=rtc.AudioResamplerQuality.HIGH)
        frames = resampler.push(bytearray(self.samples)) + resampler.flush()
        return b"".join(bytes(frame.data) for frame in frames)


def save_recording(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)
