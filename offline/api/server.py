"""The HTTP server: reads a request, suffers a planned fault or answers, keeps nothing for the next one."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Self, cast

from aiohttp import BodyPartReader, web

from offline.api import wire
from offline.api.faults import Endpoint, Faults, Mode, Where
from offline.api.vectors import embed
from offline.api.wire import BadRequest, Json, Reply, Upload
from offline.brain.answer import answer
from offline.speech.ear import RATE as EAR_RATE
from offline.speech.ear import Ear, read_audio
from offline.speech.mouth import CONTENT_TYPES, encode, speak
from offline.speech.mouth import RATE as MOUTH_RATE

HOST = "127.0.0.1"

_LARGEST_BODY = 64 * 2**20
_DIMENSIONS = 1536

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Record:
    """One request as it came and as it was answered."""

    endpoint: Endpoint
    body: Json
    at: float = field(default_factory=time.time)
    """Unix time in seconds at which its body had arrived."""
    answer: Any = None
    """The assistant message, the transcript or the spoken text; None if a fault stood in its place."""
    fault: Mode | None = None


@cache
def shared_ear() -> Ear:
    """The ear of every server in this process: decoders take long to load and keep nothing."""
    return Ear()


class OfflineServer:
    """The server while an `async with` block runs.

    With `port` 0 the system picks a free one. `record` keeps every request in `requests`: for tests only, since
    that is everything the person said. `control` adds `/control/...`, which plans faults over HTTP.
    Entering raises `OSError` if the port is taken.
    """

    def __init__(self, *, port: int = 0, record: bool = True, control: bool = False) -> None:
        self.requests: list[Record] = []
        self.base_url = ""
        """With the /v1, for `OPENAI_BASE_URL`; known once the server listens."""
        self._port = port
        self._record = record
        self._faults = Faults()
        self._closing = asyncio.Event()
        app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_errors_as_json])
        app.on_response_prepare.append(_name_the_request)
        app.add_routes(self._routes())
        if control:
            app.add_routes(self._control_routes())
        # A handler is cancelled when its caller goes, so a request that hangs does not stay for ever.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.base_url = f"http://{HOST}:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    def fail(self, endpoint: Endpoint, mode: Mode, times: int = 1, where: Where | None = None) -> None:
        """Let the next `times` requests to this endpoint fail; `where` picks them by their body."""
        self._faults.plan(endpoint, mode, times, where)

    def heal(self) -> None:
        """Drop the faults that are still planned."""
        self._faults.clear()

    def asked(self, endpoint: Endpoint) -> list[Record]:
        """The recorded requests to one endpoint, oldest first."""
        return [record for record in self.requests if record.endpoint == endpoint]

    # --- routes -----------------------------------------------------------------------------------------------

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1", _root),
            web.get("/v1/", _root),
            web.get("/v1/models", _models),
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/audio/transcriptions", self._transcriptions),
            web.post("/v1/audio/speech", self._speech),
            web.post("/v1/embeddings", self._embeddings),
        ]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await _read_json(request)
        return await self._answer(request, "chat", body, lambda: _chat(body))

    async def _speech(self, request: web.Request) -> web.StreamResponse:
        body = await _read_json(request)
        return await self._answer(request, "speech", body, lambda: _speech(body))

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await _read_json(request)
        return await self._answer(request, "embeddings", body, lambda: _embeddings(body))

    async def _transcriptions(self, request: web.Request) -> web.StreamResponse:
        upload = await _read_upload(request)
        body: Json = {**upload.fields, "file_bytes": len(upload.file or b"")}
        return await self._answer(request, "transcriptions", body, lambda: _transcription(upload))

    async def _answer(
        self, request: web.Request, endpoint: Endpoint, body: Json, work: Callable[[], Awaitable[Reply]]
    ) -> web.StreamResponse:
        record = Record(endpoint, body, fault=self._faults.take(endpoint, body))
        if self._record:
            self.requests.append(record)
        match record.fault:
            case "hang":
                await self._closing.wait()
                return _hung_up(request, web.Response())
            case "error":
                return web.json_response(wire.error("a planned fault", "server_error"), status=500)
            case "html":
                return web.Response(text="<html><body>502 Bad Gateway</body></html>", content_type="text/html")
            case "not_json":
                return web.Response(body=b'{"this is": not json', content_type="application/json")
            case "cut" | None:
                reply = await work()
                record.answer = reply.summary
                return await _send(request, reply, cut=record.fault == "cut")

    # --- control ----------------------------------------------------------------------------------------------

    def _control_routes(self) -> list[web.RouteDef]:
        return [
            web.post("/control/faults", self._plan_fault),
            web.delete("/control/faults", self._clear_faults),
            web.get("/control/requests", self._list_requests),
            web.delete("/control/requests", self._clear_requests),
        ]

    async def _plan_fault(self, request: web.Request) -> web.StreamResponse:
        body = await _read_json(request)
        try:
            self._faults.plan(str(body.get("endpoint")), str(body.get("mode")), int(body.get("times", 1)))
        except (TypeError, ValueError) as error:
            raise BadRequest(str(error)) from error
        return web.json_response({"planned": body})

    async def _clear_faults(self, _: web.Request) -> web.StreamResponse:
        self.heal()
        return web.json_response({})

    async def _list_requests(self, _: web.Request) -> web.StreamResponse:
        return web.json_response([asdict(record) for record in self.requests])

    async def _clear_requests(self, _: web.Request) -> web.StreamResponse:
        self.requests.clear()
        return web.json_response({})


async def _root(_: web.Request) -> web.StreamResponse:
    return web.json_response({"object": "offline voice"})


async def _models(_: web.Request) -> web.StreamResponse:
    return web.json_response(wire.models())


# --- the work of each endpoint --------------------------------------------------------------------------------


async def _chat(body: Json) -> Reply:
    return wire.chat_reply(body, answer(wire.messages_of(body), wire.tools_of(body)))


async def _transcription(upload: Upload) -> Reply:
    format = upload.fields.get("response_format", "json")  # noqa: A001
    if format not in wire.TRANSCRIPT_FORMATS:
        raise BadRequest(f"'response_format' must be one of {', '.join(wire.TRANSCRIPT_FORMATS)}")
    if not upload.file:
        raise BadRequest("'file' must be an audio file")
    try:
        samples = await asyncio.to_thread(read_audio, upload.file)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    return wire.transcript_reply(format, await shared_ear().hear(samples), len(samples) / EAR_RATE)


async def _speech(body: Json) -> Reply:
    text, format = body.get("input"), body.get("response_format") or "mp3"  # noqa: A001
    if not isinstance(text, str) or not text.strip():
        raise BadRequest("'input' must be a text that is not empty")
    if format not in CONTENT_TYPES:
        raise BadRequest(f"'response_format' must be one of {', '.join(CONTENT_TYPES)}")
    speed = body.get("speed") or 1.0
    if not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
        raise BadRequest("'speed' must be a number from 0.25 to 4")
    samples = await asyncio.to_thread(speak, text, str(body.get("voice")), speed)
    audio = await asyncio.to_thread(encode, samples, format)
    as_events = body.get("stream_format") == "sse"
    seconds = len(samples) / MOUTH_RATE
    return wire.speech_reply(text, audio, CONTENT_TYPES[format], seconds, as_events=as_events)


async def _embeddings(body: Json) -> Reply:
    texts = wire.texts_of(body)
    dimensions = body.get("dimensions", _DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= 8192:
        raise BadRequest("'dimensions' must be a whole number from 1 to 8192")
    return wire.embeddings_reply(body, texts, [embed(text, dimensions) for text in texts])


# --- in and out -----------------------------------------------------------------------------------------------


async def _read_json(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return cast("Json", body)


async def _read_upload(request: web.Request) -> Upload:
    if not request.content_type.startswith("multipart/"):
        raise BadRequest("the body is not multipart/form-data")
    upload = Upload()
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                continue
            if part.name == "file":
                upload.file = bytes(await part.read())
            else:
                upload.fields[part.name or ""] = await part.text()
    except ValueError as error:
        raise BadRequest(f"the form cannot be read: {error}") from error
    return upload


async def _send(request: web.Request, reply: Reply, *, cut: bool) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = reply.content_type
    if not reply.streamed:
        response.content_length = sum(map(len, reply.chunks))
    await response.prepare(request)
    for chunk in _first_half(reply.chunks) if cut else reply.chunks:
        await response.write(chunk)
    if cut:
        return _hung_up(request, response)
    await response.write_eof()
    return response


def _first_half(chunks: list[bytes]) -> list[bytes]:
    if len(chunks) == 1:
        return [chunks[0][: len(chunks[0]) // 2]]
    return chunks[: len(chunks) // 2]


def _hung_up(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """The response after closing the connection under it: aiohttp finds it closed, as if the caller had gone."""
    if request.transport:
        request.transport.close()
    return response


async def _name_the_request(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["x-request-id"] = f"req_{uuid.uuid4().hex}"


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequest as error:
        return web.json_response(wire.error(str(error)), status=400)
    except web.HTTPException as error:
        return web.json_response(wire.error(error.reason or "error"), status=error.status)
