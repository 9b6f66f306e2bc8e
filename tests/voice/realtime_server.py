"""OpenAI's Realtime protocol on loopback, as its clients' tests need it: strict where the real one is, scripted where a
model would think or listen, and able to fail in each way that was seen.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
from aiohttp import WSMsgType, web

from tests.voice.loopback import Loopback

Fault = Literal[
    "", "refused", "closed at once", "ids refused",
    "cut", "cut in the middle", "quota", "failed", "rejected", "empty", "text", "silent", "stalled",
]  # fmt: skip
"""refused: no handshake. closed at once: right after it. ids refused: no item may have one of the client's. In the
place of a response: the connection is cut, before or in it; a fatal error; one that fails, is refused, is empty, is
text alone; nothing after its beginning. silent: nothing at all comes, to whatever is sent."""

RATE = 24_000
_WORD_SECONDS = 0.3
_ID = re.compile(r"[a-zA-Z0-9_-]{1,32}")
_CONTENT = {"user": {"input_text"}, "system": {"input_text"}, "assistant": {"output_text"}}
_SESSION = {
    "type", "model", "instructions", "output_modalities", "audio", "tools", "tool_choice", "max_output_tokens",
    "tracing", "truncation", "reasoning",
}  # fmt: skip


@dataclass
class Call:
    """What a model does instead of answering."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


class _Refused(Exception):
    def __init__(self, message: str, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.code = code


class RealtimeServer(Loopback):
    """The server while an `async with` block runs."""

    def __init__(self) -> None:
        self.fault: Fault = ""
        self.mind: Callable[[], str | Call] = lambda: "Hello there."
        """What the model answers; it may look at `items` and `instructions`, which are all that a model knows."""
        self.words: list[str] = []
        """What is understood of what is really spoken, turn by turn; without any nobody listens."""
        self.speed = float("inf")
        """How much faster than it is heard sound is sent."""
        self.connections = 0
        self.items: dict[str, dict[str, Any]] = {}
        """What the model of the last connection has of the conversation, by id, in its order."""
        self.instructions = ""
        self.session: dict[str, Any] = {}
        self.taken: list[dict[str, Any]] = []
        """Every event of every connection, but sound."""
        self.refusals: list[str] = []
        """What clients did that the protocol does not allow."""
        self._ids = itertools.count()
        self._speaking = ""
        """The id of what a person is saying."""
        self._quiet = 0.0
        """How long, in seconds, they have not gone on."""
        self._open: list[web.WebSocketResponse] = []
        self._response: asyncio.Task[None] | None = None
        super().__init__([web.get("/v1/realtime", self._connected)])

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        await super().__aexit__()

    @property
    def said(self) -> list[str]:
        """The conversation, as the model has it: of each message its words, of what was only heard nothing."""
        return [_text(item) for item in self.items.values() if item["type"] == "message"]

    async def cut(self) -> None:
        """Close what is open."""
        if self._response:
            self._response.cancel()
        await asyncio.gather(*(ws.close() for ws in self._open))

    # -- what a person says, without the sound of it

    async def begins(self) -> str:
        """Somebody begins to speak, which ends an answer. The id of what they say."""
        item = f"item_{next(self._ids)}"
        await self._end_response("turn_detected")
        await self._tell("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item)
        return item

    async def hears(self, item: str = "") -> str:
        """They have spoken, and are answered. The id of what they said; it is not transcribed yet."""
        item = item or await self.begins()
        await self._tell("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=item)
        if self.fault == "silent":
            return item
        await self._tell("input_audio_buffer.committed", item_id=item, previous_item_id=self._last())
        spoken = {"id": item, "type": "message", "role": "user", "status": "completed", "object": "realtime.item"}
        await self._add({**spoken, "content": [{"type": "input_audio", "transcript": None}]})
        self._begin_response(None)
        return item

    async def transcribes(self, item: str, words: str) -> None:
        if item in self.items:
            self.items[item]["content"] = [{"type": "input_audio", "transcript": words}]
        about = {"item_id": item, "content_index": 0, "usage": {"type": "duration", "seconds": 1}}
        await self._tell("conversation.item.input_audio_transcription.completed", transcript=words, **about)

    async def fails_to_transcribe(self, item: str) -> None:
        error = {"type": "server_error", "code": "audio_unintelligible", "message": ""}
        about = {"item_id": item, "content_index": 0}
        await self._tell("conversation.item.input_audio_transcription.failed", error=error, **about)

    async def complains(self, kind: str) -> None:
        """An error beside the conversation."""
        await self._tell("error", error={"type": kind, "code": None, "message": "Something is wrong."})

    async def _listen(self, sound: bytes) -> None:
        """Half a second of silence ends a turn."""
        samples = np.frombuffer(sound, np.int16).astype(np.float32)
        if np.abs(samples).mean() > 200:
            self._quiet = 0.0
            if self.words and not self._speaking:
                self._speaking = await self.begins()
        elif self._speaking:
            self._quiet += len(samples) / RATE
            if self._quiet >= 0.5:
                item, self._speaking = await self.hears(self._speaking), ""
                await self.transcribes(item, self.words.pop(0))

    # -- connections

    async def _connected(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if self.fault == "refused":
            return web.Response(status=503)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        if self.fault == "closed at once":
            await ws.close()
            return ws
        self._open.append(ws)
        self.items.clear()
        self._response = None
        await self._tell("session.created", session={"id": "sess"})
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                await self._answer(message.json())
        self._open.remove(ws)
        return ws

    async def _tell(self, kind: str, **event: Any) -> None:
        """Send an event on the last connection."""
        with contextlib.suppress(ConnectionError, IndexError):
            await self._open[-1].send_json({"type": kind, "event_id": f"event_{next(self._ids)}", **event})

    async def _answer(self, event: dict[str, Any]) -> None:
        if event["type"] == "input_audio_buffer.append":
            await self._listen(base64.b64decode(event["audio"]))
            return
        self.taken.append(event)
        if self.fault == "silent":
            return
        try:
            await self._take(event)
        except _Refused as refused:
            self.refusals.append(str(refused))
            error = {"type": "invalid_request_error", "code": refused.code, "message": str(refused)}
            await self._tell("error", error={**error, "event_id": event.get("event_id")})

    async def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                if unknown := event["session"].keys() - _SESSION:
                    raise _Refused(f"Unknown parameter: {unknown}", "unknown_parameter")
                self.session |= event["session"]
                self.instructions = self.session.get("instructions", "")
                await self._tell("session.updated", session=self.session)
            case "conversation.item.create":
                self._check(item := {"status": "completed", "object": "realtime.item", **event["item"]})
                await self._add(item, event.get("previous_item_id"))
            case "conversation.item.delete":
                if self.items.pop(event["item_id"], None) is None:
                    raise _Refused("There is no such item.", "item_delete_invalid_item_id")
                await self._tell("conversation.item.deleted", item_id=event["item_id"])
            case "conversation.item.truncate":
                await self._truncate(event["item_id"], event["audio_end_ms"])
            case "response.create":
                if self.fault == "rejected":
                    raise _Refused("No response.", "rejected")
                if self._response and not self._response.done():
                    raise _Refused("There is one already.", "conversation_already_has_active_response")
                self._begin_response(event.get("response", {}).get("metadata"))
            case "response.cancel":
                if not self._response or self._response.done():
                    raise _Refused("Cancellation failed: no active response found")
                await self._end_response("client_cancelled")
            case _:
                pass

    # -- the conversation

    def _last(self) -> str | None:
        return next(reversed(self.items), None)

    def _check(self, item: dict[str, Any]) -> None:
        if self.fault == "ids refused" or not _ID.fullmatch(item["id"]):
            raise _Refused("No such id.", "invalid_value")
        if item["id"] in self.items:
            raise _Refused("That id is there.", "item_create_duplicate_item_id")
        if item["type"] == "message":
            if wrong := {part["type"] for part in item["content"]} - _CONTENT[item["role"]]:
                raise _Refused(f"{item['role']}: {wrong}")
        elif item["type"] == "function_call_output" and not any(
            other["type"] == "function_call" and other["call_id"] == item["call_id"] for other in self.items.values()
        ):
            raise _Refused("There is no such call.", "invalid_tool_call_id")

    async def _add(self, item: dict[str, Any], after: str | None = None) -> None:
        """After the last, where nothing else is said; "root" is the head."""
        after = after or self._last() or "root"
        order = list(self.items.items())
        if after != "root" and after not in self.items:
            raise _Refused(f"There is no {after}.", "item_create_invalid_previous_item_id")
        order.insert(0 if after == "root" else list(self.items).index(after) + 1, (item["id"], item))
        self.items = dict(order)
        await self._tell("conversation.item.added", previous_item_id=None if after == "root" else after, item=item)

    async def _truncate(self, item_id: str, heard_ms: int) -> None:
        if (item := self.items.get(item_id)) is None:
            raise _Refused("There is no such item.", "invalid_item_id")
        words = _text(item).split()
        sent_ms = round(len(words) * _WORD_SECONDS * 1000)
        if heard_ms > sent_ms:
            raise _Refused(f"Audio content of {sent_ms}ms is already shorter than {heard_ms}ms")
        heard = " ".join(words[: round(heard_ms / 1000 / _WORD_SECONDS)])
        item["content"] = [{"type": "output_audio", "transcript": heard}]
        await self._tell("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=heard_ms)

    # -- responses

    def _begin_response(self, metadata: Any) -> None:
        self._response = asyncio.create_task(self._respond(f"resp_{next(self._ids)}", metadata))

    async def _end_response(self, why: str) -> None:
        if (response := self._response) and not response.done():
            response.cancel(why)
            await asyncio.wait([response])

    async def _respond(self, response: str, metadata: Any) -> None:
        fault = self.fault
        if fault == "quota":
            error = {"type": "insufficient_quota", "code": "insufficient_quota", "message": ""}
            await self._tell("error", error=error)
        if fault == "cut":
            await self._open[-1].close()
        if fault in ("quota", "cut"):
            return
        await self._tell("response.created", response={"id": response, "metadata": metadata})
        if fault == "stalled":
            return
        try:
            if fault not in ("failed", "empty"):
                await self._speak(response, fault)
        except asyncio.CancelledError as cancelled:
            details = {"type": "cancelled", "reason": str(cancelled)}
            await self._done(response, "cancelled", details)
            return
        error = {"type": "server_error", "code": "server_error"}
        failed = fault == "failed"
        details = {"type": "failed", "error": error} if failed else None
        await self._done(response, "failed" if failed else "completed", details)

    async def _speak(self, response: str, fault: Fault) -> None:
        answer = self.mind()
        item: dict[str, Any] = {"id": f"item_{next(self._ids)}", "status": "completed", "object": "realtime.item"}
        about = {"response_id": response, "item_id": item["id"], "output_index": 0, "content_index": 0}
        if isinstance(answer, Call):
            arguments = json.dumps(answer.arguments)
            item |= {"type": "function_call", "call_id": f"call_{next(self._ids)}", "name": answer.name}
            item["arguments"] = ""
            await self._tell("response.output_item.added", item=dict(item), **about)
            await self._add(item)
            item["arguments"] = arguments
            await self._tell("response.output_item.done", item=item, **about)
            return
        item |= {"type": "message", "role": "assistant", "content": []}
        kind = "text" if fault == "text" else "audio"
        await self._tell("response.output_item.added", item=dict(item), **about)
        await self._add(item)
        await self._tell("response.content_part.added", part={"type": kind}, **about)
        if kind == "text":
            item["content"] = [{"type": "output_text", "text": answer}]
            await self._tell("response.output_text.delta", delta=answer, **about)
        else:
            await self._sound(item, answer, about, until=fault == "cut in the middle")
        await self._tell("response.output_item.done", item=item, **about)

    async def _sound(self, item: dict[str, Any], answer: str, about: dict[str, Any], *, until: bool) -> None:
        words = answer.split()
        for n in range(len(words)):
            if until and n == len(words) // 2:
                await self._open[-1].close()
                return
            item["content"] = [{"type": "output_audio", "transcript": " ".join(words[: n + 1])}]
            delta = words[n] if n == 0 else f" {words[n]}"
            await self._tell("response.output_audio_transcript.delta", delta=delta, **about)
            await self._tell("response.output_audio.delta", delta=_WORD, **about)
            await asyncio.sleep(_WORD_SECONDS / self.speed)
        await self._tell("response.output_audio.done", **about)

    async def _done(self, response: str, status: str, details: Any) -> None:
        usage = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}
        about = {"id": response, "status": status, "status_details": details, "usage": usage, "output": []}
        await self._tell("response.done", response=about)


_TONE = 6000 * np.sin(2 * np.pi * 440 * np.arange(int(RATE * _WORD_SECONDS)) / RATE)
_WORD = base64.b64encode(_TONE.astype(np.int16).tobytes()).decode()


def _text(item: dict[str, Any]) -> str:
    parts = cast("list[dict[str, Any]]", item.get("content") or [])
    return "".join(part.get("text") or part.get("transcript") or "" for part in parts)
