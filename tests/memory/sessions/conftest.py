"""A person in a session, over a store that has its moods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from identity import set_session_user
from memory.manager import MemoryManager
from memory.sessions.session import SessionMemory
from memory.sessions.timing import Timing
from tests.memory.sessions.moody import HASTY, Moody


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rapport.db"


@pytest.fixture
async def store(path: Path) -> Moody:
    return Moody(path)


@pytest.fixture
def deadline() -> float:
    """How long somebody may wait for the store, in seconds; a test that is impatient overrides it."""
    return 5


@pytest.fixture
def timing() -> Timing:
    return HASTY


@pytest.fixture
async def manager(store: Moody, deadline: float, timing: Timing) -> AsyncIterator[MemoryManager]:
    manager = MemoryManager(lambda: store, deadline, timing=timing)
    yield manager
    store.gate.set()
    store.down = False
    await manager.aclose()


@pytest.fixture
async def alice(manager: MemoryManager) -> SessionMemory:
    set_session_user("alice@example.com")
    return manager.open_session()
