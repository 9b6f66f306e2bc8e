"""PatientSTT, mind and mouth, put together without asking anybody on the network."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from livekit.plugins import openai, silero
from livekit.plugins.openai import stt as openai_stt

import voice.session
from voice.ears import StreamingEars
from voice.hearing import PatientEars
from voice.session import Prepared, Voice, prepare
from voice.settings import VoiceNotConfigured, VoiceSettings


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare()


@pytest.fixture(autouse=True)
def nothing_set_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VoiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def refuse(*_: object) -> None:
        raise AssertionError("building a session must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def every_warning_is_an_error() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The HTTP clients that were made."""
    made: list[Any] = []

    class Noted(voice.session.httpx2.AsyncClient):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(voice.session.httpx2, "AsyncClient", Noted)
    return made


def settings(**changes: Any) -> VoiceSettings:
    return VoiceSettings(**{"openai_api_key": "sk-one", **changes})


def heard_with(built: Voice) -> Any:
    """The recogniser that the session's ears ask."""
    assert isinstance(built.session.stt, PatientEars)
    return built.session.stt.wrapped_stt


# -- the pipeline


async def test_a_pipeline_has_ears_mind_and_mouth_of_the_settings(prepared: Prepared) -> None:
    mouth = {"tts_model": "mouth-1", "tts_voice": "v", "tts_speed": 1.5}
    chosen = settings(stt_model="ears-1", stt_streaming="off", stt_language="de", llm_model="mind-1", **mouth)
    built = Voice(chosen, prepared)
    session = built.session
    ears = heard_with(built)
    assert isinstance(ears, openai.STT)
    assert isinstance(session.llm, openai.LLM)
    assert isinstance(session.tts, openai.TTS)
    assert (session.stt.model, session.llm.model, session.tts.model) == ("ears-1", "mind-1", "mouth-1")
    assert [str(language) for language in ears._opts.languages] == ["de"]
    assert (session.tts._opts.voice, session.tts._opts.speed, session.tts._opts.response_format) == ("v", 1.5, "pcm")
    await built.aclose()


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-mini-transcribe", "gpt-transcribe"])
async def test_unless_a_language_is_set_the_recogniser_is_asked_for_none(prepared: Prepared, model: str) -> None:
    built = Voice(settings(stt_model=model, stt_streaming="off"), prepared)
    ears = heard_with(built)
    assert isinstance(ears, openai.STT)
    asked = openai_stt._transcription(ears._opts)
    assert not (asked.language or asked.languages)
    await built.aclose()


@pytest.mark.parametrize(
    ("model", "live", "recordings"),
    [
        ("gpt-transcribe", "gpt-live-transcribe", "gpt-transcribe"),
        ("gpt-realtime-whisper", "gpt-realtime-whisper", "gpt-transcribe"),
        ("gpt-4o-transcribe", "gpt-4o-transcribe", "gpt-4o-transcribe"),
    ],
)
async def test_openai_hears_a_stream_and_recordings_stand_in_for_it(
    prepared: Prepared, model: str, live: str, recordings: str
) -> None:
    built = Voice(settings(stt_model=model, stt_language="de"), prepared)
    ears = heard_with(built)
    assert isinstance(ears, StreamingEars)
    assert ears.recordings
    assert (ears.live.model, ears.recordings.model) == (live, recordings)
    assert (ears.live.capabilities.streaming, ears.recordings.capabilities.streaming) == (True, False)
    assert {str(part._opts.languages[0]) for part in (ears.live, ears.recordings)} == {"de"}  # type: ignore[union-attr]
    await built.aclose()


@pytest.mark.parametrize(
    ("streaming", "url", "streams"),
    [
        ("auto", None, True),
        ("auto", "https://api.openai.com/v1", True),
        ("auto", "http://ears.example.com/v1", False),
        ("auto", "https://api.openai.com.example.com/v1", False),
        ("on", "http://ears.example.com/v1", True),
        ("off", None, False),
    ],
)
async def test_a_stream_is_used_where_it_is_known_to_be_served_or_asked_for(
    prepared: Prepared, streaming: str, url: str | None, streams: bool
) -> None:
    built = Voice(settings(stt_streaming=streaming, stt_base_url=url), prepared)
    assert built.session.stt
    assert heard_with(built).capabilities.streaming is streams
    await built.aclose()


async def test_a_pipeline_hears_silence_with_the_silero_plugin_after_a_quarter_second(prepared: Prepared) -> None:
    built = Voice(settings(), prepared)
    assert isinstance(built.session.vad, silero.VAD)
    assert built.session.vad is prepared.vad, "loaded once per process, not once per call"
    assert built.session.vad._opts.min_silence_duration == 0.25
    await built.aclose()


async def test_silence_ends_a_turn_and_nobody_in_a_cloud_is_asked_about_it(prepared: Prepared) -> None:
    built = Voice(settings(turn_detection="silence", stt_streaming="off"), prepared)
    assert built.session.turn_detection == "vad"
    assert built.session.options.turn_handling["interruption"]["mode"] == "vad"
    assert isinstance(built.session.stt, openai.STT), "as the framework does it"
    await built.aclose()


@pytest.mark.parametrize("voice_mode", ["pipeline", "realtime"])
async def test_the_first_greeting_can_be_interrupted(prepared: Prepared, voice_mode: str) -> None:
    built = Voice(settings(voice_mode=voice_mode), prepared)
    assert built.session.options.aec_warmup_duration is None
    await built.aclose()


async def test_each_part_goes_to_its_own_server_with_its_own_key(prepared: Prepared) -> None:
    built = Voice(
        settings(stt_base_url="http://ears/v1", stt_api_key="sk-ears", tts_base_url="http://mouth/v1"), prepared
    )
    session = built.session
    parts = (heard_with(built)._client, session.llm._client, session.tts._client)  # type: ignore[union-attr]
    assert [(str(client.base_url), client.api_key) for client in parts] == [
        ("http://ears/v1/", "sk-ears"),
        ("https://api.openai.com/v1/", "sk-one"),
        ("http://mouth/v1/", "sk-one"),
    ]
    assert {client.max_retries for client in parts} == {0}, "the framework retries"
    await built.aclose()


async def test_one_session_has_one_connection_pool_and_closes_it(prepared: Prepared, clients: list[Any]) -> None:
    built = Voice(settings(), prepared)
    assert len(clients) == 1
    assert built.session.llm._client._client is clients[0]  # type: ignore[union-attr]
    assert not clients[0].is_closed
    await built.aclose()
    assert clients[0].is_closed
    await built.aclose()


async def test_two_sessions_have_two_connection_pools(prepared: Prepared, clients: list[Any]) -> None:
    one, other = Voice(settings(), prepared), Voice(settings(), prepared)
    await one.aclose()
    assert [client.is_closed for client in clients] == [True, False]
    await other.aclose()


async def test_a_model_that_does_not_answer_is_given_up(prepared: Prepared, clients: list[Any]) -> None:
    built = Voice(settings(), prepared)
    timeout = clients[0].timeout
    assert None not in (timeout.connect, timeout.read, timeout.write, timeout.pool)
    assert max(timeout.connect, timeout.read, timeout.write, timeout.pool) <= 10
    await built.aclose()


async def test_without_a_key_there_is_no_session(prepared: Prepared) -> None:
    for mode in ("pipeline", "realtime"):
        with pytest.raises(VoiceNotConfigured):
            Voice(VoiceSettings(voice_mode=mode), prepared)


# -- one speech-to-speech model


async def test_realtime_is_one_model_that_hears_and_speaks(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICE_MODE", "realtime")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    built = Voice(VoiceSettings(), prepared)
    assert isinstance(built.session.llm, openai.realtime.RealtimeModel)
    assert built.session.stt is None
    assert isinstance(built.session.tts, openai.TTS), "an answer in text alone is spoken too"
    assert (built.session.llm.model, built.session.llm._opts.voice) == ("gpt-realtime", "marin")
    assert (built.session.llm._opts.api_key, built.session.llm._opts.base_url) == (
        "sk-one",
        "https://api.openai.com/v1",
    )
    await built.aclose()


async def test_realtime_goes_to_its_own_server(prepared: Prepared, clients: list[Any]) -> None:
    chosen = settings(voice_mode="realtime", realtime_base_url="http://all/v1", realtime_api_key="sk-all")
    built = Voice(chosen, prepared)
    assert isinstance(built.session.llm, openai.realtime.RealtimeModel)
    assert built.session.llm._opts.api_key == "sk-all"
    assert str(built.session.llm._opts.base_url).startswith("http://all/v1")
    await built.aclose()
    assert all(client.is_closed for client in clients)


def test_only_a_realtime_model_has_its_protocol_made_ready_before_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    monkeypatch.setattr("voice.session.prepare_protocol", lambda: made.append(True))
    prepare(settings())
    assert made == []
    prepare(settings(voice_mode="realtime"))
    assert made == [True]


# -- the framework's next version


@pytest.mark.parametrize("mode", ["pipeline", "realtime"])
async def test_nothing_that_is_used_is_deprecated(prepared: Prepared, mode: str) -> None:
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        built = Voice(settings(voice_mode=mode), prepared)
        await built.aclose()
    assert [str(warning.message) for warning in raised] == []


def test_preparing_uses_nothing_deprecated_either() -> None:
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        prepare()
    assert [str(w.message) for w in raised if issubclass(w.category, DeprecationWarning)] == []
