"""The service in the test's own loop, over an embedded store, with a clock that a test may move."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from apps.service import Service, application
from apps.settings import ServiceSettings
from apps.stores.protocol import Store
from apps.stores.sealing import Sealing, new_key
from apps.stores.sqlite import SqliteStore
from tests.apps.service.people import SECRET, Job

READS = ("list_tasks", "slow", "fail", "big", "look")
WRITES = ("add_task", "complete_task", "note")


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Running:
    """One process's service."""

    def __init__(self, service: Service, store: Store, sealing: Sealing, url: str) -> None:
        self.service, self.store, self.sealing, self.url = service, store, sealing, url

    def job(self, name: str) -> Job:
        return Job(self.url, name)


def listed(url: str, **more: Any) -> dict[str, Any]:
    """An app as an operator lists it."""
    return {"url": url, "reads": READS, "writes": WRITES} | more


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own environment says nothing here."""
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "rapport.db"


@pytest.fixture
def serve(file: Path, clock: Clock) -> Serve:
    """Serve these apps: `serve(tasks={"url": …})`. Again for another process over the same store."""
    keys = new_key()

    @asynccontextmanager
    async def serving(
        *,
        store: Store | None = None,
        keys: str = keys,
        more: Any = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        **apps: Any,
    ) -> AsyncIterator[Running]:
        sealing, store = Sealing(keys), store or SqliteStore(file, clock)
        settings = ServiceSettings.model_validate({"apps": apps} | (more or {}))
        bound = socket.create_server(("127.0.0.1", port))
        url = f"http{'s' if tls else ''}://127.0.0.1:{bound.getsockname()[1]}"
        service = Service(settings, store, sealing, secret=SECRET, name="Rapport", public_url=url, clock=clock)
        runner = web.AppRunner(
            application(service.for_jobs() + service.for_browsers()), access_log=None, shutdown_timeout=0.5
        )
        await runner.setup()
        await web.SockSite(runner, bound, ssl_context=tls).start()
        try:
            yield Running(service, store, sealing, url)
        finally:
            await runner.cleanup()
            await service.aclose()

    return serving
