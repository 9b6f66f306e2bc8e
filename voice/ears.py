"""Ears that know when a person has waited too long for their words; and streams, for which recordings can stand in."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, APITimeoutError, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer, aio
from livekit.agents.vad import VAD, VADEventType
from livekit.plugins import openai

log = logging.getLogger("rapport.voice")

# How long, in seconds, a person waits in silence for their words to be understood. The silence that ended them counts
# too, and the way of the sound: with 2.5 it was once heard after 3.1 s.
STT_PATIENCE = 2.2
# A recording that is not understood for so long, in seconds, never will be. OpenAI's are given up as early.
LONGEST_RECOGNITION = 20.0
# How long a stream may take to tell the last words, from when silence was heard: 0.15 to 0.3 s are usual.
STREAM_PATIENCE = 1.0
# Before a stream that failed is opened again, in seconds; twice as long each time that it tells nothing.
_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# And while words are owed, which nothing else can tell.
_PAUSE_OWED = 0.1
# Of silence so much is kept, for the beginning of a word; of speech as much as a stream leaves without words.
_LEAD_IN, _MOST_KEPT = 1.0, 60.0
_ROUNDING = 1e-6
# What sounds for so long, in seconds, and is nothing in any words, is no cough.
_SPEECH = 1.0


class Awaited(stt.STT[Any]):
    """Ears that say when somebody waits for words."""

    on_late: Callable[[], None] | None = None
    """Called when what was said is not understood for so long that the person must be told."""

    def in_time(self) -> asyncio.TimerHandle:
        """Has the person told when it is time, unless it is cancelled before."""
        return asyncio.get_running_loop().call_later(STT_PATIENCE, lambda: self.on_late and self.on_late())


class Patience(Awaited):
    """Recordings of a bounded length of time."""

    async def recognize(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.SpeechEvent:
        late = self.in_time()
        try:
            return await super().recognize(buffer, language=language, conn_options=conn_options)
        finally:
            late.cancel()

    async def _recognize_impl(self, buffer: AudioBuffer, **options: Any) -> stt.SpeechEvent:
        try:
            async with asyncio.timeout(LONGEST_RECOGNITION):
                return await super()._recognize_impl(buffer, **options)  # pyright: ignore[reportAbstractUsage] - the plugin's
        except TimeoutError:
            raise APITimeoutError from None


def patient(plugin: type[stt.STT[Any]]) -> type[stt.STT[Any]]:
    """The same ears, with patience."""
    return cast("type[stt.STT[Any]]", type(plugin.__name__, (Patience, plugin), {}))


class PatientSTT(Patience, openai.STT):
    """OpenAI's."""


class LiveSTT(openai.STT):
    """OpenAI's realtime transcription, on connections of ours."""

    def __init__(self, http: aiohttp.ClientSession, **options: Any) -> None:
        super().__init__(use_realtime=True, **options)
        self._http = http

    def _ensure_session(self) -> aiohttp.ClientSession:
        return self._http


class StreamingEars(Awaited):
    """Understands words while they are spoken. What is said is kept until its words are told: a stream that fails, or
    says nothing after somebody spoke, loses none of it. `recordings` are asked instead; without them another stream is,
    which hears it again. The framework's `stt.FallbackAdapter` gives the next ears only what is said from then on, and
    does not notice a stream that says nothing."""

    def __init__(self, live: stt.STT[Any], vad: VAD, recordings: stt.STT[Any] | None = None) -> None:
        super().__init__(capabilities=dataclasses.replace(live.capabilities, offline_recognize=recordings is not None))
        self.live, self.vad, self.recordings = live, vad, recordings
        live.on("metrics_collected", self._on_metrics)
        if recordings not in (None, live):
            recordings.on("metrics_collected", self._on_metrics)

    @property
    def model(self) -> str:
        return self.live.model

    @property
    def provider(self) -> str:
        return self.live.provider

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _Stream(self, language, conn_options)

    async def _recognize_impl(self, buffer: AudioBuffer, **options: Any) -> stt.SpeechEvent:
        return await (self.recordings or self.live).recognize(buffer, **options)

    async def aclose(self) -> None:
        await self.live.aclose()
        if self.recordings:
            await self.recordings.aclose()

    def _on_metrics(self, metrics: Any) -> None:
        self.emit("metrics_collected", metrics)


class _Stream(stt.RecognizeStream):
    def __init__(self, ears: StreamingEars, language: NotGivenOr[str], conn_options: APIConnectOptions) -> None:
        self._ears = ears
        self._language = language
        self._live: stt.RecognizeStream | None = None
        self._kept: deque[tuple[float, rtc.AudioFrame]] = deque()
        """What no words were told of yet, and where it ends: seconds of sound since the stream began."""
        self._heard = self._told = 0.0
        """How much sound was heard, and up to where words are told, or never will be."""
        self._speaking = False
        self._owed: float | None = None
        """Where silence was heard after words that are not told yet."""
        self._tells = False
        """Whether the stream that is open told any words."""
        self._is_down = False
        """Whether the last stream failed, and no other has told anything since."""
        self._settled = asyncio.Event()
        self._settled.set()
        self._wanted = asyncio.Event()
        """Somebody speaks, or has spoken: a stream that is down is tried at once."""
        self._lost = asyncio.Event()
        """The stream that is open is not to be listened to any more."""
        self._waiting: asyncio.Task[None] | None = None
        super().__init__(stt=ears, conn_options=conn_options)

    async def _run(self) -> None:
        vad = self._ears.vad.stream()
        listening = asyncio.create_task(self._listen())
        try:
            await asyncio.gather(self._hear(vad), self._notice(vad))
        finally:
            await aio.cancel_and_wait(*filter(None, (listening, self._waiting)))
            await vad.aclose()

    async def _hear(self, vad: Any) -> None:
        """Pass sound on, and keep it."""
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                self._to_live("flush")
                continue
            self._heard += frame.duration
            self._kept.append((self._heard, frame))
            self._forget(self._heard - (_MOST_KEPT if self._speaking or self._owed else _LEAD_IN))
            vad.push_frame(frame)
            self._to_live("push_frame", frame)
        vad.end_input()
        self._to_live("end_input")

    def _to_live(self, what: str, *args: Any) -> None:
        if self._live:
            with contextlib.suppress(RuntimeError):  # it has just failed
                getattr(self._live, what)(*args)

    async def _notice(self, vad: Any) -> None:
        """Notice when somebody speaks, and when the words of it are owed: those of the last of it are not told yet."""
        async for event in vad:
            if event.type == VADEventType.START_OF_SPEECH:
                self._speaking = True
                self._wanted.set()
                if not self._live:
                    self._tell(stt.SpeechEventType.START_OF_SPEECH)
            elif event.type == VADEventType.END_OF_SPEECH:
                self._speaking = False
                if not self._live:
                    self._tell(stt.SpeechEventType.END_OF_SPEECH)
                if event.timestamp - event.silence_duration > self._told:
                    self._owe(event.timestamp, event.speech_duration)

    def _owe(self, upto: float, seconds: float) -> None:
        self._owed = upto
        self._wanted.set()
        self._settled.clear()
        if self._waiting:
            self._waiting.cancel()
        self._waiting = asyncio.create_task(self._wait(seconds))

    async def _wait(self, seconds: float) -> None:
        """Wait for the words of so many seconds of speech; find them otherwise where they do not come."""
        late = self._ears.in_time()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait() if self._live else asyncio.sleep(0), STREAM_PATIENCE)
            if self._ears.recordings:
                await self._recognize(self._ears.recordings)
                return
            late.cancel()
            self._lost.set()  # the next stream hears it again
            await asyncio.sleep(STREAM_PATIENCE)
            if seconds >= _SPEECH or self._is_down:
                self._emit_error(APITimeoutError("no words came"), recoverable=False)
            self._settle()
        finally:
            late.cancel()

    async def _recognize(self, recordings: stt.STT[Any]) -> None:
        frames = [frame for end, frame in self._kept if self._owed and end <= self._owed + _ROUNDING]
        try:
            heard = await recordings.recognize(frames, language=self._language, conn_options=self._conn_options)
        except APIError as error:
            self._emit_error(error, recoverable=False)
        else:
            if heard.alternatives and heard.alternatives[0].text:
                self._lost.set()  # else it tells the same words again
                self._event_ch.send_nowait(heard)
        self._settle()

    def _settle(self) -> None:
        """What was said is told, or will never be."""
        self._told = self._owed or self._heard
        self._owed = None
        self._forget(self._told + _ROUNDING)
        self._settled.set()

    def _forget(self, upto: float) -> None:
        while self._kept and self._kept[0][0] <= upto:
            self._kept.popleft()

    async def _listen(self) -> None:
        """Keep a stream open. With recordings none is opened while words are owed: both would tell them."""
        pause = _PAUSE
        while True:
            if self._ears.recordings:
                await self._settled.wait()
            self._tells = False
            self._wanted.clear()  # who speaks while it is tried is waited for no longer when it fails
            try:
                await self._listen_once()
            except Exception as error:
                self._is_down = True
                log.warning("[VOICE FAILED] the words' stream is lost: %s", type(error).__name__)
            pause = _PAUSE if self._tells else min(2 * pause, _LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), _PAUSE_OWED if self._owed else pause)

    async def _listen_once(self) -> None:
        self._lost.clear()
        once = dataclasses.replace(self._conn_options, max_retry=0)
        self._live = live = self._ears.live.stream(language=self._language, conn_options=once)
        lost = asyncio.create_task(self._lost.wait())
        try:
            for _, frame in self._kept:
                live.push_frame(frame)
            reading = asyncio.create_task(self._read(live))
            await asyncio.wait({lost, reading}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            await aio.cancel_and_wait(reading)
        finally:
            self._live = None
            self._lost.set()
            lost.cancel()
            await live.aclose()

    async def _read(self, live: stt.RecognizeStream) -> None:
        async for event in live:
            self._is_down = False
            if event.type == stt.SpeechEventType.RECOGNITION_USAGE:
                continue  # counted by the stream itself
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT and event.alternatives:
                if self._waiting:
                    self._waiting.cancel()
                self._tells = True
                self._settle()
            self._event_ch.send_nowait(event)

    def _tell(self, kind: stt.SpeechEventType) -> None:
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind))
