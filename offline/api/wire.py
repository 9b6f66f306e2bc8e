"""The shapes of OpenAI's HTTP API: what is read from a request, what is written into an answer."""

from __future__ import annotations

import base64
import json
import math
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from offline.brain.answer import Call, Say

Json = dict[str, Any]

MODELS = ("offline-rules", "offline-sphinx", "offline-espeak", "offline-hash")


class BadRequest(Exception):
    """The request is not one OpenAI would take; the text is for its sender."""


@dataclass(frozen=True)
class Reply:
    """A whole answer, in the pieces it is sent in."""

    content_type: str
    chunks: list[bytes]
    summary: Any
    """What was answered, for whoever reads the record of requests."""
    streamed: bool = False


@dataclass
class Upload:
    """A transcription's form: its text fields, and the file."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    file: bytes | None = None


def error(message: str, kind: str = "invalid_request_error") -> Json:
    """The body of every answer that is not a success."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def models() -> Json:
    """The answer of GET /models."""
    entries = [{"id": name, "object": "model", "created": 0, "owned_by": "offline"} for name in MODELS]
    return {"object": "list", "data": entries}


def json_reply(body: Json, summary: Any) -> Reply:
    """One JSON document."""
    return Reply("application/json", [json.dumps(body).encode()], summary)


# --- chat -----------------------------------------------------------------------------------------------------


def messages_of(body: Mapping[str, Any]) -> list[Json]:
    """The messages of a chat request. Raises `BadRequest`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list with at least one message")
    for message in cast("list[Any]", messages):
        if not isinstance(message, dict) or not isinstance(cast("Json", message).get("role"), str):
            raise BadRequest("each of 'messages' must be an object with a 'role'")
    return cast("list[Json]", messages)


def tools_of(body: Mapping[str, Any]) -> list[Json]:
    """The tools that may be called. Raises `BadRequest`."""
    tools: Any = body.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in cast("list[Any]", tools)):
        raise BadRequest("'tools' must be a list of objects")
    return [] if body.get("tool_choice") == "none" else cast("list[Json]", tools)


def chat_reply(body: Mapping[str, Any], decision: Say | Call) -> Reply:
    """A chat completion, streamed or whole as the request asks."""
    base = {
        "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
        "created": int(time.time()),
        "model": body.get("model") or MODELS[0],
    }
    message = _message(decision)
    usage = _usage(body, message)
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": _finish(decision), "logprobs": None}
        completion = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
        return json_reply(completion, message)
    events = [
        {**base, "object": "chat.completion.chunk", "choices": [choice]}
        for choice in _streamed_choices(decision, message)
    ]
    if cast("Json", body.get("stream_options") or {}).get("include_usage"):
        events.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    chunks = [*_events(events), b"data: [DONE]\n\n"]
    return Reply("text/event-stream", chunks, message, streamed=True)


def _message(decision: Say | Call) -> Json:
    if isinstance(decision, Say):
        return {"role": "assistant", "content": decision.text}
    function = {"name": decision.name, "arguments": json.dumps(decision.arguments)}
    call = {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _streamed_choices(decision: Say | Call, message: Json) -> Iterable[Json]:
    yield _choice({"role": "assistant", "content": ""})
    if isinstance(decision, Say):
        for word in re.findall(r"\s*\S+", decision.text):
            yield _choice({"content": word})
    else:
        call = message["tool_calls"][0]
        arguments = call["function"]["arguments"]
        opening = {**call, "index": 0, "function": {"name": decision.name, "arguments": ""}}
        yield _choice({"tool_calls": [opening]})
        for piece in re.findall(r".{1,12}", arguments, re.DOTALL):
            yield _choice({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield _choice({}, _finish(decision))


def _choice(delta: Json, finish_reason: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}


def _finish(decision: Say | Call) -> str:
    return "stop" if isinstance(decision, Say) else "tool_calls"


def _usage(body: Mapping[str, Any], message: Json) -> Json:
    prompt, completion = _tokens(json.dumps(body.get("messages"))), _tokens(json.dumps(message))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


# --- audio ----------------------------------------------------------------------------------------------------

TRANSCRIPT_FORMATS = ("json", "text", "verbose_json")


def transcript_reply(format: str, text: str, seconds: float) -> Reply:  # noqa: A002
    """A transcription in one of `TRANSCRIPT_FORMATS`."""
    if format == "text":
        return Reply("text/plain", [f"{text}\n".encode()], text)
    usage = {"type": "duration", "seconds": math.ceil(seconds)}
    if format == "json":
        return json_reply({"text": text, "usage": usage}, text)
    verbose = {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "usage": usage}
    return json_reply({**verbose, "segments": [], "words": []}, text)


def speech_reply(text: str, audio: bytes, content_type: str, seconds: float, *, as_events: bool) -> Reply:
    """Audio as a file that arrives in pieces, or as server-sent events."""
    step = 9600
    pieces = [audio[start : start + step] for start in range(0, len(audio), step)]
    if not as_events:
        return Reply(content_type, pieces, text, streamed=True)
    heard, spoken = _tokens(text), round(seconds * 20)
    usage = {"input_tokens": heard, "output_tokens": spoken, "total_tokens": heard + spoken}
    events: list[Json] = [{"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces]
    events.append({"type": "speech.audio.done", "usage": usage})
    return Reply("text/event-stream", list(_events(events)), text, streamed=True)


def _events(events: Iterable[Json]) -> Iterable[bytes]:
    for event in events:
        yield b"data: " + json.dumps(event).encode() + b"\n\n"


# --- embeddings -----------------------------------------------------------------------------------------------


def texts_of(body: Mapping[str, Any]) -> list[str]:
    """The inputs of an embeddings request. Raises `BadRequest`."""
    given = body.get("input")
    texts = cast("list[Any]", given) if isinstance(given, list) else [given]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise BadRequest("'input' must be a text, or a list of texts, none of them empty")
    return cast("list[str]", texts)


def embeddings_reply(body: Mapping[str, Any], texts: Sequence[str], vectors: Iterable[Any]) -> Reply:
    """One float32 vector per text, as numbers or as base64."""
    as_base64 = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(map(_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_reply(
        {"object": "list", "data": data, "model": body.get("model") or MODELS[3], "usage": usage},
        {"vectors": len(data)},
    )
