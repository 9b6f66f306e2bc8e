"""The server as the real OpenAI client meets it: good requests, bad requests, and every planned fault."""

import asyncio
import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import aiohttp
import av
import openai
import pytest

from offline.api.server import OfflineServer
from offline.speech.ear import Ear, read_audio
from tests.offline.asking import ALL_TOOLS, memory, tools, user

SPEECH = Path(__file__).parents[1] / "fixtures" / "speech"

SENTENCES = {
    "blue": "my favorite color is blue",
    "ask_color": "what is my favorite color",
    "books": "i love reading books",
    "hello": "hello how are you today",
    "name": "my name is alice",
    "ask_name": "what is my name",
    "stop": "please stop talking now",
}
RECORDINGS = sorted(SPEECH.glob("*.wav"))

CHAT: dict[str, Any] = {"model": "any", "messages": [user("my favorite color is blue")]}


# --- chat -----------------------------------------------------------------------------------------------------


async def test_chat_answers_whole(client: openai.AsyncClient) -> None:
    completion = await client.chat.completions.create(**CHAT)
    assert completion.choices[0].message.content == "Got it, your favorite color is blue."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage
    assert completion._request_id


async def test_chat_streams_words_and_then_usage(client: openai.AsyncClient) -> None:
    stream = await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len([word for word in words if word]) > 3
    assert "".join(words) == "Got it, your favorite color is blue."
    assert not chunks[-1].choices
    assert chunks[-1].usage


async def test_chat_streams_tool_calls(client: openai.AsyncClient) -> None:
    body = {**CHAT, "messages": [user("what is my favorite color")], "tools": tools(ALL_TOOLS)}
    chunks = [chunk async for chunk in await client.chat.completions.create(**body, stream=True)]
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert calls[0].id
    assert calls[0].function
    assert calls[0].function.name == "recall"
    arguments = "".join(call.function.arguments or "" for call in calls if call.function)
    assert json.loads(arguments) == {"query": "what is my favorite color"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_chat_calls_no_tool_it_may_not_call(client: openai.AsyncClient) -> None:
    body = {**CHAT, "messages": [user("what is my name")], "tools": tools(ALL_TOOLS), "tool_choice": "none"}
    completion = await client.chat.completions.create(**body)
    assert completion.choices[0].message.content == "I don't know your name yet."


async def test_server_keeps_nothing_between_requests(client: openai.AsyncClient) -> None:
    await client.chat.completions.create(**CHAT)
    await client.chat.completions.create(**{**CHAT, "messages": [memory("my favorite color is red"), user("hello")]})
    asked = {**CHAT, "messages": [user("what is my favorite color")]}
    completion = await client.chat.completions.create(**asked)
    assert completion.choices[0].message.content == "I don't know your favorite color yet."


# --- transcriptions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
async def test_hears_recorded_speech_exactly(client: openai.AsyncClient, recording: Path) -> None:
    heard = await client.audio.transcriptions.create(file=recording, model="any")
    assert heard.text == SENTENCES[recording.name.split(".")[0]]


async def test_hears_the_same_whatever_was_said_before_and_meanwhile(client: openai.AsyncClient) -> None:
    heard = await asyncio.gather(
        *(client.audio.transcriptions.create(file=path, model="any") for path in reversed(RECORDINGS))
    )
    assert [one.text for one in heard] == [SENTENCES[path.name.split(".")[0]] for path in reversed(RECORDINGS)]


async def test_answers_others_while_it_listens(client: openai.AsyncClient) -> None:
    await client.audio.transcriptions.create(file=RECORDINGS[0], model="any")  # the decoder is loaded
    listening = asyncio.create_task(client.audio.transcriptions.create(file=RECORDINGS[0], model="any"))
    answered = 0
    while not listening.done():
        await client.chat.completions.create(**CHAT)
        answered += 1
    assert answered >= 3


async def test_transcript_formats(client: openai.AsyncClient) -> None:
    path = SPEECH / "name.rms.wav"
    plain = await client.audio.transcriptions.create(file=path, model="any", response_format="text")
    verbose = await client.audio.transcriptions.create(file=path, model="any", response_format="verbose_json")
    assert str(plain).strip() == verbose.text == "my name is alice"
    assert 1 < verbose.duration < 3


async def test_hears_nothing_in_silence(client: openai.AsyncClient) -> None:
    silence = await client.audio.speech.create(input="x", model="any", voice="ash", response_format="wav")
    header = silence.content[:44]
    heard = await client.audio.transcriptions.create(file=("a.wav", header + bytes(48_000)), model="any")
    assert heard.text == ""


# --- speech ---------------------------------------------------------------------------------------------------

SAID = "I will remember that your favorite color is blue."


def seconds_of(audio: bytes) -> float:
    with av.open(io.BytesIO(audio)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.fixture(scope="module")
def spoken_seconds() -> float:
    from offline.speech.mouth import RATE, speak

    return len(speak(SAID)) / RATE


@pytest.mark.parametrize("file_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_speaks_in_every_format(client: openai.AsyncClient, file_format: Any, spoken_seconds: float) -> None:
    audio = await client.audio.speech.create(input=SAID, model="any", voice="ash", response_format=file_format)
    seconds = len(audio.content) / 48_000 if file_format == "pcm" else seconds_of(audio.content)
    assert seconds == pytest.approx(spoken_seconds, abs=0.15)
    assert 2 < seconds < 5


async def test_speaks_as_events(server: OfflineServer) -> None:
    body = {"input": SAID, "model": "any", "voice": "ash", "response_format": "pcm", "stream_format": "sse"}
    async with aiohttp.ClientSession() as session, session.post(f"{server.base_url}/audio/speech", json=body) as answer:
        assert answer.content_type == "text/event-stream"
        events = [json.loads(line[6:]) async for line in answer.content if line.startswith(b"data: ")]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert events[-1]["type"] == "speech.audio.done"
    assert sum(len(base64.b64decode(event["audio"])) for event in events[:-1]) > 48_000


async def test_speaks_faster_on_request(client: openai.AsyncClient) -> None:
    normal, fast = [
        len(
            (
                await client.audio.speech.create(
                    input=SAID, model="any", voice="ash", response_format="pcm", speed=speed
                )
            ).content
        )
        for speed in (1.0, 1.5)
    ]
    assert fast < 0.8 * normal


# --- embeddings -----------------------------------------------------------------------------------------------


async def test_embeddings_are_the_same_as_numbers_and_as_base64(client: openai.AsyncClient) -> None:
    texts = ["my favorite color is blue", "my car is red"]
    numbers = await client.embeddings.create(input=texts, model="any", dimensions=384, encoding_format="float")
    packed = await client.embeddings.create(input=texts, model="any", dimensions=384)
    for one, other in zip(numbers.data, packed.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)
        assert len(one.embedding) == 384
        assert math.hypot(*one.embedding) == pytest.approx(1)


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_embeddings_of_like_texts_are_alike(client: openai.AsyncClient) -> None:
    texts = ["what is my favorite color", "my favorite color is blue", "the train leaves at nine"]
    question, answer, other = [one.embedding for one in (await client.embeddings.create(input=texts, model="any")).data]
    assert len(question) == 1536
    assert likeness(question, answer) > 0.4 > likeness(question, other)


# --- requests it refuses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", {"messages": []}),
        ("chat/completions", {"messages": "hello"}),
        ("chat/completions", {"messages": [{"content": "no role"}]}),
        ("chat/completions", {"messages": [user("a")], "tools": "none"}),
        ("audio/speech", {"model": "any"}),
        ("audio/speech", {"input": "a", "response_format": "midi"}),
        ("audio/speech", {"input": "a", "speed": "fast"}),
        ("embeddings", {"input": ""}),
        ("embeddings", {"input": [1, 2]}),
        ("embeddings", {"input": "a", "dimensions": 0}),
        ("audio/transcriptions", {"file": "no form"}),
    ],
)
async def test_bad_request_gets_an_error_like_openais(
    client: openai.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.post(f"/{path}", body=body, cast_to=object)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


async def test_what_is_not_audio_is_a_bad_request(client: openai.AsyncClient) -> None:
    with pytest.raises(openai.BadRequestError, match="cannot be read as audio"):
        await client.audio.transcriptions.create(file=("a.wav", b"not audio at all" * 99), model="any")


async def test_what_is_not_json_is_a_bad_request(server: OfflineServer) -> None:
    async with aiohttp.ClientSession() as session:
        for data in (b"{", b"[1]", b"\xff\xfe\xfa"):
            async with session.post(f"{server.base_url}/chat/completions", data=data) as answer:
                assert answer.status == 400
                assert (await answer.json())["error"]["message"]


async def test_unknown_path_is_not_found(client: openai.AsyncClient) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.get("/files", cast_to=object)


# --- faults ---------------------------------------------------------------------------------------------------


async def ask(client: openai.AsyncClient, endpoint: str) -> object:
    match endpoint:
        case "chat":
            return await client.chat.completions.create(**CHAT)
        case "speech":
            return await client.audio.speech.create(input=SAID, model="any", voice="ash", response_format="pcm")
        case "transcriptions":
            return await client.audio.transcriptions.create(file=SPEECH / "name.rms.wav", model="any")
        case _:
            return await client.embeddings.create(input="a text", model="any")


ENDPOINTS: list[Any] = ["chat", "transcriptions", "speech", "embeddings"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_error_happens_once_and_then_all_is_well(
    server: OfflineServer, client: openai.AsyncClient, endpoint: Any
) -> None:
    server.fail(endpoint, "error")
    with pytest.raises(openai.InternalServerError) as caught:
        await ask(client, endpoint)
    assert caught.value.type == "server_error"
    assert await ask(client, endpoint)
    assert [record.fault for record in server.asked(endpoint)] == ["error", None]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_hang_lasts_until_the_caller_gives_up(
    server: OfflineServer, client: openai.AsyncClient, endpoint: Any
) -> None:
    server.fail(endpoint, "hang")
    with pytest.raises(openai.APITimeoutError):
        await ask(client.with_options(timeout=0.3), endpoint)
    assert await ask(client, endpoint)


async def test_hang_ends_with_the_server() -> None:
    async with OfflineServer() as server:
        server.fail("chat", "hang")
        client = openai.AsyncClient(base_url=server.base_url, api_key="none", max_retries=0)
        hanging = asyncio.create_task(ask(client, "chat"))
        await asyncio.sleep(0.2)
        assert not hanging.done()
    with pytest.raises(openai.APIConnectionError):
        await hanging
    await client.close()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_cut_breaks_the_connection(server: OfflineServer, client: openai.AsyncClient, endpoint: Any) -> None:
    server.fail(endpoint, "cut")
    with pytest.raises(openai.APIConnectionError):
        await ask(client, endpoint)
    assert await ask(client, endpoint)


async def test_cut_breaks_a_stream_after_its_first_words(server: OfflineServer, client: openai.AsyncClient) -> None:
    server.fail("chat", "cut")
    heard = ""
    with pytest.raises(openai.APIConnectionError):
        async for chunk in await client.chat.completions.create(**CHAT, stream=True):
            heard += chunk.choices[0].delta.content or ""
    assert heard.startswith("Got it")
    assert "blue" not in heard


@pytest.mark.parametrize(("mode", "content_type"), [("html", "text/html"), ("not_json", "application/json")])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_nonsense_comes_with_a_200(
    server: OfflineServer, client: openai.AsyncClient, endpoint: Any, mode: Any, content_type: str
) -> None:
    server.fail(endpoint, mode)
    path = {"chat": "chat/completions", "embeddings": "embeddings"}.get(endpoint, f"audio/{endpoint}")
    form = aiohttp.FormData({"model": "any"})
    form.add_field("file", b"anything", filename="a.wav")
    sent: dict[str, Any] = {"data": form} if endpoint == "transcriptions" else {"json": {}}
    async with aiohttp.ClientSession() as session, session.post(f"{server.base_url}/{path}", **sent) as answer:
        assert (answer.status, answer.content_type) == (200, content_type)
        with pytest.raises(ValueError, match=r"Expecting"):
            json.loads(await answer.text())


async def test_fault_picks_its_requests(server: OfflineServer, client: openai.AsyncClient) -> None:
    server.fail("chat", "error", times=2, where=lambda body: "blue" in str(body))
    await client.chat.completions.create(model="any", messages=[user("hello")])
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await ask(client, "chat")
    assert await ask(client, "chat")


async def test_client_with_retries_gets_over_an_error(server: OfflineServer, client: openai.AsyncClient) -> None:
    server.fail("chat", "error")
    assert await ask(client.with_options(max_retries=1), "chat")


# --- records and control --------------------------------------------------------------------------------------


async def test_records_what_was_asked_and_answered(server: OfflineServer, client: openai.AsyncClient) -> None:
    for endpoint in ENDPOINTS:
        await ask(client, endpoint)
    assert [record.endpoint for record in server.requests] == ENDPOINTS
    chat, heard, spoken, _ = server.requests
    assert chat.body["messages"] == CHAT["messages"]
    assert chat.answer["content"] == "Got it, your favorite color is blue."
    assert heard.answer == "my name is alice"
    assert spoken.answer == spoken.body["input"] == SAID


async def test_control_plans_faults_and_shows_requests(server: OfflineServer, client: openai.AsyncClient) -> None:
    control = server.base_url.replace("/v1", "/control")
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{control}/faults", json={"endpoint": "chat", "mode": "error", "times": 1}) as done:
            assert done.status == 200
        with pytest.raises(openai.InternalServerError):
            await ask(client, "chat")
        async with session.get(f"{control}/requests") as shown:
            (record,) = await shown.json()
            assert (record["endpoint"], record["fault"]) == ("chat", "error")
        await session.delete(f"{control}/requests")
        assert server.requests == []
        await session.post(f"{control}/faults", json={"endpoint": "chat", "mode": "hang"})
        await session.delete(f"{control}/faults")
        assert await ask(client, "chat")
        async with session.post(f"{control}/faults", json={"endpoint": "mail", "mode": "error"}) as refused:
            assert refused.status == 400


async def test_control_is_off_unless_asked_for() -> None:
    async with (
        OfflineServer() as server,
        aiohttp.ClientSession() as session,
        session.get(server.base_url.replace("/v1", "/control/requests")) as answer,
    ):
        assert answer.status == 404


async def test_taken_port_is_an_error(server: OfflineServer) -> None:
    port = int(server.base_url.split(":")[2].split("/")[0])
    with pytest.raises(OSError):
        async with OfflineServer(port=port):
            pass


# --- hearing the agent ----------------------------------------------------------------------------------------


async def test_ear_refuses_words_it_cannot_pronounce() -> None:
    with pytest.raises(ValueError, match=r"xyzzyq"):
        Ear(["my name is xyzzyq"]).hear_now(read_audio((SPEECH / "name.rms.wav").read_bytes()))
