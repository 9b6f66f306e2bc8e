"""When it is whose turn.

The framework's clock runs from the end of speech. Where somebody pauses for longer than the VAD's silence, the first
part is recognised while they go on, and when they stop, `min_delay` is over before the second part is recognised: the
first part alone is taken for the turn, and the second becomes a turn of its own. With ears that take 0.45 s each pause
of 0.4 s cuts a sentence in two, and the framework's own model, which hears no words, changes nothing about that. So
our detector waits for words that are owed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, TurnHandlingOptions, inference, stt
from livekit.agents.inference.eot.languages import LOCAL_LANGUAGES
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.vad import VAD
from livekit.agents.voice.turn import TurnDetectionEvent

from voice.hearing import PatientEars, Words
from voice.settings import TurnDetection, VoiceNotConfigured

# In seconds of silence. Half a second for who has finished, as with silence alone; who has not is waited for as long
# as people think in the middle of a sentence, at the price that a whole sentence taken for half of one waits as well.
_MIN_DELAY, _MAX_DELAY = 0.5, 2.0
# For words that are owed, in seconds. Ears that take longer have the person told so.
_LONGEST = 3.0
# No end of a turn is so probable.
_NEVER = 2.0
_LOCAL = "turn-detector-v1-mini"
# Bytes that one session more needs for the local model: where its weights (235 MB) are shared by all that are forked
# from one process, and where each process loads its own.
_MODEL_BYTES, _OWN_MODEL_BYTES = 23e6, 235e6

Unfinished = Callable[[str], bool]
"""Does an English sentence that ends so go on?"""


def turn_taking(
    ears: stt.STT[Any], vad: VAD, how: TurnDetection, unfinished: Unfinished
) -> tuple[stt.STT[Any], TurnHandlingOptions]:
    """The ears for an `AgentSession` that hears with these, and its `turn_handling`. Raises `VoiceNotConfigured`."""
    if how == "silence":
        return ears, {"turn_detection": "vad", "interruption": {"mode": "vad"}}
    patient = PatientEars(ears, vad)
    detector = PatientDetector(patient.words, unfinished, _model(how))
    return patient, {
        "turn_detection": detector,
        "endpointing": {"min_delay": _MIN_DELAY, "max_delay": _MAX_DELAY},
        # "adaptive" is LiveKit's cloud, and the framework's own choice in development
        "interruption": {"mode": "adaptive" if how == "cloud" else "vad"},
    }


def session_bytes(how: TurnDetection) -> float:
    """What a session needs beside all else."""
    if how != "model":
        return 0.0
    return _MODEL_BYTES if sys.platform == "linux" else _OWN_MODEL_BYTES


def _model(how: TurnDetection) -> inference.TurnDetector | None:
    if how == "words":
        return None
    if how == "model":
        return inference.TurnDetector(version="v1-mini")  # unnamed it is the cloud's in development
    try:
        return inference.TurnDetector(version="v1", local_fallback=False)  # a worker would load the model for it
    except ValueError as error:
        raise VoiceNotConfigured(
            "TURN_DETECTION=cloud asks LiveKit's cloud: set its LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or "
            "LIVEKIT_INFERENCE_API_KEY and LIVEKIT_INFERENCE_API_SECRET, or choose TURN_DETECTION=words"
        ) from error


class PatientDetector:
    """Waits for words that are owed, takes no unfinished sentence for the end of a turn, and asks a model if there is
    one. The framework knows a detector by its members."""

    def __init__(self, words: Words, unfinished: Unfinished, model: inference.TurnDetector | None = None) -> None:
        self.words, self.unfinished = words, unfinished
        self._model = model
        self.model = model.model if model else "words"
        self.provider = model.provider if model else "rapport"

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> PatientStream:
        return PatientStream(self, self._model.stream(conn_options=conn_options) if self._model else None)


class PatientStream:
    """A session's decisions. Without a model each silence ends a turn, as far as sound can tell."""

    is_fallback = False
    prediction_timeout = 1.0

    def __init__(self, owner: PatientDetector, model: Any) -> None:
        self._owner, self._model = owner, model
        self.model, self.provider = owner.model, owner.provider
        if model:
            for name in ("predict", "cancel_inference", "flush", "push_audio", "end_input", "aclose"):
                setattr(self, name, getattr(model, name))

    async def supports_language(self, language: LanguageCode | None) -> bool:
        """What each decision awaits first. New words and new speech cancel it, and begin another."""
        words = self._owner.words
        await words.told(_LONGEST)
        # the framework would wait as long, and not see who begins to speak at the end of it
        await asyncio.sleep(words.ended_at + _MIN_DELAY - time.time())
        await words.told(_LONGEST)
        return True

    async def unlikely_threshold(self, language: LanguageCode | None) -> float | None:
        """How probable the end of the turn must be; None where nobody can tell."""
        spoken = language.language if language else ""
        if spoken in ("", "en") and self._owner.unfinished(self._owner.words.last):
            return _NEVER
        if self._model and (self.model != _LOCAL or not spoken or spoken in LOCAL_LANGUAGES):
            return await self._model.unlikely_threshold(language)
        return None

    async def backchannel_threshold(self, language: LanguageCode | None) -> float | None:
        return await self._model.backchannel_threshold(language) if self._model else None

    def predict(self) -> asyncio.Future[TurnDetectionEvent]:
        over = asyncio.get_running_loop().create_future()
        over.set_result(TurnDetectionEvent("eot_prediction", 1.0, last_speaking_time=time.time()))
        return over

    def cancel_inference(self, *, timed_out: bool = False) -> None: ...

    def flush(self, reason: str | None = None) -> None: ...

    def push_audio(self, frame: rtc.AudioFrame) -> None: ...

    def end_input(self) -> None: ...

    async def aclose(self) -> None: ...
