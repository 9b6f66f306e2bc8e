from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.room.edge import Edge, edge


@pytest.fixture(scope="module")
def server() -> Iterator[Edge]:
    """A LiveKit server in memory. One per module: each test has rooms of its own in it."""
    with edge() as it:
        yield it
