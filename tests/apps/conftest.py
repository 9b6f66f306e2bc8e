from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.apps.scripted_service import ScriptedService


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedService]:
    async with ScriptedService().listening() as it:
        yield it
