"""Ears, mind and mouth on loopback, as OpenAI and LiveKit Inference serve them, and what can go wrong with each."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, Literal

from aiohttp import WSMsgType, web

from tests.voice.loopback import Loopback

Fault = Literal["", "refused", "hangs", "garbage", "empty", "cut"]
_SOUND = b"\1\0" * 2400


class Gateway(Loopback):
    """The servers while an `async with` block runs. What they hear is the next of `words`, whatever is said."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.faults: dict[str, Fault] = {}
        """By part: ears, mind, mouth."""
        self.asked: list[str] = []
        super().__init__(
            [
                web.get("/v1/realtime", self._openai_ears),
                web.post("/v1/audio/transcriptions", self._recordings),
                web.post("/v1/audio/speech", self._sentence),
                web.post("/v1/chat/completions", self._reply),
                web.get("/v1/stt", self._inference_ears),
                web.get("/v1/tts", self._inference_mouth),
            ]
        )

    # -- OpenAI's

    async def _recordings(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if answer := await self._fails(request, "ears"):
            return answer
        return web.json_response({"text": "" if self._fault("ears") == "empty" else self._next_words()})

    async def _sentence(self, request: web.Request) -> web.StreamResponse:
        if answer := await self._fails(request, "mouth"):
            return answer
        sound = b"" if self._fault("mouth") == "empty" else _SOUND
        return web.Response(body=sound, content_type="audio/pcm", headers={"x-request-id": "x"})

    async def _reply(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        if answer := await self._fails(request, "mind"):
            return answer
        last = [message["content"] for message in asked["messages"] if message["role"] == "user"][-1:]
        said = "" if self._fault("mind") == "empty" else f"You said: {last}."
        piece = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        piece["choices"] = [{"index": 0, "delta": {"role": "assistant", "content": said}}]
        return web.Response(text=f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n", content_type="text/event-stream")

    async def _openai_ears(self, request: web.Request) -> web.StreamResponse:
        done = "conversation.item.input_audio_transcription.completed"
        return await self._ears(request, "input_audio_buffer.append", lambda words: {"type": done, "transcript": words})

    # -- LiveKit Inference's

    async def _inference_ears(self, request: web.Request) -> web.StreamResponse:
        return await self._ears(
            request, "input_audio", lambda words: {"type": "final_transcript", "transcript": words, "language": "en"}
        )

    async def _inference_mouth(self, request: web.Request) -> web.StreamResponse:
        if answer := await self._fails(request, "mouth", {"cut", "hangs", "garbage"}):
            return answer
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type != WSMsgType.TEXT:
                break
            fault = self._fault("mouth")
            if fault == "cut":
                break
            if fault == "hangs":
                continue
            if fault == "garbage":
                await ws.send_str("<html>")
                continue
            kind = json.loads(message.data)["type"]
            if kind == "input_transcript":
                sound = b"" if fault == "empty" else _SOUND
                await ws.send_json(
                    {"type": "output_audio", "session_id": "x", "audio": base64.b64encode(sound).decode()}
                )
            elif kind == "session.flush":
                await ws.send_json({"type": "done", "session_id": "x"})
        await ws.close()
        return ws

    async def _ears(self, request: web.Request, append: str, final: Any) -> web.StreamResponse:
        """Words are told after the first silence that follows a sound."""
        if answer := await self._fails(request, "ears", {"cut", "hangs", "garbage"}):
            return answer
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        speaking = False
        async for message in ws:
            if message.type != WSMsgType.TEXT:
                break
            event = json.loads(message.data)
            if event["type"] != append:
                continue
            loud = max(map(abs, memoryview(base64.b64decode(event["audio"])).cast("h")), default=0) > 40
            fault = self._fault("ears")
            if loud and fault in ("cut", "refused"):
                break
            if loud and fault == "garbage":
                await ws.send_str("<html>")
            if speaking and not loud and fault not in ("hangs", "garbage"):
                await ws.send_json(final("" if fault == "empty" else self._next_words()))
            speaking = loud
        await ws.close()
        return ws

    # -- what goes wrong

    def _fault(self, part: str) -> Fault:
        return self.faults.get(part, "")

    def _next_words(self) -> str:
        return self.words.pop(0) if self.words else ""

    async def _fails(self, request: web.Request, part: str, later: set[str] | None = None) -> web.StreamResponse | None:
        """The answer to a request that fails. `later` are faults of an open socket."""
        self.asked.append(request.path)
        fault = self._fault(part)
        if fault in (later or ()):
            return None
        if fault == "refused":
            return web.json_response({"error": {"message": "no"}}, status=503)
        if fault == "hangs":
            await asyncio.Event().wait()
        if fault == "garbage":
            return web.Response(text="<html>", content_type="text/html")
        if fault == "cut" and request.transport:
            request.transport.close()
            return web.Response()
        return None
