"""What stands between workers and their server, and counts what they ask its API; it may refuse, as a limit does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import ClientSession, ClientTimeout, ClientWebSocketResponse, WSMsgType, web

from tests.stack.livekit_server import HOST, LiveKitServer

Socket = web.WebSocketResponse | ClientWebSocketResponse
_OF_ONE_HOP = ("connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade")


class Counting:
    """`url` is what a worker takes for its server's."""

    def __init__(self, server: LiveKitServer, session: ClientSession) -> None:
        self.url = ""
        self.calls: list[tuple[float, str]] = []
        """When, in seconds of `time.monotonic()`, and what was asked."""
        self.refused = 0
        self.refuses: Callable[[], bool] = lambda: False
        self._upstream = server.url.replace("ws:", "http:")
        self._session = session

    def most_in_a_minute(self) -> int:
        times = [at for at, _ in self.calls]
        return max((sum(start <= at < start + 60 for at in times) for start in times), default=0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        if request.path.startswith("/twirp/"):
            self.calls.append((time.monotonic(), request.path.rsplit("/", 1)[1]))
            if self.refuses():
                self.refused += 1
                return web.Response(status=429, headers={"Retry-After": "3"})
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_HOP}
        address = self._upstream + request.raw_path
        async with self._session.request(request.method, address, headers=headers, data=await request.read()) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        here = web.WebSocketResponse(max_msg_size=0)
        headers = {"Authorization": request.headers.get("Authorization", "")}
        address = self._upstream + request.raw_path
        async with self._session.ws_connect(address, headers=headers, max_msg_size=0) as there:
            await here.prepare(request)
            await asyncio.gather(_pass_on(here, there), _pass_on(there, here), return_exceptions=True)
        return here


async def _pass_on(source: Socket, to: Socket) -> None:
    async for message in source:
        if message.type == WSMsgType.BINARY:
            await to.send_bytes(message.data)
        elif message.type == WSMsgType.TEXT:
            await to.send_str(message.data)
    await to.close()


@asynccontextmanager
async def counting(server: LiveKitServer) -> AsyncIterator[Counting]:
    async with ClientSession(timeout=ClientTimeout(total=None), auto_decompress=False) as session:
        it = Counting(server, session)
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{path:.*}", it.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        it.url = f"ws://{HOST}:{runner.addresses[0][1]}"
        try:
            yield it
        finally:
            await runner.cleanup()
