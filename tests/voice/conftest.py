from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.room.edge import Edge, edge


@pytest.fixture
def server() -> Iterator[Edge]:
    """A LiveKit server in memory, for the whole worker."""
    with edge() as server:
        yield server
