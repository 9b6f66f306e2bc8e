"""A vendor's plugin as LiveKit's are, of the tests' own. What it hears is the words that `tests.room.models.spoken` put
into the sound; what it says lasts a tenth of a second."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectionError, Plugin, llm, stt, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN

from tests.room.models import _words_in

made: list[Any] = []


class _Plugin(Plugin):
    def __init__(self) -> None:
        super().__init__(__name__, "1.0", __package__ or __name__)


Plugin.register_plugin(_Plugin())  # refuses any thread but the main one


async def _suffer(fault: str) -> None:
    if fault == "refused":
        raise APIConnectionError("refused")
    if fault == "hangs":
        await asyncio.Event().wait()


class STT(stt.STT):
    def __init__(self, *, model: str = "recordings", language: str = "en") -> None:
        streaming, recording = "streaming" in model, "recordings" in model
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=streaming, interim_results=streaming, offline_recognize=recording
            )
        )
        if not os.environ.get("PRETEND_API_KEY"):
            raise ValueError("PRETEND_API_KEY is not set")
        self.model_name, self.language = model, language
        self.fault = self.recording_fault = ""
        self.decided = asyncio.Event()
        """Until then a stream that is "refused late" is not refused."""
        self.streams = self.recordings = 0
        made.append(self)

    @property
    def model(self) -> str:
        return self.model_name

    async def _recognize_impl(self, buffer: Any, **_: Any) -> stt.SpeechEvent:
        self.recordings += 1
        await _suffer(self.recording_fault)
        return _final(_words_in(buffer))

    def stream(self, *, language: Any = NOT_GIVEN, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        self.streams += 1
        return _Stream(stt=self, conn_options=conn_options)


class _Stream(stt.RecognizeStream):
    async def _run(self) -> None:
        ears: Any = self._stt
        frames: list[rtc.AudioFrame] = []
        fault: str = ears.fault
        if fault == "refused late":
            await ears.decided.wait()
        if fault.startswith("refused"):
            await _suffer("refused")
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            if ears.fault == "cut" and any(frame.data):
                ears.fault = ""
                await _suffer("refused")
            await _suffer(ears.fault)
            if any(frame.data):
                frames.append(frame)
            elif frames:
                self._event_ch.send_nowait(_final(_words_in(frames)))
                frames = []


def _final(words: str) -> stt.SpeechEvent:
    heard = stt.SpeechData(language="en", text=words)  # type: ignore[arg-type]
    return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])


class LLM(llm.LLM):
    def __init__(self, *, model: str = "mind") -> None:
        super().__init__()
        self.model_name, self.fault = model, ""
        made.append(self)

    def chat(self, *, chat_ctx: Any, tools: Any = None, conn_options: Any = None, **_: Any) -> Any:
        return _Reply(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Reply(llm.LLMStream):
    async def _run(self) -> None:
        await _suffer(self._llm.fault)  # type: ignore[attr-defined]
        said = llm.ChoiceDelta(role="assistant", content=f"You said: {self._chat_ctx.messages()[-1].text_content}.")
        if self._llm.fault != "empty":  # type: ignore[attr-defined]
            self._event_ch.send_nowait(llm.ChatChunk(id="x", delta=said))


class TTS(tts.TTS):
    def __init__(self, *, model: str = "sentences", voice_id: str = "somebody") -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=model == "streaming"), sample_rate=24_000, num_channels=1
        )
        self.model_name, self.voice_id, self.fault = model, voice_id, ""
        made.append(self)

    def synthesize(self, text: str, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        return _Sentence(tts=self, input_text=text, conn_options=conn_options)

    def stream(self, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        return _Speech(tts=self, conn_options=conn_options)


async def _say(voice: Any, emitter: Any) -> None:
    await _suffer(voice.fault)
    if voice.fault != "empty":
        emitter.push(b"\1\0" * 2400)


class _Sentence(tts.ChunkedStream):
    async def _run(self, output_emitter: Any) -> None:
        output_emitter.initialize(request_id="x", sample_rate=24_000, num_channels=1, mime_type="audio/pcm")
        await _say(self._tts, output_emitter)


class _Speech(tts.SynthesizeStream):
    async def _run(self, output_emitter: Any) -> None:
        output_emitter.initialize(
            request_id="x", sample_rate=24_000, num_channels=1, mime_type="audio/pcm", stream=True
        )
        output_emitter.start_segment(segment_id="y")
        async for words in self._input_ch:
            if isinstance(words, str):
                self._mark_started()
                await _say(self._tts, output_emitter)
        output_emitter.end_segment()
