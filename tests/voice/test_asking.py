"""What a language model is asked beside the conversation, and whether it is one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import openai
import pytest

from call.services import Settings, has_curator
from memory.settings import MemorySettings
from offline.api.faults import Mode
from offline.api.server import OfflineServer
from voice.session import Voice, prepare
from voice.settings import VoiceSettings, is_on_this_machine

SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}}}


@pytest.fixture
async def models() -> AsyncIterator[OfflineServer]:
    async with OfflineServer() as models:
        yield models


@pytest.fixture
async def voice(models: OfflineServer) -> AsyncIterator[Voice]:
    voice = Voice(VoiceSettings(openai_base_url=models.base_url, openai_api_key="none"), prepare())
    yield voice
    await voice.aclose()


async def test_an_answer_comes_whole_with_what_it_cost(voice: Voice, models: OfflineServer) -> None:
    tokens: list[int] = []
    answer = await voice.ask([{"role": "user", "content": "my cat is called Tilda"}], SCHEMA, tokens.append)
    assert answer
    assert len(tokens) == 1
    (asked,) = models.asked("chat")
    assert asked.body["response_format"] == SCHEMA


@pytest.mark.parametrize("mode", ["error", "cut", "html"])
async def test_an_answer_that_fails_or_breaks_off_is_none(voice: Voice, models: OfflineServer, mode: Mode) -> None:
    models.fail("chat", mode)
    with pytest.raises((openai.OpenAIError, httpx2.HTTPError)):
        await voice.ask([{"role": "user", "content": "hello"}])


@pytest.mark.parametrize(("how", "curates"), [("auto", False), ("rules", False), ("llm", True)])
async def test_the_toy_curates_only_where_it_is_told_to(
    voice: Voice, models: OfflineServer, how: str, curates: bool
) -> None:
    settings = Settings(
        memory=MemorySettings(memory_extraction=how),  # type: ignore[arg-type]
        voice=VoiceSettings(openai_base_url=models.base_url, openai_api_key="none"),
    )
    assert await has_curator(settings, voice) is curates


async def test_any_other_model_curates_by_itself(monkeypatch: pytest.MonkeyPatch, models: OfflineServer) -> None:
    monkeypatch.setattr("offline.api.wire.MODELS", ("qwen3:8b", "ears", "mouth", "hash"))
    voice = Voice(VoiceSettings(openai_base_url=models.base_url, openai_api_key="none"), prepare())
    auto = MemorySettings(memory_extraction="auto")
    here = VoiceSettings(openai_base_url=models.base_url, openai_api_key="none")
    assert await has_curator(Settings(memory=auto, voice=here), voice) is True
    for elsewhere in (VoiceSettings(openai_api_key="sk-1"), VoiceSettings(llm_base_url="http://10.0.0.7:11434/v1")):
        assert await has_curator(Settings(memory=auto, voice=elsewhere), voice) is True
    await voice.aclose()


async def test_where_no_language_model_can_be_asked_nobody_curates(
    voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    speech = VoiceSettings(voice_mode="realtime", realtime_api_key="sk-1")
    assert await has_curator(Settings(memory=MemorySettings(memory_extraction="auto"), voice=speech), voice) is False


def test_a_server_of_this_machine_is_known_by_its_name() -> None:
    assert all(map(is_on_this_machine, ("http://localhost:1/v1", "http://127.0.0.1:8000", "http://[::1]:9/v1")))
    assert not any(map(is_on_this_machine, ("https://api.openai.com/v1", "http://localhost.example.com", None, "")))
