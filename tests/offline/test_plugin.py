"""The real livekit-plugins-openai against the server: what the worker will use."""

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import rtc
from livekit.agents import function_tool, llm, utils
from livekit.plugins import openai as plugin

from offline.api.server import OfflineServer

SPEECH = Path(__file__).parents[1] / "fixtures" / "speech"


@pytest.fixture(autouse=True)
async def http_context() -> AsyncIterator[None]:
    async with utils.http_context.open():
        yield


@function_tool
async def recall(query: str) -> str:
    """Look something up.

    Args:
        query: what to look for
    """
    return query


async def test_llm_says_and_calls(server: OfflineServer) -> None:
    model = plugin.LLM(model="any", base_url=server.base_url, api_key="none")
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are Rapport.")
    context.add_message(role="user", content="what is my name")
    said = await model.chat(chat_ctx=context).collect()
    assert said.text == "I don't know your name yet."
    asked = await model.chat(chat_ctx=context, tools=[recall]).collect()
    assert [(call.name, call.arguments) for call in asked.tool_calls] == [("recall", '{"query": "what is my name"}')]
    await model.aclose()


async def test_llm_greets_on_instructions_for_one_reply(server: OfflineServer) -> None:
    model = plugin.LLM(model="any", base_url=server.base_url, api_key="none")
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are Rapport.")
    asked = "<instructions>\nGreet them with a welcome back.\n</instructions>"
    context.add_message(role="user", content=f"<memory>\n- 2026-11-20 FACT name: Alice\n</memory>\n\n{asked}")
    said = await model.chat(chat_ctx=context).collect()
    assert said.text.startswith("Welcome back, Alice.")
    await model.aclose()


@pytest.mark.parametrize("model", ["gpt-4o-mini-transcribe", "whisper-1"])
async def test_stt_hears(server: OfflineServer, model: str) -> None:
    ear = plugin.STT(model=model, base_url=server.base_url, api_key="none", use_realtime=False)
    with wave.open(str(SPEECH / "blue.rms.wav")) as file:
        data, rate = file.readframes(file.getnframes()), file.getframerate()
    heard = await ear.recognize(rtc.AudioFrame(data, rate, 1, len(data) // 2))
    assert heard.alternatives[0].text == "my favorite color is blue"
    await ear.aclose()


@pytest.mark.parametrize(
    ("model", "file_format"), [("gpt-4o-mini-tts", "pcm"), ("gpt-4o-mini-tts", "mp3"), ("tts-1", "wav")]
)
async def test_tts_speaks(server: OfflineServer, model: str, file_format: plugin.tts.RESPONSE_FORMATS) -> None:
    mouth = plugin.TTS(model=model, voice="ash", response_format=file_format, base_url=server.base_url, api_key="none")
    frame = await mouth.synthesize("Your favorite color is blue.").collect()
    assert 1 < frame.duration < 4
    await mouth.aclose()
