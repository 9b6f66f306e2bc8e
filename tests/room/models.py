"""Ears, mind and mouth that do what the test says, at once and without a network.

Speech is text put into samples (`spoken`), so that what a session hears is exactly what was said to it: a word that
turns up in another session came through the product, not through a recogniser's mistake.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    AgentSession,
    APIConnectOptions,
    LanguageCode,
    NotGivenOr,
    SpeechCreatedEvent,
    llm,
    stt,
    tts,
    utils,
    vad,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import SpeechHandle

SAMPLE_RATE = 24000
_FRAME = SAMPLE_RATE // 20
_STEP = 64
_HUM = 1


def spoken(words: str) -> list[rtc.AudioFrame]:
    """The words as sound: a frame that carries them, and the silence after it that ends the turn."""
    samples = [(byte + 1) * _STEP for byte in words.encode()]
    assert len(samples) < _FRAME, "say it in fewer words"
    samples += [_HUM] * (_FRAME - len(samples))
    return [_frame(samples), _frame([0] * _FRAME)]


def _frame(samples: list[int]) -> rtc.AudioFrame:
    data = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    return rtc.AudioFrame(data, SAMPLE_RATE, 1, len(samples))


def _words_in(frames: utils.AudioBuffer) -> str:
    heard = rtc.combine_audio_frames(frames).data
    return bytes(sample // _STEP - 1 for sample in heard if sample >= _STEP).decode()


class ScriptedVAD(vad.VAD):
    """Whatever is not digital silence is speech; the first silent frame ends it."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.05))

    def stream(self) -> vad.VADStream:
        return _VADStream(self)


class _VADStream(vad.VADStream):
    async def _main_task(self) -> None:
        speech: list[rtc.AudioFrame] = []
        heard = 0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                speech = []
                continue
            heard += frame.samples_per_channel
            loud = any(frame.data)
            if loud and not speech:
                self._tell(vad.VADEventType.START_OF_SPEECH, heard, [frame], speaking=True)
            if loud:
                speech.append(frame)
            self._tell(vad.VADEventType.INFERENCE_DONE, heard, [frame], speaking=loud)
            if not loud and speech:
                self._tell(vad.VADEventType.END_OF_SPEECH, heard, speech, speaking=False)
                speech = []

    def _tell(self, kind: vad.VADEventType, heard: int, frames: list[rtc.AudioFrame], *, speaking: bool) -> None:
        self._event_ch.send_nowait(
            vad.VADEvent(
                type=kind,
                samples_index=heard,
                timestamp=heard / SAMPLE_RATE,
                speech_duration=0.05 if speaking else 0.0,
                silence_duration=0.0 if speaking else 0.05,
                frames=list(frames),
                probability=float(speaking),
                speaking=speaking,
            )
        )


class ScriptedSTT(stt.STT):
    """Hears exactly the words that `spoken` put into the sound, and tells their language as `language_of` says."""

    def __init__(self, language_of: Callable[[str], str] = lambda words: "en") -> None:
        self._language_of = language_of
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.SpeechEvent:
        words = _words_in(buffer)
        heard = stt.SpeechData(language=LanguageCode(self._language_of(words)), text=words)
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])


@dataclass(frozen=True)
class Call:
    """The mind wants a tool."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


INSTRUCTIONS = re.compile(r"<instructions>\n(.*?)\n</instructions>", re.DOTALL)
_BLOCKS = re.compile(
    r"^(?:<memory>\n.*?</memory>\n\n)?(?:<earlier_conversation>\n.*?</earlier_conversation>(?:\n\n|$))?", re.DOTALL
)


def bare(text: str) -> str:
    """What of a message is the conversation's: neither instructions, nor memories, nor a stage direction."""
    said = INSTRUCTIONS.sub("", _BLOCKS.sub("", text)).strip()
    return "" if said.startswith("(") and said.endswith(")") else said


@dataclass(frozen=True)
class Request:
    """What the mind was asked with."""

    chat_ctx: llm.ChatContext
    tools: tuple[str, ...] = ()
    """The names of those that it might call."""

    @property
    def everything(self) -> str:
        """All the text that the model could see: instructions, memories, conversation, tool answers."""
        # what was measured of a message is not sent with it
        return json.dumps(self.chat_ctx.to_dict(exclude_metrics=True), ensure_ascii=False)

    @property
    def instructions(self) -> str:
        """The agent's own, and those for one reply."""
        return "\n".join(
            "\n".join(INSTRUCTIONS.findall(text)) if role == "user" else text
            for role, text in self._messages
            if role in ("system", "user")
        )

    @property
    def told(self) -> list[tuple[str, str]]:
        """The conversation as the model sees it: who said what, without instructions, memories and stage directions."""
        said = [(role, bare(text)) for role, text in self._messages if role in ("user", "assistant")]
        return [(role, text) for role, text in said if text]

    @property
    def words(self) -> str:
        """The person's last words; empty where they have said nothing yet, and where the agent speaks by itself."""
        role, text = self._messages[-1]
        if role == "user" and INSTRUCTIONS.search(text):
            return ""
        return next((text.split("\n\n")[-1] for role, text in reversed(self.told) if role == "user"), "")

    @property
    def _messages(self) -> list[tuple[str, str]]:
        return [(item.role, item.text_content or "") for item in self.chat_ctx.messages()]

    @property
    def tool_has_answered(self) -> bool:
        return bool(self.chat_ctx.items) and self.chat_ctx.items[-1].type == "function_call_output"


class ScriptedLLM(llm.LLM):
    """Answers with what `mind` returns; a text, or a tool call."""

    def __init__(self, mind: Callable[[Request], str | Call]) -> None:
        super().__init__()
        self.mind = mind
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        request = Request(chat_ctx.copy(), tuple(llm.ToolContext(tools or []).function_tools))
        with self._lock:
            self._requests.append(request)
        return _LLMStream(self, request, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _LLMStream(llm.LLMStream):
    def __init__(self, owner: ScriptedLLM, request: Request, **options: Any) -> None:
        super().__init__(owner, **options)
        self._owner, self._request = owner, request

    async def _run(self) -> None:
        answer = self._owner.mind(self._request)
        if isinstance(answer, str):
            delta = llm.ChoiceDelta(role="assistant", content=answer)
        else:
            call = llm.FunctionToolCall(
                name=answer.name, arguments=json.dumps(answer.arguments), call_id=uuid.uuid4().hex
            )
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
        self._event_ch.send_nowait(llm.ChatChunk(id=uuid.uuid4().hex, delta=delta))


class ScriptedTTS(tts.TTS):
    """So many seconds of sound for any text."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=SAMPLE_RATE, num_channels=1)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Chunks(tts=self, input_text=text, conn_options=conn_options)


class _Chunks(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, ScriptedTTS)
        output_emitter.initialize(
            request_id=uuid.uuid4().hex, sample_rate=SAMPLE_RATE, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(b"\1\0" * int(SAMPLE_RATE * self._tts.seconds))
        output_emitter.flush()


class ScriptedSession(AgentSession[None]):
    """A session whose turns end as in the shipped one, but without waiting for anything."""

    def __init__(self, mind: llm.LLM, ears: stt.STT | None = None) -> None:
        super().__init__(
            vad=ScriptedVAD(),
            stt=ears or ScriptedSTT(),
            llm=mind,
            tts=ScriptedTTS(),
            turn_handling={
                "turn_detection": "vad",
                "interruption": {"mode": "vad"},
                "endpointing": {"min_delay": 0.0, "max_delay": 0.0},
            },
            session_close_transcript_timeout=0.05,
        )
        self._unfinished: set[SpeechHandle] = set()
        self.on("speech_created", self._on_speech)

    @property
    def quiet(self) -> bool:
        """The agent has finished whatever it was going to say. What a person says before that is lost: the session
        takes something so short for noise while it speaks itself."""
        return not self._unfinished

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        self._unfinished.add(event.speech_handle)
        event.speech_handle.add_done_callback(self._unfinished.discard)
