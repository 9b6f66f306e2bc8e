"""OpenAI's Realtime protocol on loopback: what a typed turn and a greeting need, and what can go wrong with it."""

from __future__ import annotations

import asyncio
import base64
import itertools
from typing import Any, Literal, Self

from aiohttp import WSMsgType, web

Fault = Literal["", "refused", "closed at once", "cut", "quota", "failed", "silent"]
"""refused: no handshake. closed at once: right after it. In the place of a response: cut, a fatal error, a response
that fails, nothing at all."""

_SOUND = base64.b64encode(b"\1\0" * 2400).decode()


class RealtimeServer:
    """The server while an `async with` block runs."""

    def __init__(self) -> None:
        self.fault: Fault = ""
        self.connections = 0
        self.items: dict[str, dict[str, Any]] = {}
        """What the model of the last connection has of the conversation, by id."""
        self.instructions = ""
        self.base_url = ""
        self._ids = itertools.count()
        self._open: set[web.WebSocketResponse] = set()
        app = web.Application()
        app.add_routes([web.get("/v1/realtime", self._connected)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        await self._runner.cleanup()

    async def cut(self) -> None:
        """Close what is open."""
        await asyncio.gather(*(ws.close() for ws in self._open))

    async def _connected(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if self.fault == "refused":
            return web.Response(status=503)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        if self.fault == "closed at once":
            await ws.close()
            return ws
        self._open.add(ws)
        self.items.clear()
        await self._send(ws, "session.created", session={"id": "sess"})
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                await self._take(ws, message.json())
        self._open.discard(ws)
        return ws

    async def _send(self, ws: web.WebSocketResponse, kind: str, **event: Any) -> None:
        await ws.send_json({"type": kind, "event_id": f"event_{next(self._ids)}", **event})

    async def _take(self, ws: web.WebSocketResponse, event: dict[str, Any]) -> None:
        if event["type"] == "conversation.item.create":
            previous = event.get("previous_item_id")
            item = {"status": "completed", "object": "realtime.item", **event["item"]}
            self.items[item["id"]] = item
            await self._send(
                ws, "conversation.item.added", previous_item_id=None if previous == "root" else previous, item=item
            )
        elif event["type"] == "conversation.item.delete":
            del self.items[event["item_id"]]
            await self._send(ws, "conversation.item.deleted", item_id=event["item_id"])
        elif event["type"] == "session.update":
            self.instructions = event["session"].get("instructions", self.instructions)
        elif event["type"] == "response.create":
            await self._respond(ws, event.get("response", {}).get("metadata"))

    async def _respond(self, ws: web.WebSocketResponse, metadata: Any) -> None:
        if self.fault == "cut":
            await ws.close()
        elif self.fault == "quota":
            await self._send(
                ws, "error", error={"type": "insufficient_quota", "code": "insufficient_quota", "message": ""}
            )
        elif self.fault != "silent":
            await self._speak(ws, metadata)

    async def _speak(self, ws: web.WebSocketResponse, metadata: Any) -> None:
        response = f"resp_{next(self._ids)}"
        item = {"id": f"item_{next(self._ids)}", "type": "message", "role": "assistant", "status": "completed"}
        about = {"response_id": response, "item_id": item["id"], "output_index": 0, "content_index": 0}
        await self._send(ws, "response.created", response={"id": response, "metadata": metadata})
        if self.fault == "failed":
            error = {"type": "server_error", "code": "server_error"}
            details = {"type": "failed", "error": error}
            await self._done(ws, response, "failed", details)
            return
        await self._send(ws, "response.output_item.added", item={**item, "content": []}, **about)
        part = {"type": "audio", "transcript": ""}
        await self._send(ws, "conversation.item.added", previous_item_id=None, item={**item, "content": []})
        await self._send(ws, "response.content_part.added", part=part, **about)
        await self._send(ws, "response.output_audio_transcript.delta", delta="Hello there.", **about)
        await self._send(ws, "response.output_audio.delta", delta=_SOUND, **about)
        await self._send(ws, "response.output_audio.done", **about)
        content = [{"type": "output_audio", "transcript": "Hello there."}]
        self.items[item["id"]] = {**item, "content": content}
        await self._send(ws, "response.output_item.done", item={**item, "content": content}, **about)
        await self._done(ws, response, "completed", None)

    async def _done(self, ws: web.WebSocketResponse, response: str, status: str, details: Any) -> None:
        usage = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}
        about = {"id": response, "status": status, "status_details": details, "usage": usage, "output": []}
        await self._send(ws, "response.done", response=about)
