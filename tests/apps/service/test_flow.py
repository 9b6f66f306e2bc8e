"""Connecting: the whole way, and each way that is refused."""

from __future__ import annotations

import asyncio

import pytest

from tests.apps.service.app_server import app_server
from tests.apps.service.conftest import Serve, listed
from tests.apps.service.people import Refusal


async def test_two_people_at_once_each_see_their_own(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        assert await alice.status() == "available"
        await asyncio.gather(alice.connect(), bob.connect())
        assert await alice.status() == "connected"
        await asyncio.gather(alice.call("add_task", name="milk"), bob.call("add_task", name="tea"))
        assert await asyncio.gather(alice.call("list_tasks"), bob.call("list_tasks")) == ["milk", "tea"]
        assert "tasks.list_tasks" in await alice.tools()
        assert await here.job("a stranger").tools() == []
        await alice.disconnect()
        await here.service.sweep()
        assert app.authority.counts["revoke"] == 1
        assert await alice.status() == "available"
        with pytest.raises(Refusal, match="not_connected"):
            await alice.call("list_tasks")
        assert await bob.call("list_tasks") == "tea"
