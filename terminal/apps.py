"""A toy app of the package `offline`, and the service that connects people to it: for when no other service is set."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import secrets
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from terminal.options import settings_in
from terminal.printer import Printer
from terminal.process import Child, before

MISSING = "the toy app and its service need the extra `apps`: run `make talk`"


class Listener(Child):
    """A child that writes `{"event": "listening", …}` when it listens."""

    def __init__(self, name: str, printer: Printer, *, verbose: bool) -> None:
        super().__init__(name, printer, verbose=verbose)
        self.listening = asyncio.Event()

    def notice(self, line: str) -> None:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if json.loads(line)["event"] == "listening":
                self.listening.set()


class ToyApps:
    """Two processes that end with us. What goes wrong with them is told, and the conversation goes on without."""

    def __init__(self, printer: Printer, *, verbose: bool) -> None:
        self._printer = printer
        self._app = Listener("the toy app", printer, verbose=verbose)
        self._service = Listener("the service of the apps", printer, verbose=verbose)
        self._home: tempfile.TemporaryDirectory[str] | None = None

    async def start(self, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
        """Start both; returns what the agent's environment needs to find them, which may be a moment early. They take
        as long as the agent does, beside it: hence ports that are chosen here."""
        settings = settings_in(folder, environment)
        if settings.get("APPS_URL") or settings.get("APPS") or not (folder / "apps").is_dir():
            return {}
        if importlib.util.find_spec("mcp") is None:
            self._printer.hint(MISSING)
            return {}
        app_port, port = _free_port(), _free_port()
        await self._app.start(
            *("-m", "offline.tasks", "--port", str(app_port), "--until-stdin-closes"),
            folder=folder,
            environment=environment,
        )
        tasks = {"title": "Tasks", "url": f"http://127.0.0.1:{app_port}/mcp", "reads": ["list_tasks"]}
        tasks |= {"writes": ["add_task", "complete_task"]}
        secret = {"APPS_SECRET": secrets.token_urlsafe(32)}
        # connections end with the toy itself, which forgets who signed in
        self._home = tempfile.TemporaryDirectory(prefix="rapport-apps-")
        own = {"APPS": json.dumps({"tasks": tasks}), "APPS_PORT": str(port)}
        own |= {"RAPPORT_HOME": self._home.name, "SUPABASE_URL": ""}
        await self._service.start(
            *("-m", "apps", "serve", "--until-stdin-closes"),
            folder=folder,
            environment={**environment, **secret, **own},
        )
        return {"APPS_URL": f"http://127.0.0.1:{port}", **secret}

    async def ready(self, seconds: float = 10.0) -> None:
        """Wait until both listen, if they were started; for so many seconds at most each."""
        for child in (self._app, self._service):
            if child.started and not await before(child.ended, child.listening.wait(), seconds):
                failure = child.failure(f"{child.name} does not listen after {seconds:.0f} s")
                self._printer.hint(f"{failure} There are no apps in this conversation.\n{failure.log}")
                return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self._app.stop(), self._service.stop())
        if self._home:
            self._home.cleanup()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return bound.getsockname()[1]
