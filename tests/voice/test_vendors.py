"""Whose models a session uses, and whom a wrong setting is told to."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import inference
from livekit.plugins import openai
from pydantic import ValidationError

from voice import vendors
from voice.ears import Patience, StreamingEars
from voice.session import Prepared, Voice, prepare
from voice.settings import Choice, VoiceNotConfigured, VoiceSettings

PLUGIN = Path(__file__).parent / "plugin"
CLOUD = {
    "livekit_url": "wss://x.livekit.cloud",
    "livekit_api_key": "cloud-key",
    "livekit_api_secret": "cloud-secret-that-is-long-enough-to-sign",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*VoiceSettings.model_fields, "livekit_remote_eot_url"]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PRETEND_API_KEY", "x")


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(PLUGIN))
    yield


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare()


def settings(**changes: Any) -> VoiceSettings:
    return VoiceSettings(**{"openai_api_key": "sk-one", **changes})


# -- what a setting says


@pytest.mark.parametrize(
    ("part", "setting", "choice"),
    [
        ("stt", "openai", Choice("stt", "openai")),
        ("stt", "openai/whisper-1:de", Choice("stt", "openai", "whisper-1", "de")),
        ("stt", "openai/Systran/faster-whisper-small.en", Choice("stt", "openai", "Systran/faster-whisper-small.en")),
        ("llm", "openai/qwen3:8b", Choice("llm", "openai", "qwen3:8b")),
        ("stt", "deepgram/nova-3:en", Choice("stt", "deepgram", "nova-3", "en")),
        ("tts", "cartesia/sonic-3:voice-1", Choice("tts", "cartesia", "sonic-3", "voice-1")),
        ("stt", "inference/deepgram/nova-3:pt-BR", Choice("stt", "inference", "deepgram/nova-3", "pt-BR")),
        ("tts", "inference", Choice("tts", "inference", "cartesia/sonic-3")),
    ],
)
def test_a_choice_is_a_vendor_a_model_and_a_language_or_voice(part: Any, setting: str, choice: Choice) -> None:
    assert VoiceSettings(**{part: setting}).choice(part) == choice


@pytest.mark.parametrize("setting", ["Deepgram/nova-3", "deepgram.stt/x", "../x", "deepgram/", "deepgram nova-3", "/x"])
def test_what_is_no_choice_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT", setting)
    with pytest.raises(ValidationError, match=r"STT\n.*deepgram/nova-3"):
        VoiceSettings()


@pytest.mark.parametrize(
    ("given", "vendor"),
    [
        ({}, "openai"),
        (CLOUD, "inference"),
        ({**CLOUD, "livekit_url": "wss://livekit.example.com"}, "openai"),
        ({**CLOUD, "livekit_url": "wss://livekit.cloud.example.com"}, "openai"),
        ({**CLOUD, "livekit_api_secret": " "}, "openai"),
        ({**CLOUD, "openai_api_key": "sk-one"}, "openai"),
        ({**CLOUD, "stt_base_url": "http://ears"}, "openai"),
        ({**CLOUD, "llm_base_url": "http://mind"}, "inference"),
    ],
)
def test_livekit_inference_is_the_default_on_livekit_cloud_without_openai(given: Any, vendor: str) -> None:
    assert VoiceSettings(**given).choice("stt").vendor == vendor


def test_a_hosted_worker_is_on_livekit_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_REMOTE_EOT_URL", "http://x")
    assert VoiceSettings(**{**CLOUD, "livekit_url": "ws://10.0.0.1"}).choice("stt").vendor == "inference"


# -- whose key is shown to whom


@pytest.mark.parametrize("own", ["wss://livekit.example.com", None])
def test_the_keys_of_ones_own_server_are_not_shown_to_livekits_gateway(own: str | None) -> None:
    with pytest.raises(VoiceNotConfigured, match="LIVEKIT_INFERENCE_API_KEY"):
        vendors.require(VoiceSettings(**{**CLOUD, "livekit_url": own, "llm": "inference", "openai_api_key": "sk"}))


async def test_inference_is_shown_its_own_keys_or_those_of_livekit_cloud(prepared: Prepared) -> None:
    apart = {
        "livekit_inference_api_key": "apart",
        "livekit_inference_api_secret": "apart-secret-that-is-long-enough-to-sign",
    }
    for given, key in ((CLOUD, "cloud-key"), ({**CLOUD, **apart}, "apart"), (apart, "apart")):
        gateway = {"livekit_inference_url": "http://gateway/v1", "stt_language": "de"}
        chosen = VoiceSettings(**{**given, **gateway, "stt": "inference", "llm": "inference", "tts": "inference"})
        built = Voice(chosen, prepared)
        ears, mind, mouth = built.session.stt.wrapped_stt, built.session.llm, built.session.tts
        assert isinstance(ears, StreamingEars)
        assert ears.recordings is None
        assert isinstance(ears.live, inference.STT)
        assert isinstance(mind, inference.LLM)
        assert isinstance(mouth, inference.TTS)
        assert {part._opts.api_key for part in (ears.live, mind, mouth)} == {key}
        assert {part._opts.base_url for part in (ears.live, mind, mouth)} == {"http://gateway/v1"}
        assert str(ears.live._opts.language) == "de"
        await built.aclose()


# -- a plugin


async def test_a_plugin_is_made_with_what_it_takes_and_in_no_other_thread(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(stt="pretend/recordings:de", llm="pretend/mind-2", tts="pretend/streaming:alice")
    assert set(vendors.load(chosen)) == {"livekit.plugins.pretend"}
    from livekit.plugins import pretend  # type: ignore[attr-defined]

    async def job() -> Voice:
        vendors.require(chosen)
        built = Voice(chosen, prepared)
        await built.aclose()
        return built

    session = (await asyncio.to_thread(lambda: asyncio.run(job()))).session
    assert isinstance(session.stt.wrapped_stt, pretend.STT)
    assert isinstance(session.stt.wrapped_stt, Patience)
    assert (session.stt.model, session.stt.wrapped_stt.language) == ("recordings", "de")
    assert (session.llm.model_name, session.tts.model_name, session.tts.voice_id) == ("mind-2", "streaming", "alice")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("model", "recordings"), [("streaming", False), ("streaming-and-recordings", True)], ids=["alone", "with"]
)
async def test_a_plugin_that_streams_is_replaced_by_its_own_recordings_if_it_hears_any(
    prepared: Prepared, model: str, recordings: bool
) -> None:
    built = Voice(settings(stt=f"pretend/{model}", stt_language="fr"), prepared)
    ears = built.session.stt.wrapped_stt
    assert isinstance(ears, StreamingEars)
    assert ears.recordings is (ears.live if recordings else None)
    assert ears.live.language == "fr"  # type: ignore[attr-defined]
    assert isinstance(built.session.llm, openai.LLM)
    await built.aclose()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stt": "deepgrm/nova-3"}, r"STT=deepgrm/nova-3: .*pip install livekit-plugins-deepgrm==\d"),
        ({"tts": "noise_x/y"}, r"TTS=noise_x/y: .*pip install livekit-plugins-noise-x=="),
        ({"llm": "silero"}, "LLM=silero: livekit.plugins.silero has no LLM"),
        ({"tts": "pretend/x/y:z", "stt": "pretend"}, "PRETEND_API_KEY"),
        ({"llm": "inference"}, "LIVEKIT_INFERENCE_API_KEY"),
    ],
)
def test_what_cannot_be_had_is_one_sentence_before_anybody_calls(
    given: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRETEND_API_KEY")
    wrong = settings(**given)
    with pytest.raises(VoiceNotConfigured, match=said):
        vendors.require(wrong)
    assert vendors.why_silent(wrong)
    assert "\n" not in vendors.why_silent(wrong)
    assert vendors.why_silent(settings()) == ""


def test_a_voice_is_refused_where_the_plugin_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    vendors.load(settings(tts="pretend"))
    from livekit.plugins import pretend  # type: ignore[attr-defined]

    class Dumb(pretend.TTS):
        def __init__(self, *, model: str = "") -> None: ...

    monkeypatch.setattr(pretend, "TTS", Dumb)
    with pytest.raises(VoiceNotConfigured, match="takes no voice"):
        vendors.require(settings(tts="pretend/sentences:alice"))


@pytest.mark.parametrize(("model", "streaming"), [("recordings", "on"), ("streaming", "off")])
def test_streaming_that_a_plugin_cannot_do_is_refused(model: str, streaming: str) -> None:
    with pytest.raises(VoiceNotConfigured, match="STT_STREAMING=auto"):
        vendors.require(settings(stt=f"pretend/{model}", stt_streaming=streaming))


def test_a_realtime_model_needs_no_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    vendors.require(settings(voice_mode="realtime", stt="deepgrm/nova-3"))


@pytest.mark.parametrize(("model", "language"), [("deepgram/nova-3", "multi"), ("assemblyai/u3-rt-pro", None)])
def test_ears_that_are_told_no_language_follow_the_person_if_they_can(model: str, language: str | None) -> None:
    ears = vendors.make(Choice("stt", "inference", model), settings(**CLOUD))
    assert (str(ears._opts.language) if ears._opts.language else None) == language


# -- noise


@pytest.mark.parametrize(
    ("how", "telephone", "made"),
    [
        ("krisp", False, "krisp.voice_isolation"),
        ("krisp", True, "krisp.voice_isolation_telephony"),
        ("ai-coustics", True, "ai_coustics.audio_enhancement"),
    ],
)
def test_noise_is_taken_out_by_the_plugin_that_is_named(
    monkeypatch: pytest.MonkeyPatch, how: Any, telephone: bool, made: str
) -> None:
    plugin, _, name = made.partition(".")
    module = types.ModuleType(f"livekit.plugins.{plugin}")
    setattr(module, name, lambda: made)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert vendors.noise_filter(settings(noise_cancellation=how), telephone=telephone) == made
    assert vendors.load(settings(noise_cancellation=how)) == [module.__name__]


@pytest.mark.parametrize("how", ["krisp", "ai-coustics"])
def test_noise_cancellation_that_is_not_installed_is_refused_before_anybody_calls(how: Any) -> None:
    with pytest.raises(VoiceNotConfigured, match=rf"NOISE_CANCELLATION={how}: .*pip install livekit-plugins-{how}\)"):
        vendors.require(settings(noise_cancellation=how))
    assert vendors.noise_filter(settings()) is None
