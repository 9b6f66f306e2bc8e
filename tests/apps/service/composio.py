"""A stand-in for Composio's v3.1 API, as its own SDK asks and reads it: sessions, connect links, accounts, and each
session's MCP server. Data is each user's; a wrong key is refused everywhere. A sign-in waits at our page until
`complete_auth` redeems it, once, for the person it was started for (its OAuth callback verifier)."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from offline.tasks import listen
from tests.apps.service.app_server import serving

KEY = "ak_project"
TOOLS = ("ASANA_GET_TASKS", "ASANA_CREATE_A_TASK")


class Composio:
    """`verifier` is the page of ours that the project is set up with; None where the operator has not done so."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.verifier: str | None = None
        self.sessions: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.links: dict[str, tuple[dict[str, Any], str]] = {}
        self.waiting: dict[str, dict[str, Any]] = {}
        self.tasks: defaultdict[str, list[str]] = defaultdict(list)
        self.keys: list[str] = []
        """Of each request."""
        self.mcp_at: str | None = None
        """Another address that it says its sessions have."""
        server = MCPServer("composio", log_level="ERROR")
        self._offer(server)
        self._mcp = server.streamable_http_app(stateless_http=True, json_response=True)
        self._api = Starlette(
            routes=[
                Route("/link/{ticket}", self._link, methods=["GET", "POST"]),
                Route("/api/v3.1/{rest:path}", self._ask, methods=["GET", "POST", "DELETE"]),
            ],
            lifespan=lambda _: self._mcp.router.lifespan_context(self._mcp),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        key = dict(scope["headers"]).get(b"x-api-key", b"").decode()
        self.keys.append(key)
        if not scope["path"].startswith("/link/") and key != KEY:
            await _error("Invalid API key", 401)(scope, receive, send)
        elif scope["path"].startswith("/tool_router/"):
            session = scope["path"].split("/")[2]
            scope = {**scope, "path": "/mcp", "raw_path": b"/mcp", "session": session}
            await self._mcp(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    def _offer(self, server: MCPServer) -> None:
        @server.tool(name=TOOLS[0])
        async def get(ctx: Context) -> str:
            """List tasks."""
            return ", ".join(self.tasks[self._owner(ctx)]) or "none"

        @server.tool(name=TOOLS[1])
        async def create(ctx: Context, name: str) -> str:
            """Create a task."""
            self.tasks[self._owner(ctx)].append(name)
            return "created"

    def _owner(self, ctx: Context) -> str:
        request: Any = ctx.request_context.request
        session = self.sessions.get(request.scope["session"])
        if session is None:
            raise ToolError("no such session")
        person = session["user_id"]
        if not any(each["user_id"] == person and each["status"] == "ACTIVE" for each in self.accounts.values()):
            raise ToolError("no active connection")
        return person

    async def _ask(self, request: Request) -> Response:  # noqa: PLR0911 - a table
        parts = request.path_params["rest"].split("/")
        body = await request.json() if await request.body() else {}
        match request.method, parts:
            case "POST", ["tool_router", "session"]:
                if body.get("user_id") in (None, "", "default"):
                    return _error("user_id is required", 400)
                name = f"trs_{secrets.token_urlsafe(9)}"
                self.sessions[name] = body
                url = f"{self.mcp_at or self.base}/tool_router/{name}/mcp"
                made = {"session_id": name, "mcp": {"type": "http", "url": url}, "config": _config(body)}
                return JSONResponse(made | {"tool_router_tools": [], "config_version": 1, "experimental": None}, 201)
            case _, ["tool_router", "session", name, *_] if name not in self.sessions:
                return _error("Session not found", 404)
            case "POST", ["tool_router", "session", name, "link"]:
                return self._begin(self.sessions[name], body)
            case "DELETE", ["tool_router", "session", name]:
                del self.sessions[name]
                return JSONResponse({"session_id": name, "deleted": True})
            case "POST", ["connected_accounts", "complete_auth"]:
                account = self.waiting.get(body.get("session_uri"))
                if account is None or account["user_id"] != body.get("user_id"):
                    return _error("Session not found", 404)
                del self.waiting[body["session_uri"]]
                account["status"] = "ACTIVE"
                return JSONResponse({"connected_account_id": account["id"], "toolkit_slug": account["toolkit"]})
            case _, ["connected_accounts", name] if name not in self.accounts:
                return _error("Connected account not found", 404)
            case "GET", ["connected_accounts", name]:
                return JSONResponse(_account(self.accounts[name]))
            case "DELETE", ["connected_accounts", name]:
                assert request.query_params["revoke_on_delete"] == "true"
                del self.accounts[name]
                return JSONResponse({"success": True, "revoke_job_id": "rj_1"})
            case _:
                return _error("Not found", 404)

    def _begin(self, session: dict[str, Any], body: dict[str, Any]) -> Response:
        name, ticket = f"ca_{secrets.token_urlsafe(9)}", f"lk_{secrets.token_urlsafe(9)}"
        person, toolkit = session["user_id"], body["toolkit"]
        self.accounts[name] = {"id": name, "status": "INITIATED", "user_id": person, "toolkit": toolkit}
        self.links[ticket] = (self.accounts[name], body["callback_url"])
        told = {"link_token": ticket, "redirect_url": f"{self.base}/link/{ticket}", "connected_account_id": name}
        return JSONResponse(told, 201)

    async def _link(self, request: Request) -> Response:
        """Where the person signs in."""
        if request.path_params["ticket"] not in self.links:
            return _error("This link has expired", 410)
        if request.method == "GET":
            return Response("<form method=post><button>Connect</button></form>", media_type="text/html")
        account, back = self.links.pop(request.path_params["ticket"])
        if self.verifier is None:
            account["status"] = "ACTIVE"
            return RedirectResponse(f"{back}&status=success", 302)
        uri = f"urn:composio:session:{secrets.token_urlsafe(12)}"
        self.waiting[uri] = account
        return RedirectResponse(f"{self.verifier}?session_uri={uri}", 302)


def _config(asked: dict[str, Any]) -> dict[str, Any]:
    """A session's, as it was asked for."""
    tools = {app: {"enabled": each["enable"]} for app, each in asked.get("tools", {}).items()}
    return {
        "user_id": asked["user_id"],
        "toolkits": {"enabled": asked["toolkits"]["enable"]},
        "tools": tools or None,
        "manage_connections": {"enabled": asked.get("manage_connections", {}).get("enable", True)},
        "workbench": {"enable": asked.get("workbench", {}).get("enable", True)},
        "execute": asked.get("execute", {}),
        "search": asked.get("search", {}),
        "preload": asked.get("preload", {"tools": []}),
        "instant": False,
    }


def _account(kept: dict[str, Any]) -> dict[str, Any]:
    status = kept["status"]
    return {
        "id": kept["id"],
        "status": status,
        "user_id": kept["user_id"],
        "toolkit": {"slug": kept["toolkit"]},
        "auth_config": {"id": "ac_1", "auth_scheme": "OAUTH2", "is_composio_managed": True, "is_disabled": False},
        "created_at": "2026-11-01T00:00:00.000Z",
        "updated_at": "2026-11-01T00:00:00.000Z",
        "is_disabled": False,
        "data": {},
        "params": {},
        "status_reason": None,
        "state": {"authScheme": "OAUTH2", "val": {"status": status}},
        "test_request_endpoint": "",
    }


def _error(message: str, status: int) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "status": status, "at": time.time()}}, status)


@asynccontextmanager
async def composio() -> AsyncIterator[Composio]:
    bound = listen(0)
    it = Composio(f"http://127.0.0.1:{bound.getsockname()[1]}")
    async with serving(it, bound):
        yield it
