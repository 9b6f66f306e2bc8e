"""`python -m offline.tasks`: a toy app, a list of tasks for each person, to try connecting one's own apps without any.

An MCP server and its own authorization server in one: whoever signs in says a name, and the list is that name's.
Nothing is kept when it ends. Once it listens it writes one JSON line to stdout, `{"event": "listening", "url": …}`. It
ends with 0 on SIGINT, SIGTERM and, if asked, when its stdin closes. It needs the extra `apps`.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections import defaultdict
from types import FrameType

import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.types import ToolAnnotations
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

SCOPE = "tasks"
CODE_SECONDS = 60


class Authority(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """Who may do what in whose name. Refresh tokens are good for one use: a second one ends all that came of them."""

    def __init__(self, base: str, access_seconds: int = 3600) -> None:
        self.base = base
        self.access_seconds = access_seconds
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.asked: dict[str, tuple[OAuthClientInformationFull, AuthorizationParams]] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.families: dict[str, str] = {}
        """Of each token, spent ones too, the sign-in that it came of."""

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        ticket = secrets.token_urlsafe(16)
        self.asked[ticket] = (client, params)
        return f"{self.base}/sign-in?ticket={ticket}"

    def grant(self, ticket: str, account: str) -> str:
        """Where the browser goes on, when somebody has signed in under this name. Raises `KeyError`."""
        client, asked = self.asked.pop(ticket)
        code = AuthorizationCode(
            code=secrets.token_urlsafe(32),
            client_id=client.client_id,
            scopes=asked.scopes or [SCOPE],
            expires_at=time.time() + CODE_SECONDS,
            code_challenge=asked.code_challenge,
            redirect_uri=asked.redirect_uri,
            redirect_uri_provided_explicitly=asked.redirect_uri_provided_explicitly,
            resource=asked.resource,
            subject=account,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(asked.redirect_uri), code=code.code, state=asked.state, iss=self.base)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        if self.codes.pop(authorization_code.code, None) is None:
            raise TokenError("invalid_grant")
        return self._issue(authorization_code, authorization_code.scopes, secrets.token_hex(8))

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        found = self.refresh.get(refresh_token)
        if found is None and (family := self.families.get(refresh_token)):
            self.end(family)
        return found

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        if self.refresh.pop(refresh_token.token, None) is None:
            raise TokenError("invalid_grant")
        return self._issue(refresh_token, scopes or refresh_token.scopes, self.families[refresh_token.token])

    async def load_access_token(self, token: str) -> AccessToken | None:
        found = self.access.get(token)
        return found if found and (found.expires_at or 0) > time.time() else None

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.end(self.families[token.token])

    def end(self, family: str) -> None:
        for token, of in self.families.items():
            if of == family:
                self.access.pop(token, None)
                self.refresh.pop(token, None)

    def _issue(self, came_of: AuthorizationCode | RefreshToken, scopes: list[str], family: str) -> OAuthToken:
        access = AccessToken(
            token=f"at_{secrets.token_urlsafe(24)}",
            client_id=came_of.client_id,
            scopes=scopes,
            expires_at=int(time.time()) + self.access_seconds,
            resource=came_of.resource,
            subject=came_of.subject,
        )
        refresh = RefreshToken(
            token=f"rt_{secrets.token_urlsafe(24)}",
            client_id=came_of.client_id,
            scopes=scopes,
            resource=came_of.resource,
            subject=came_of.subject,
        )
        self.access[access.token], self.refresh[refresh.token] = access, refresh
        self.families |= {access.token: family, refresh.token: family}
        return OAuthToken(
            access_token=access.token,
            refresh_token=refresh.token,
            expires_in=self.access_seconds,
            scope=" ".join(scopes),
        )


class Tasks:
    """Each account's open tasks, by the name that somebody signed in with."""

    def __init__(self) -> None:
        self.of: defaultdict[str, list[str]] = defaultdict(list)

    def offer(self, server: MCPServer) -> None:
        @server.tool(annotations=ToolAnnotations(read_only_hint=True))
        def list_tasks() -> str:  # pyright: ignore[reportUnusedFunction]
            """List the open tasks."""
            return "\n".join(self.of[account()]) or "There are no open tasks."

        @server.tool(annotations=ToolAnnotations(destructive_hint=False))
        def add_task(name: str) -> str:  # pyright: ignore[reportUnusedFunction]
            """Add a task."""
            self.of[account()].append(name)
            return f"Added: {name}"

        @server.tool()
        def complete_task(name: str) -> str:  # pyright: ignore[reportUnusedFunction]
            """Complete an open task."""
            if name not in self.of[account()]:
                return f"There is no open task of that name: {name}"
            self.of[account()].remove(name)
            return f"Completed: {name}"


def account() -> str:
    """Whose token came with this request."""
    token = get_access_token()
    assert token and token.subject  # noqa: S101 - no request without one gets here
    return token.subject


def server_of(authority: Authority, *, registers: bool = True) -> MCPServer:
    """An MCP server that this authority guards; `registers`: whoever asks becomes a client of it."""
    server = MCPServer(
        "tasks",
        auth_server_provider=authority,
        log_level="ERROR",
        # as texts: an address that is made first gets a slash at its end, and issuers are compared letter by letter
        auth=AuthSettings.model_validate(
            {
                "issuer_url": authority.base,
                "resource_server_url": f"{authority.base}/mcp",
                "required_scopes": [SCOPE],
                "validate_token_resource": True,
                "client_registration_options": ClientRegistrationOptions(
                    enabled=registers, valid_scopes=[SCOPE], default_scopes=[SCOPE]
                ),
                "revocation_options": RevocationOptions(enabled=True),
            }
        ),
    )

    @server.custom_route("/sign-in", methods=["GET", "POST"])
    async def sign_in(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        ticket = request.query_params.get("ticket", "")
        if ticket not in authority.asked:
            return HTMLResponse("<p>This sign-in is over.</p>", 404)
        if request.method == "GET":
            return HTMLResponse(_sign_in_page(ticket))
        name = str((await request.form()).get("account", "")).strip()
        return RedirectResponse(authority.grant(ticket, name or "somebody"), 302)

    return server


def _sign_in_page(ticket: str) -> str:
    return (
        "<!doctype html><meta charset=utf-8><title>Tasks, a toy</title><h1>Tasks, a toy</h1>"
        f'<form method=post action="/sign-in?ticket={html.escape(ticket)}">'
        "<label>Your name here <input name=account autofocus></label> <button>Allow</button></form>"
    )


def listen(port: int) -> socket.socket:
    """On this machine alone. asyncio does not take such a socket for TCP's, and would let answers wait for 40 ms."""
    bound = socket.create_server(("127.0.0.1", port))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


async def serve(port: int, *, until_stdin_closes: bool) -> None:
    bound = listen(port)
    base = f"http://127.0.0.1:{bound.getsockname()[1]}"
    server = server_of(Authority(base))
    Tasks().offer(server)
    await _Listening(server.streamable_http_app(), f"{base}/mcp", until_stdin_closes).serve(sockets=[bound])


class _Listening(uvicorn.Server):
    """Says so when it listens, and ends as our own servers do."""

    def __init__(self, app: Starlette, url: str, until_stdin_closes: bool) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
        self._url = url
        self._until_stdin_closes = until_stdin_closes

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for number in (signal.SIGINT, signal.SIGTERM):  # its own handlers would end us by the signal
            signal.signal(number, self._stop)
        if self._until_stdin_closes:
            threading.Thread(target=self._stop_with_stdin, name="stdin", daemon=True).start()
        sys.stdout.write(json.dumps({"event": "listening", "url": self._url}) + "\n")
        sys.stdout.flush()

    def _stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        self.should_exit = True

    def _stop_with_stdin(self) -> None:
        while os.read(0, 4096):
            pass
        self._stop()


def main() -> int:
    parser = argparse.ArgumentParser("python -m offline.tasks", description="A toy app: tasks, for who signs in.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, picks a free one")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when stdin reaches its end")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.port, until_stdin_closes=options.until_stdin_closes))
    except OSError as error:
        sys.stderr.write(f"offline.tasks: port {options.port} cannot be listened on: {error.strerror}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
