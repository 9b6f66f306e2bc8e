from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.room.edge import Edge, EdgeRoom, edge
from tests.room.product import Product, shipped


@pytest.fixture(scope="module")
def server() -> Iterator[Edge]:
    """A LiveKit server in memory. One per module: each test has rooms of its own in it."""
    with edge() as it:
        yield it


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Product]:
    yield from shipped(monkeypatch, tmp_path)


@pytest.fixture
def room(server: Edge, request: pytest.FixtureRequest) -> EdgeRoom:
    return server.room(request.node.name)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog
