"""The service of the apps, as far as a job sees it, doing what the test says: no app, no browser, no provider."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import jwt
from aiohttp import web

SECRET = "a secret of at least 32 characters, for tests"
ADD = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
TASKS = [
    {
        "app": "tasks",
        "tool": "list_tasks",
        "description": "List tasks.",
        "parameters": {"type": "object"},
        "writes": False,
    },
    {"app": "tasks", "tool": "add_task", "description": "Add a task.", "parameters": ADD, "writes": True},
]


class Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class ScriptedService:
    """People by their UUIDs; the digits of every sign-in are 7142, and it is signed in as soon as there is a link."""

    def __init__(self) -> None:
        self.titles = {"tasks": "Tasks"}
        self.tools: list[dict[str, Any]] = TASKS
        """Those of all apps; a person has the ones of theirs."""
        self.connected: defaultdict[str, set[str]] = defaultdict(set)
        self.all_are_connected = False
        """Of everybody."""
        self.expired: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[tuple[str, str, str]] = []
        """Person, method and path of each request."""
        self.links: dict[str, str] = {}
        self.kept: defaultdict[str, list[str]] = defaultdict(list)
        """Each person's tasks."""
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.before: Callable[[str, str], Awaitable[None]] | None = None
        """Called with method and path before a request is answered: it may wait, or raise a `Refusal`."""
        self.answers: dict[str, Any] = {}
        """What a tool of that name answers, instead of working."""
        self.url = ""

    @contextlib.asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[ScriptedService]:
        app = web.Application()
        app.router.add_route("*", "/v1/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        token = request.headers["authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="rapport-apps")
        assert claims["who"]
        person, path = claims["sub"], request.path.removeprefix("/v1/")
        self.asked.append((person, request.method, path))
        body = await request.json() if request.can_read_body else None
        try:
            if self.before:
                await self.before(request.method, path)
            answer = self._answered(person, request.method, path.split("/"), body)
        except Refusal as refusal:
            return web.json_response({"code": refusal.code, "why": "because"}, status=refusal.status)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    def _answered(self, person: str, method: str, path: list[str], body: Any) -> Any:
        if self.all_are_connected:
            self.connected[person] |= set(self.titles)
        mine = self.connected[person]
        match method, *path:
            case "GET", "apps":
                return {
                    "apps": [{"app": a, "title": t, "status": self._status(mine, a)} for a, t in self.titles.items()]
                }
            case "GET", "tools":
                silent = mine & self.silent
                tools = [tool for tool in self.tools if tool["app"] in mine - silent]
                return {"tools": tools, "silent": sorted(silent)}
            case "POST", "apps", app, "link":
                if app not in self.titles:
                    raise Refusal(404, "no_such_app")
                self.links[person] = f"https://apps.example/c/{len(self.links)}-of-{app}"
                return {"url": self.links[person], "minutes": 10}
            case "POST", "confirm":
                if person not in self.links:
                    raise Refusal(409, "nothing_waits")
                if body["code"] != "7142":
                    raise Refusal(403, "wrong_code")
                app = self.links.pop(person).rpartition("-")[2]
                mine.add(app)
                return {"app": app}
            case "DELETE", "apps", app:
                mine.discard(app)
                return {}
            case "POST", "tools", app, tool:
                if app not in mine:
                    raise Refusal(409, "not_connected")
                self.calls.append((person, tool, body["arguments"]))
                return self._worked(person, tool, body["arguments"])
            case _:
                raise Refusal(400, "unknown")

    def _status(self, mine: set[str], app: str) -> str:
        return "available" if app not in mine else "expired" if app in self.expired else "connected"

    def _worked(self, person: str, tool: str, arguments: dict[str, Any]) -> Any:
        if tool in self.answers:
            return self.answers[tool]
        if tool == "add_task":
            self.kept[person].append(arguments["name"])
        return {"text": "\n".join(self.kept[person]) or "No tasks.", "error": False}


async def hang(method: str, path: str) -> None:
    """Of everything."""
    await asyncio.Event().wait()
