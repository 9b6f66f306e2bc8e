"""Something between a worker and its project that lets everything through, until it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
from aiohttp import web

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""What a request gets; None lets it through."""

_ITS_OWN = ("host", "content-length", "connection", "transfer-encoding", "content-encoding")


class Edge:
    """`url` stands for the project's. `fault` is what happens to requests; None while all is well."""

    def __init__(self, upstream: str) -> None:
        self.fault: Fault | None = None
        self.url = ""
        self._upstream = httpx.AsyncClient(base_url=upstream, timeout=30, trust_env=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.fault and (answer := await self.fault(request)):
            return answer
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _ITS_OWN}
        try:
            passed = await self._upstream.request(request.method, request.raw_path, content=body, headers=headers)
        except httpx.HTTPError:
            return web.Response(status=502, text="<html>no answer</html>", content_type="text/html")
        kept = {name: value for name, value in passed.headers.items() if name.lower() not in _ITS_OWN}
        return web.Response(status=passed.status_code, body=passed.content, headers=kept)

    async def aclose(self) -> None:
        await self._upstream.aclose()


@asynccontextmanager
async def in_front_of(upstream: str) -> AsyncIterator[Edge]:
    edge = Edge(upstream)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", edge.handle)
    # what hangs is not waited for
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    edge.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield edge
    finally:
        await runner.cleanup()
        await edge.aclose()
