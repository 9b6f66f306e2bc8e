"""An app as others run it: an MCP server of the SDK, behind an authorization server; and all that may go wrong there.

It runs in the test's own loop, where a test sees what it was asked and says how it fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import uvicorn
from mcp.server.auth.provider import AccessToken, RefreshToken, construct_redirect_uri
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.types import ToolAnnotations
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from offline.tasks import SCOPE, Authority, Tasks, account, listen, server_of

Fault = Callable[[Scope, Receive, Send], Awaitable[None]]


class Counting(Authority):
    """Counts what it is asked, and how often a spent token comes again."""

    def __init__(self, base: str, access_seconds: int, document_tls: ssl.SSLContext | None = None) -> None:
        super().__init__(base, access_seconds)
        self.counts: Counter[str] = Counter()
        self._document_tls = document_tls

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        if self._document_tls and client_id.startswith("https://"):
            async with httpx2.AsyncClient(verify=self._document_tls) as http:
                told = (await http.get(client_id)).json()
            self.counts["document"] += 1
            return OAuthClientInformationFull(**{"scope": SCOPE, **told}) if told["client_id"] == client_id else None
        return await super().get_client(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.counts["register"] += 1
        await super().register_client(client_info)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        found = await super().load_refresh_token(client, refresh_token)
        self.counts["reuse"] += found is None
        return found

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        self.counts["refresh"] += 1
        return await super().exchange_refresh_token(client, refresh_token, scopes)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.counts["revoke"] += 1
        await super().revoke_token(token)

    def decline(self, ticket: str) -> str:
        """Where the browser goes on, when somebody has said no."""
        _, asked = self.asked.pop(ticket)
        return construct_redirect_uri(str(asked.redirect_uri), error="access_denied", state=asked.state, iss=self.base)

    def forget_access(self) -> None:
        """As if all access tokens had ended."""
        self.access.clear()

    def forget(self) -> None:
        """As if it had lost all that it ever issued."""
        self.access.clear()
        self.refresh.clear()


class AppServer:
    """`url` is its MCP server's. `fault`, while it is set, answers what comes to that address; `metadata` changes what
    the documents say, by the last part of their path."""

    def __init__(self, base: str, bound: socket.socket, **options: Any) -> None:
        self.base = base
        self.url = f"{base}/mcp"
        self.authority = Counting(base, options.get("access_seconds", 3600), options.get("document_tls"))
        self.tasks = Tasks()
        self.calls: Counter[str] = Counter()
        self.fault: Fault | None = None
        self.fault_on: Callable[[dict[str, Any]], bool] = lambda _: True
        self.down = False
        self.token_delay = 0.0
        """Before a token is asked for, in seconds."""
        self.metadata: dict[str, dict[str, Any]] = {}
        self._bound = bound
        self._address = bound.getsockname()
        self._options = options
        self._make()

    def _make(self) -> None:
        self._server = server_of(self.authority, registers=self._options.get("registers", True))
        self.tasks.offer(self._server)
        self._offer()
        self._app: ASGIApp = self._server.streamable_http_app(stateless_http=self._options.get("stateless", False))

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _offer(self) -> None:
        @self._server.tool()
        async def slow(seconds: float) -> str:
            """Takes a while."""
            self.calls["slow"] += 1
            await asyncio.sleep(seconds)
            return "done"

        @self._server.tool()
        def fail() -> str:
            """Fails."""
            raise ValueError("the app says no")

        @self._server.tool()
        def big(kilobytes: int) -> str:
            """A lot of text."""
            self.calls["big"] += 1
            return "x" * (kilobytes * 1024)

        @self._server.tool(annotations=ToolAnnotations(read_only_hint=False))
        def look() -> str:
            """Says that it is no mere look."""
            return account()

        @self._server.tool()
        def note(text: str) -> str:
            """Keep a note. Counts how often it was done."""
            self.calls[f"note {text}"] += 1
            return f"Noted: {text}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == "/token" and self.token_delay:
            await asyncio.sleep(self.token_delay)
            await self._app(scope, receive, send)
        elif self.down:
            await Response("down", 503)(scope, receive, send)
        elif scope["path"] == "/mcp" and self.fault is not None:
            await self._faulty(scope, receive, send)
        elif "/.well-known/" in scope["path"]:
            await self._document(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _faulty(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.fault
        parts: list[Message] = []
        while not parts or parts[-1].get("more_body"):
            parts.append(await receive())
        body = b"".join(part.get("body", b"") for part in parts)
        try:
            asked = json.loads(body)
        except ValueError:
            asked = {}

        async def again() -> Message:
            return parts.pop(0) if parts else await receive()

        handler = self.fault if self.fault_on(asked) else self._app
        await handler(scope, again, send)

    async def _document(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = next((told for name, told in self.metadata.items() if name in scope["path"]), None)
        if changes is None:
            await self._app(scope, receive, send)
            return
        if changes.get("status"):
            await Response("", changes["status"])(scope, receive, send)
            return
        parts: list[MutableMapping[str, Any]] = []

        async def keep(message: Message) -> None:
            parts.append(message)

        real = {**scope, "path": changes.get("as", scope["path"])}
        await self._app(real, receive, keep)
        told = json.loads(b"".join(part.get("body", b"") for part in parts[1:]))
        told = {key: value for key, value in {**told, **changes["says"]}.items() if value is not None}
        await JSONResponse(told)(scope, receive, send)

    async def stop(self) -> None:
        """Again is harmless."""
        self._running.should_exit = self._running.force_exit = True
        await self._serving
        self._bound.close()

    async def restart(self) -> None:
        """At the same address, with all that was granted, and no session of before."""
        await self.stop()
        self._bound = listen(self._address[1])
        self._make()
        await self.start()

    async def start(self) -> None:
        config = uvicorn.Config(self, log_level="critical", timeout_graceful_shutdown=1)
        self._running = _Quiet(config)
        self._serving = asyncio.create_task(self._running.serve(sockets=[self._bound]))
        await self._running.listening.wait()


class _Quiet(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serving(app: ASGIApp, bound: socket.socket) -> AsyncIterator[None]:
    """Any app of the kind, in this loop."""
    running = _Quiet(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    task = asyncio.create_task(running.serve(sockets=[bound]))
    await running.listening.wait()
    try:
        yield
    finally:
        running.should_exit = running.force_exit = True
        await task
        bound.close()


@asynccontextmanager
async def app_server(port: int = 0, **options: Any) -> AsyncIterator[AppServer]:
    """`access_seconds`, `registers`, `stateless`; `document_tls`: takes clients that are known by their document."""
    bound = listen(port)
    server = AppServer(f"http://127.0.0.1:{bound.getsockname()[1]}", bound, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


# -- faults


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def status(code: int, **headers: str) -> Fault:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await Response("no", code, headers=named)(scope, receive, send)

    return answers


async def web_page(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("<html>Sign in to the Wi-Fi</html>", media_type="text/html")(scope, receive, send)


async def rubbish(scope: Scope, receive: Receive, send: Send) -> None:
    await Response('{"jsonrpc": "2.0", "id": ', media_type="application/json")(scope, receive, send)


async def too_long(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b'{"x": "' + b"x" * 2_000_000 + b'"}', media_type="application/json")(scope, receive, send)


async def cut(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"jsonrpc"', "more_body": True})
    raise ConnectionError("cut in the middle")


def client_by_hand(server: AppServer, redirect: str) -> dict[str, Any]:
    """As an operator gets it at the app's developer console."""
    made = OAuthClientInformationFull(
        client_id="rapport-by-hand",
        client_secret=secrets.token_urlsafe(24),
        redirect_uris=[redirect],  # pyright: ignore[reportArgumentType]
        token_endpoint_auth_method="client_secret_basic",
        scope=SCOPE,
    )
    server.authority.clients[made.client_id] = made
    return {"client_id": made.client_id, "client_secret": made.client_secret}
