"""A server on loopback, of whatever routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from aiohttp import web


class Loopback:
    """It serves while an `async with` block runs, at `base_url`."""

    def __init__(self, routes: Iterable[web.RouteDef]) -> None:
        self.base_url = ""
        app = web.Application()
        app.add_routes(routes)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
