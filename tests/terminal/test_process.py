"""Work that gives way to an event."""

from __future__ import annotations

import asyncio

import pytest

import terminal.process
from terminal.process import before


async def test_work_that_swallows_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.process, "STOP_SECONDS", 0.01)
    event, swallowed = asyncio.Event(), 0

    async def deaf() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.sleep(60)

    asyncio.get_running_loop().call_later(0.01, event.set)
    async with asyncio.timeout(5):
        assert not await before(event, deaf())
    assert swallowed == 2
