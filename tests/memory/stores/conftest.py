"""What the contract of stores is tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from memory.stores.protocol import Store
from tests.memory.stores.contract import Backend


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    store = backend.open()
    yield store
    await store.aclose()
