"""Open sessions with apps: as many as fit, each for one person's one connection, until nobody used it for a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import httpx2
from mcp.client import Client
from mcp.client.auth import utils as helpers
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, Implementation, Tool

from apps.core import Outcome, Refused, what_is_told
from apps.providers.protocol import Endpoint
from apps.providers.reach import Attempt, attempt, client

log = logging.getLogger("rapport.apps")

_CLOSE_SECONDS = 1.0
_PAGES = 5
"""Of a list of tools: a server that never ends it holds nothing up."""


class Held(Protocol):
    """What a session uses its app with."""

    def endpoint(self) -> Endpoint: ...

    async def renew(self, refused: Endpoint) -> Endpoint:
        """What to use in place of what the app did not take. Raises `Refused`."""
        ...

    async def reject(self, scopes: str | None) -> Refused:
        """Note that only a new sign-in helps, for these scopes if any are named; what to tell."""
        ...


class _Auth(httpx2.Auth):
    """Puts the person's token on each request, and after a 401 a new one, once.

    What comes of it is told by the `attempt`: an error that is raised in here ends the session in words of its own.
    """

    def __init__(self, held: Held) -> None:
        self.held = held

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        told, held = attempt.get() or Attempt(), self.held
        used = held.endpoint()
        request.headers.update(used.headers)
        response = yield request
        if response.status_code == 401:
            try:
                request.headers.update((await held.renew(used)).headers)
            except Refused as refused:
                told.refused = refused
                return
            response = yield request
            if response.status_code == 401:
                told.refused = await held.reject(None)
        if response.status_code == 403 and _wants_scope(response):
            told.refused = await held.reject(helpers.extract_scope_from_www_auth(response))


def _wants_scope(response: httpx2.Response) -> bool:
    return helpers.extract_field_from_www_auth(response, "error") == "insufficient_scope"


class Session:
    """One MCP session. A task of its own opens and closes it: anyio wants both in one."""

    def __init__(self, held: Held) -> None:
        self.used = time.monotonic()
        self.endpoint = held.endpoint()
        self._auth = _Auth(held)
        self._client: Client | None = None
        self._stop = asyncio.Event()
        self._ending = False
        self._calls = 0
        self._quiet = asyncio.Event()
        """No call goes on."""
        self._quiet.set()
        self._tools: asyncio.Future[list[Tool]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._own())

    @property
    def over(self) -> bool:
        return self._task.done() or self._ending

    def use(self, held: Held) -> None:
        self.used = time.monotonic()
        self._auth.held = held

    async def tools(self) -> list[Tool]:
        """What the app said it can do when the session was opened. Raises `Refused` where it was not."""
        return await asyncio.shield(self._tools)

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """The result, or whatever the SDK raises: what became of the request, the `attempt` says."""
        await self.tools()
        assert self._client  # noqa: S101
        self._calls += 1
        self._quiet.clear()
        try:
            return await self._client.call_tool(tool, arguments)
        finally:
            self._calls -= 1
            if not self._calls:
                self._quiet.set()

    async def aclose(self) -> None:
        """When the calls that go on are over, each of which has a deadline; then a second at most."""
        self._ending = True
        await self._quiet.wait()
        self._stop.set()
        done, _ = await asyncio.wait({self._task}, timeout=_CLOSE_SECONDS)
        if not done:
            self._task.cancel()

    async def _own(self) -> None:
        told = Attempt()
        attempt.set(told)
        where = self.endpoint
        try:
            async with (
                client(local=where.local, private=where.private, auth=self._auth) as http,
                Client(
                    streamable_http_client(where.url, http_client=http, terminate_on_close=False),
                    client_info=Implementation(name="rapport", version="1"),
                    cache=None,
                ) as self._client,
            ):
                found = await _all_tools(self._client)
                if not self._tools.done():
                    self._tools.set_result(found)
                await self._stop.wait()
        except asyncio.CancelledError:
            self._fail(Refused("app_down", "The app does not answer just now."))
            raise
        except Exception as error:
            if not self._tools.done():
                log.info("[APPS] a session was not opened: %s, %s", told, type(error).__name__)
            self._fail(told.refused or _why(told))

    def _fail(self, refused: Refused) -> None:
        if not self._tools.done():
            self._tools.set_exception(refused)
            self._tools.exception()  # nobody may be there to hear it


def _why(told: Attempt) -> Refused:
    if told.outcome is Outcome.ANSWERED or told.status in (404, 405, 406, 415):
        return what_is_told(Outcome.ANSWERED, writes=False)
    return what_is_told(told.outcome, writes=False)


async def _all_tools(session: Client) -> list[Tool]:
    found: list[Tool] = []
    cursor = None
    for _ in range(_PAGES):
        page = await session.list_tools(cursor=cursor)
        found += page.tools
        if not (cursor := page.next_cursor):
            break
    return found


class Sessions:
    """By a key that names one connection; the least recently used gives way."""

    def __init__(self, limit: int, idle: float) -> None:
        self._limit = limit
        self._idle = idle
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, key: str, held: Held) -> Session:
        """The open session, or one that begins to open. Raises `Refused` where there is no address."""
        session = self._open.get(key)
        if session is None or session.over or session.endpoint.url != held.endpoint().url:
            self.drop(key)
            session = self._open[key] = Session(held)
            while len(self._open) > self._limit:
                self.drop(next(iter(self._open)))
        self._open.move_to_end(key)
        session.use(held)
        return session

    def drop(self, key: str, session: Session | None = None) -> None:
        """End it, and wait for nothing; `session`, only if it is still this one."""
        found = self._open.get(key)
        if found is None or (session is not None and found is not session):
            return
        del self._open[key]
        closing = asyncio.create_task(found.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def drop_idle(self) -> None:
        now = time.monotonic()
        for key, session in list(self._open.items()):
            if session.over or now - session.used > self._idle:
                self.drop(key)

    async def aclose(self) -> None:
        for key in list(self._open):
            self.drop(key)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * _CLOSE_SECONDS):
                await asyncio.gather(*self._closing, return_exceptions=True)
