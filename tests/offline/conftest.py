from collections.abc import AsyncIterator

import openai
import pytest

from offline.api.server import OfflineServer


@pytest.fixture
async def server() -> AsyncIterator[OfflineServer]:
    async with OfflineServer(control=True) as server:
        yield server


@pytest.fixture
async def client(server: OfflineServer) -> AsyncIterator[openai.AsyncClient]:
    async with openai.AsyncClient(base_url=server.base_url, api_key="none", max_retries=0, timeout=60) as client:
        yield client
