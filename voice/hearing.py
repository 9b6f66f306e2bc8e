"""Ears that know what they still owe: words that were said, and are not understood yet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, NotGivenOr, stt
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.utils import aio, merge_frames
from livekit.agents.vad import VAD, VADEventType

from voice.ears import StreamingEars

_RETRY_NOTHING = APIConnectOptions(max_retry=0)  # what is asked retries by itself
# In seconds. Words that were told just now are on their way to the session, where they begin a new decision.
_ON_THEIR_WAY = 0.05


class Words:
    """What was said, as far as it is told."""

    def __init__(self) -> None:
        self.last = ""
        """The last words that were told."""
        self.ended_at = 0.0
        """When somebody spoke last, in seconds of `time.time`."""
        self._coming = False
        self._owed = 0
        """Parts that ended. It counts when they end, not when their recognition begins: that may have to wait."""
        self._told = asyncio.Event()
        self._told.set()

    async def told(self, longest: float) -> None:
        """Returns when nothing is owed, or after so many seconds."""
        if self._told.is_set():
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), longest)
        await asyncio.sleep(_ON_THEIR_WAY)

    def coming(self, sound: bool = True) -> None:
        """Somebody speaks, or begins to; or it was another sound."""
        self._coming = sound
        self._look()

    def ended(self, at: float) -> None:
        """They stopped: what they said is owed."""
        self.ended_at = at
        self._coming = False
        self._owed += 1
        self._look()

    def tell(self, text: str) -> None:
        """Nothing, for what could not be understood."""
        self.last = text or self.last
        self._owed -= 1
        self._look()

    def settle(self, text: str = "") -> None:
        """All of it is told, or will never be."""
        self.last = text or self.last
        self._coming, self._owed = False, 0
        self._look()

    def _look(self) -> None:
        if self._coming or self._owed:
            self._told.clear()
        else:
            self._told.set()


class PatientEars(stt.StreamAdapter):
    """Any STT, in place of the framework's adapter. One that recognises recordings gets each part as soon as it ended,
    and they are told in their order; a part that it cannot recognise is one error, and not the end of the stream."""

    def __init__(self, recogniser: stt.STT[Any], vad: VAD) -> None:
        super().__init__(stt=recogniser, vad=vad)
        self.words = Words()
        if recogniser.capabilities.streaming:
            self._capabilities = recogniser.capabilities
        if isinstance(recogniser, StreamingEars) or not recogniser.capabilities.streaming:
            recogniser.on("error", self._on_error)  # other streams end with their errors, and tell of them so

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        if self._stt.capabilities.streaming:
            return _Live(self, language, conn_options)
        return _Recordings(
            self, self.words, vad=self._vad, wrapped_stt=self._stt, language=language, conn_options=conn_options
        )

    async def aclose(self) -> None:
        """The recogniser is its owner's to close."""
        self._stt.off("error", self._on_error)
        await super().aclose()

    def _on_error(self, *error: Any) -> None:
        self.emit("error", *error)


class _Recordings(stt.StreamAdapterWrapper):
    def __init__(self, ears: PatientEars, words: Words, **options: Any) -> None:
        super().__init__(ears, **options)
        self._words = words

    async def _run(self) -> None:
        speech = self._vad.stream()
        parts = asyncio.Queue[tuple[float, asyncio.Task[stt.SpeechData | None]] | None]()

        async def notice() -> None:
            async for event in speech:
                if event.type == VADEventType.START_OF_SPEECH:
                    self._words.coming()
                    self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH))
                elif event.type == VADEventType.INFERENCE_DONE and not event.speaking:
                    self._words.coming(event.raw_accumulated_speech > 0)  # a start, or a noise
                elif event.type == VADEventType.END_OF_SPEECH:
                    ended = time.time() - event.silence_duration - event.inference_duration
                    self._words.ended(ended)
                    over = stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH, speech_end_time=ended)
                    self._event_ch.send_nowait(over)
                    parts.put_nowait((ended, tasks.create_task(self._recognise(event.frames))))
            parts.put_nowait(None)

        async def tell() -> None:
            while part := await parts.get():
                ended, recognition = part
                if heard := await recognition:
                    final = stt.SpeechEventType.FINAL_TRANSCRIPT
                    self._event_ch.send_nowait(stt.SpeechEvent(final, alternatives=[heard], speech_end_time=ended))
                self._words.tell(heard.text if heard else "")

        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (_forward(self._input_ch, speech), notice(), tell()):
                    tasks.create_task(work)
        finally:
            self._words.settle()
            await speech.aclose()

    async def _recognise(self, frames: list[rtc.AudioFrame]) -> stt.SpeechData | None:
        """None for what has no words in it, and where it fails, which the recogniser has told of."""
        try:
            event = await self._wrapped_stt.recognize(
                merge_frames(frames), language=self._language, conn_options=self._wrapped_stt_conn_options
            )
        except Exception:  # whatever a client raises, the next part may be understood
            return None
        return next((heard for heard in event.alternatives[:1] if heard.text), None)


class _Live(stt.RecognizeStream):
    """Of an STT that hears for itself when words begin and end: what came after its last final words is owed."""

    def __init__(self, ears: PatientEars, language: NotGivenOr[str], conn_options: APIConnectOptions) -> None:
        super().__init__(stt=ears, conn_options=_RETRY_NOTHING)
        self._words = ears.words
        self._open = partial(ears.wrapped_stt.stream, language=language, conn_options=conn_options)

    async def _metrics_monitor_task(self, event_aiter: Any) -> None:
        async for _ in event_aiter:  # the recogniser measures
            pass

    async def _run(self) -> None:
        async with self._open() as stream:
            stream.start_time_offset = self.start_time_offset
            forwarding = asyncio.create_task(_forward(self._input_ch, stream))
            try:
                async for event in stream:
                    self._notice(event)
                    self._event_ch.send_nowait(event)
            finally:
                self._words.settle()
                await aio.cancel_and_wait(forwarding)

    def _notice(self, event: stt.SpeechEvent) -> None:
        text = event.alternatives[0].text if event.alternatives else ""
        if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
            self._words.settle(text)
        elif event.type == stt.SpeechEventType.INTERIM_TRANSCRIPT and text:
            self._words.coming()


async def _forward(frames: Any, stream: Any) -> None:
    """What is heard, to whoever listens to it."""
    async for frame in frames:
        if isinstance(frame, rtc.AudioFrame):
            stream.push_frame(frame)
        else:
            stream.flush()
    stream.end_input()
