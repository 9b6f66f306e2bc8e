"""Which models a session uses, and whose key it shows to whom."""

from __future__ import annotations

import pickle
from typing import get_args

import pytest
from pydantic import ValidationError

from voice.settings import Part, VoiceNotConfigured, VoiceSettings

PARTS: tuple[Part, ...] = get_args(Part)
SECRET = "sk-do-not-show-4711"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VoiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_parts_are_ears_mind_mouth_the_model_that_is_all_three_and_what_finds_by_meaning() -> None:
    assert set(PARTS) == {"stt", "llm", "tts", "realtime", "embeddings"}


# -- where a key and a server come from


@pytest.mark.parametrize("part", PARTS)
def test_one_key_is_enough_for_every_part(monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    assert VoiceSettings().endpoint(part) == ("sk-one", None)


@pytest.mark.parametrize("part", PARTS)
def test_one_server_is_enough_for_every_part(monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example.com/v1")
    assert VoiceSettings().endpoint(part) == ("sk-one", "https://models.example.com/v1")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_may_have_a_key_and_a_server_of_its_own(monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example.com/v1")
    monkeypatch.setenv(f"{part.upper()}_API_KEY", "sk-own")
    monkeypatch.setenv(f"{part.upper()}_BASE_URL", "http://localhost:8000/v1")
    settings = VoiceSettings()
    assert settings.endpoint(part) == ("sk-own", "http://localhost:8000/v1")
    for other in set(PARTS) - {part}:
        assert settings.endpoint(other) == ("sk-one", "https://models.example.com/v1")


@pytest.mark.parametrize("part", PARTS)
def test_a_server_without_a_key_is_asked_without_one(monkeypatch: pytest.MonkeyPatch, part: Part) -> None:
    monkeypatch.setenv(f"{part.upper()}_BASE_URL", "http://localhost:8000/v1")
    key, base_url = VoiceSettings().endpoint(part)
    assert base_url == "http://localhost:8000/v1"
    assert key, "the client library refuses an empty key"
    assert key == "none"


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, empty: str | None) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    for name in ("STT_API_KEY", "STT_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, empty) if empty is not None else monkeypatch.delenv(name, raising=False)
    assert VoiceSettings().endpoint("stt") == ("sk-one", None)


def test_blanks_around_a_pasted_key_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " sk-one\n")
    assert VoiceSettings().endpoint("llm") == ("sk-one", None)


# -- without a key


@pytest.mark.parametrize("part", PARTS)
def test_without_a_key_the_message_says_what_to_set(part: Part) -> None:
    with pytest.raises(VoiceNotConfigured) as refused:
        VoiceSettings().endpoint(part)
    for name in ("OPENAI_API_KEY", f"{part.upper()}_API_KEY", f"{part.upper()}_BASE_URL"):
        assert name in str(refused.value)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("blank", [" ", "\t", " \n"])
def test_a_blank_key_is_no_key(monkeypatch: pytest.MonkeyPatch, part: Part, blank: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", blank)
    with pytest.raises(VoiceNotConfigured):
        VoiceSettings().endpoint(part)


def test_a_blank_key_of_a_part_does_not_hide_the_common_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("TTS_API_KEY", " ")
    assert VoiceSettings().endpoint("tts") == ("sk-one", None)


def test_a_key_for_one_part_is_not_enough_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_KEY", "sk-own")
    settings = VoiceSettings()
    assert settings.endpoint("llm") == ("sk-own", None)
    with pytest.raises(VoiceNotConfigured, match="STT_API_KEY"):
        settings.endpoint("stt")


@pytest.mark.parametrize(
    ("mode", "reachable", "missing"),
    [
        ("pipeline", ["STT", "LLM", "TTS"], None),
        ("pipeline", ["OPENAI"], None),
        ("pipeline", ["LLM", "TTS"], "STT"),
        ("pipeline", ["STT", "TTS"], "LLM"),
        ("pipeline", ["STT", "LLM"], "TTS"),
        ("pipeline", ["REALTIME"], "STT"),
        ("realtime", ["REALTIME"], None),
        ("realtime", ["OPENAI"], None),
        ("realtime", ["STT", "LLM", "TTS"], "REALTIME"),
    ],
)
def test_every_part_of_the_mode_must_be_reachable_and_no_other(
    monkeypatch: pytest.MonkeyPatch, mode: str, reachable: list[str], missing: str | None
) -> None:
    monkeypatch.setenv("VOICE_MODE", mode)
    for part in reachable:
        monkeypatch.setenv(f"{part}_API_KEY", "sk")
    if missing is None:
        VoiceSettings().require_keys()
    else:
        with pytest.raises(VoiceNotConfigured, match=f"no key for {missing}:"):
            VoiceSettings().require_keys()


# -- a key is shown to nobody

KEYS = ["OPENAI_API_KEY", "STT_API_KEY", "LLM_API_KEY", "TTS_API_KEY", "REALTIME_API_KEY"]


@pytest.mark.parametrize("name", KEYS)
def test_no_key_is_in_any_text_of_the_settings(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    settings = VoiceSettings()
    assert any(key and key.get_secret_value() == SECRET for key in settings.model_dump().values() if _secret(key))
    for text in (repr(settings), str(settings), f"{settings}", settings.model_dump_json(), str(settings.model_dump())):
        assert SECRET not in text


def _secret(value: object) -> bool:
    return hasattr(value, "get_secret_value")


@pytest.mark.parametrize("name", KEYS)
def test_no_key_is_in_an_error_about_another_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("VOICE_MODE", "telepathy")
    with pytest.raises(ValidationError, match="VOICE_MODE") as refused:
        VoiceSettings()
    assert SECRET not in f"{refused.value}{refused.value!r}"


@pytest.mark.parametrize("name", KEYS)
def test_no_key_is_in_an_error_about_itself(name: str) -> None:
    with pytest.raises(ValidationError, match=name) as refused:
        VoiceSettings(**{name: [SECRET]})  # type: ignore[arg-type]
    assert SECRET not in f"{refused.value}{refused.value!r}"


def test_a_key_put_into_the_wrong_variable_is_not_shown_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_FORMAT", SECRET)
    with pytest.raises(ValidationError, match="TTS_FORMAT") as refused:
        VoiceSettings()
    assert SECRET not in str(refused.value)


# -- the rest


@pytest.mark.parametrize(
    ("name", "value"),
    [("VOICE_MODE", "Pipeline"), ("VOICE_MODE", "none"), ("TTS_FORMAT", "midi")],
)
def test_a_value_that_does_not_exist_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name):
        VoiceSettings()


def test_settings_do_not_change_and_reach_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    settings = VoiceSettings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.voice_mode = "realtime"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301
