"""STT and TTS whose server is late, or answers with something that is no answer. The offline voice is the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import httpx2
import numpy as np
import openai as openai_sdk
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, APITimeoutError, llm
from livekit.plugins import openai

import voice.ears
import voice.models
from offline.api.faults import Endpoint, Mode
from offline.api.server import OfflineServer
from offline.speech.ear import read_audio
from voice.ears import PatientSTT
from voice.models import TIMEOUT, http_client
from voice.session import prepare

ONCE = APIConnectOptions(max_retry=0, timeout=10.0)
TWICE = APIConnectOptions(max_retry=1, timeout=10.0)
SPEECH = Path(__file__).parent.parent / "fixtures" / "speech"
PATIENCE = 0.3


@pytest.fixture
async def server() -> AsyncIterator[OfflineServer]:
    async with OfflineServer() as server:
        yield server


@pytest.fixture
async def client(server: OfflineServer) -> AsyncIterator[openai_sdk.AsyncClient]:
    async with http_client(prepare().tls) as http:
        yield openai_sdk.AsyncClient(api_key="none", base_url=server.base_url, max_retries=0, http_client=http)


@pytest.fixture
def ears(client: openai_sdk.AsyncClient) -> PatientSTT:
    return PatientSTT(model="ears-1", client=client)


@pytest.fixture
def mouth(client: openai_sdk.AsyncClient) -> openai.TTS:
    return openai.TTS(model="mouth-1", response_format="pcm", client=client)


@pytest.fixture
def short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice.ears, "STT_PATIENCE", PATIENCE)


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice.models, "TIMEOUT", httpx2.Timeout(1.0))
    monkeypatch.setattr(voice.models, "STT_TIMEOUT", httpx2.Timeout(1.0))


def recording(name: str) -> rtc.AudioFrame:
    samples = read_audio((SPEECH / name).read_bytes())
    return rtc.AudioFrame(np.asarray(samples, np.int16).tobytes(), 16_000, 1, len(samples))


async def spoken(mouth: openai.TTS, options: APIConnectOptions = ONCE) -> float:
    """The seconds of one sentence."""
    async with mouth.synthesize("My favorite color is blue.", conn_options=options) as words:
        return sum([audio.frame.duration async for audio in words])


# -- what is no answer


@pytest.mark.parametrize("mode", ["html", "not_json"])
async def test_a_page_is_not_spoken_as_noise(server: OfflineServer, mouth: openai.TTS, mode: Mode) -> None:
    server.fail("speech", mode)
    with pytest.raises(APIConnectionError):
        await spoken(mouth)


async def test_a_page_is_not_taken_for_a_model_that_has_nothing_to_say(
    server: OfflineServer, client: openai_sdk.AsyncClient
) -> None:
    server.fail("chat", "html")
    mind = openai.LLM(model="mind-1", client=client)
    with pytest.raises(APIConnectionError):
        async with mind.chat(chat_ctx=llm.ChatContext.empty(), conn_options=ONCE) as reply:
            assert [chunk async for chunk in reply] == []


@pytest.mark.parametrize("mode", ["error", "html", "not_json", "cut"])
@pytest.mark.parametrize("endpoint", ["transcriptions", "speech"])
async def test_what_fails_once_is_asked_once_more(
    server: OfflineServer, ears: PatientSTT, mouth: openai.TTS, endpoint: Endpoint, mode: Mode
) -> None:
    server.fail(endpoint, mode)
    if endpoint == "speech":
        assert await spoken(mouth, TWICE) > 1
    else:
        heard = await ears.recognize([recording("blue.rms.wav")], conn_options=TWICE)
        assert heard.alternatives[0].text == "my favorite color is blue"
    assert [record.fault for record in server.asked(endpoint)] == [mode, None]


# -- who is late


@pytest.mark.usefixtures("short_of_patience")
async def test_ears_that_are_late_say_so_and_go_on_listening(server: OfflineServer, ears: PatientSTT) -> None:
    late = asyncio.Event()
    ears.on_late = late.set
    server.fail("transcriptions", "hang")
    hearing = asyncio.create_task(ears.recognize([recording("blue.rms.wav")], conn_options=ONCE))
    asked_at = time.monotonic()
    await asyncio.wait_for(late.wait(), 5)
    assert time.monotonic() - asked_at >= PATIENCE * 0.9
    assert not hearing.done()
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


@pytest.mark.usefixtures("short_of_patience")
async def test_ears_that_have_answered_do_not_say_that_they_are_late(server: OfflineServer, ears: PatientSTT) -> None:
    late, later = asyncio.Event(), asyncio.Event()
    ears.on_late = late.set
    server.fail("transcriptions", "error")
    with pytest.raises(APIStatusError):
        await ears.recognize([recording("blue.rms.wav")], conn_options=ONCE)
    asyncio.get_running_loop().call_later(PATIENCE, later.set)
    await later.wait()
    assert not late.is_set()


# -- how long a server may take


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("endpoint", ["transcriptions", "speech"])
async def test_a_server_that_hangs_is_given_up_whatever_the_plugin_asks_for(
    server: OfflineServer, ears: PatientSTT, mouth: openai.TTS, endpoint: Endpoint
) -> None:
    server.fail(endpoint, "hang")
    async with asyncio.timeout(10):
        with pytest.raises(APITimeoutError):
            await (
                spoken(mouth)
                if endpoint == "speech"
                else ears.recognize([recording("blue.rms.wav")], conn_options=ONCE)
            )


async def test_whoever_wants_an_answer_sooner_is_not_made_to_wait(server: OfflineServer) -> None:
    timeouts: list[dict[str, float]] = []

    async def note(request: httpx2.Request) -> None:
        timeouts.append(dict(cast("dict[str, float]", request.extensions["timeout"])))

    async with http_client(prepare().tls) as http:
        http.event_hooks["request"] = [*http.event_hooks["request"], note]
        await http.get(f"{server.base_url}/models", timeout=httpx2.Timeout(30, connect=0.5))
        await http.get(f"{server.base_url}/models", timeout=None)
    assert timeouts == [{**TIMEOUT.as_dict(), "connect": 0.5}, TIMEOUT.as_dict()]
