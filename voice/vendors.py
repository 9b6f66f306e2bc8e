"""Ears, mind and mouth of any vendor: OpenAI, a LiveKit plugin that is installed, or LiveKit Inference.

What a plugin makes is checked, and made when the worker starts: a wrong setting is one sentence then, and no call that
nobody answers.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import openai as openai_sdk
from livekit import rtc
from livekit.agents import inference, llm, stt, tts, version
from livekit.agents.types import NOT_GIVEN
from livekit.agents.vad import VAD
from livekit.plugins import openai

from voice.ears import LiveSTT, Patience, PatientSTT, StreamingEars, patient
from voice.settings import AUTO, Choice, Chosen, Part, VoiceNotConfigured, VoiceSettings

KINDS: Final[dict[Chosen, type[Any]]] = {"stt": stt.STT, "llm": llm.LLM, "tts": tts.TTS}
# All others have the framework's.
_OWN_VERSIONS = ("krisp", "ai_coustics")
# Plugins call the same thing by several names.
_MODEL = ("model", "model_name", "model_id")
_EXTRA = {"stt": ("language", "language_code", "languages"), "tts": ("voice", "voice_id", "voice_name", "speaker")}
# One of these is served as a stream alone, the other hears recordings better than streams.
_LIVE = {"gpt-transcribe": "gpt-live-transcribe"}
_RECORDED = {"gpt-live-transcribe": "gpt-transcribe", "gpt-realtime-whisper": "gpt-transcribe"}

Ears = Patience | StreamingEars


def load(settings: VoiceSettings) -> list[str]:
    """Import the plugins that the settings name, and return their names: they are worth preloading. Call it in the main
    thread: they register themselves there, and refuse any other. One that is missing is told of when it is used."""
    loaded: list[str] = []
    for part in KINDS:
        if (choice := settings.choice(part)).vendor not in ("openai", "inference"):
            with contextlib.suppress(VoiceNotConfigured):
                loaded.append(_plugin(choice.vendor, str(choice)).__name__)
    with contextlib.suppress(VoiceNotConfigured):
        if settings.noise_cancellation != "off":
            loaded.append(_plugin(settings.noise_cancellation.replace("-", "_"), "").__name__)
    return loaded


def require(settings: VoiceSettings) -> None:
    """Raise `VoiceNotConfigured` unless all that the settings name can be made."""
    settings.require_keys()
    for part in KINDS:
        heard = part != "stt" or settings.voice_mode == "pipeline"
        if heard and (choice := settings.choice(part)).vendor != "openai":
            make(choice, settings)
    noise_filter(settings)


def why_silent(settings: VoiceSettings) -> str:
    """What `require` refuses; empty if nothing."""
    try:
        require(settings)
    except VoiceNotConfigured as error:
        return str(error)
    return ""


def make(
    choice: Choice,
    settings: VoiceSettings,
    http: Callable[[], aiohttp.ClientSession] | None = None,
    like: Callable[[type[Any]], type[Any]] = lambda plugin: plugin,
) -> Any:
    """One part, which connects when it is used; of a class `like` the plugin's. Raises `VoiceNotConfigured`."""
    if choice.vendor == "inference":
        factory: Any = getattr(inference, choice.part.upper())
        key, secret = settings.inference_pair()
        options: dict[str, Any] = {"api_key": key, "api_secret": secret}
        options["base_url"] = settings.livekit_inference_url or (None if choice.part == "llm" else NOT_GIVEN)
    else:
        factory = getattr(_plugin(choice.vendor, str(choice)), choice.part.upper(), None)
        if not (isinstance(factory, type) and issubclass(factory, KINDS[choice.part])):
            raise VoiceNotConfigured(f"{choice}: livekit.plugins.{choice.vendor} has no {choice.part.upper()}")
        options = {}
    takes = inspect.signature(factory).parameters
    if choice.model:
        options[_name(choice, _MODEL, takes, "model")] = choice.model
    if choice.extra:
        names = _EXTRA.get(choice.part, ())
        options[_name(choice, names, takes, "language" if choice.part == "stt" else "voice")] = choice.extra
    elif choice.part == "stt" and (name := _first(_EXTRA["stt"], takes)):
        if settings.stt_language != AUTO:
            options[name] = settings.stt_language
        elif "nova-3" in (choice.model or ""):
            options[name] = "multi"  # Deepgram's, and its name for it; others have each a way of their own
    if http and "http_session" in takes:
        options["http_session"] = http()
    try:
        made = like(factory)(**options)
    except Exception as error:  # each plugin has its own for a missing key
        raise VoiceNotConfigured(f"{choice}: {error}") from error
    if choice.part == "stt" and settings.stt_streaming == ("off" if made.capabilities.streaming else "on"):
        hears = "streams" if made.capabilities.streaming else "recordings"
        raise VoiceNotConfigured(f"{choice} hears {hears}: set STT_STREAMING=auto, or choose another")
    return made


def noise_filter(settings: VoiceSettings, *, telephone: bool = False) -> rtc.FrameProcessor[rtc.AudioFrame] | None:
    """What takes noise out of one person's sound; None where nobody asked for it. LiveKit Cloud lets it work, and bills
    it. Raises `VoiceNotConfigured`."""
    how = settings.noise_cancellation
    if how == "off":
        return None
    plugin = _plugin(how.replace("-", "_"), f"NOISE_CANCELLATION={how}", "off")
    if how == "ai-coustics":
        return plugin.audio_enhancement()
    return plugin.voice_isolation_telephony() if telephone else plugin.voice_isolation()


def _plugin(vendor: str, setting: str, otherwise: str = "openai, inference, or another plugin of LiveKit's") -> Any:
    try:
        return importlib.import_module(f"livekit.plugins.{vendor}")
    except ImportError as error:
        package = f"livekit-plugins-{vendor.replace('_', '-')}"
        if vendor not in _OWN_VERSIONS:
            package += f"=={version.__version__}"
        raise VoiceNotConfigured(
            f"{setting}: {error}. Install it (pip install {package}), or choose {otherwise}"
        ) from error


def _name(choice: Choice, names: Sequence[str], takes: object, what: str) -> str:
    if name := _first(names, takes):
        return name
    raise VoiceNotConfigured(f"{choice}: {choice.vendor} takes no {what}; leave it out")


def _first(names: Sequence[str], takes: Any) -> str | None:
    return next((name for name in names if name in takes), None)


class Parts:
    """What one session's parts are made from. Each of its methods raises `VoiceNotConfigured`."""

    def __init__(
        self,
        settings: VoiceSettings,
        vad: VAD,
        client: Callable[[Part], openai_sdk.AsyncClient],
        http: Callable[[], aiohttp.ClientSession],
    ) -> None:
        self._settings, self._vad, self._client, self._http = settings, vad, client, http

    def ears(self) -> Ears:
        settings, choice = self._settings, self._settings.choice("stt")
        if choice.vendor == "openai":
            return self._openai_ears(choice.model or settings.stt_model, choice.extra or settings.stt_language)
        ears = make(choice, settings, self._http, like=patient)
        assert isinstance(ears, Patience)  # noqa: S101 - `patient` made it one
        able = ears.capabilities
        return StreamingEars(ears, self._vad, ears if able.offline_recognize else None) if able.streaming else ears

    def mind(self) -> llm.LLM[Any]:
        settings, choice = self._settings, self._settings.choice("llm")
        if choice.vendor == "openai":
            return openai.LLM(model=choice.model or settings.llm_model, client=self._client("llm"))
        return make(choice, settings, self._http)

    def mouth(self) -> tts.TTS[Any]:
        settings, choice = self._settings, self._settings.choice("tts")
        if choice.vendor == "openai":
            return openai.TTS(
                model=choice.model or settings.tts_model,
                voice=choice.extra or settings.tts_voice,
                speed=settings.tts_speed,
                response_format=settings.tts_format,
                client=self._client("tts"),
            )
        return make(choice, settings, self._http)

    def _openai_ears(self, model: str, language: str) -> Ears:
        common: dict[str, Any] = {
            "language": language,
            "detect_language": language == AUTO,
            "client": self._client("stt"),
        }
        recordings = PatientSTT(model=_RECORDED.get(model, model), **common)
        if not self._settings.streams:
            return recordings
        model = _LIVE.get(model, model)
        if model in _RECORDED:  # its server does not notice when somebody stops
            common["vad"] = self._vad
        return StreamingEars(LiveSTT(self._http(), model=model, **common), self._vad, recordings)
