from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.room.edge import Edge, EdgeRoom, edge
from tests.room.product import Product, shipped


@pytest.fixture(autouse=True)
def no_loop_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the stacks of all threads when a loop is slow, where CPython 3.11 can deadlock (gh-106883). That
    takes dozens of jobs as threads of one process, as here, and a busy machine."""
    monkeypatch.setenv("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "0")


@pytest.fixture(scope="module")
def server() -> Iterator[Edge]:
    """A LiveKit server in memory. One per module: each test has rooms of its own in it."""
    with edge() as it:
        yield it


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    yield from shipped(tmp_path)


@pytest.fixture
def room(server: Edge, request: pytest.FixtureRequest) -> EdgeRoom:
    return server.room(request.node.name)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog
