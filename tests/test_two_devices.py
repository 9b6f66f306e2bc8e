"""Two devices of one person at once, each with a worker of its own: what one is told, the other tells."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.conftest import PATIENCE, OpenTalk
from tests.supabase.project import project

WITHIN = 20.0
"""Seconds until what happened on one device is known on the other."""
COLORS = (
    "teal amber coral ivory olive plum rust sage navy lilac mauve peach cyan beige khaki maroon ochre indigo ruby jade"
).split()

pytestmark = pytest.mark.soak

Event = dict[str, Any]


@pytest.fixture(params=["sqlite", pytest.param("supabase", marks=pytest.mark.stack)])
def store(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "sqlite":
        return {}
    here = project()
    here.empty()
    return here.environment("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET")


class Device:
    """A conversation that goes on, typed line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin and process.stdout
        self._lines, self._events = process.stdin, process.stdout

    def say(self, line: str) -> None:
        self._lines.write(f"{line}\n".encode())

    async def ask(self, line: str) -> str:
        """What the agent says to it."""
        self.say(line)
        return (await self.event(lambda event: event["event"] == "agent", PATIENCE))["text"]

    async def event(self, wanted: Callable[[Event], bool], seconds: float) -> Event:
        """The next one of this kind. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while raw := await self._events.readline():
                if wanted(event := json.loads(raw)):
                    return event
        raise AssertionError("the conversation is over")

    async def hears_of(self, action: str, text: str) -> float:
        """How many seconds it takes until the device is told of a memory."""
        since = time.monotonic()
        await self.event(
            lambda event: event["event"] == "memory" and event["action"] == action and text in event["text"], WITHIN
        )
        return time.monotonic() - since


@asynccontextmanager
async def device(open_talk: OpenTalk, identity: str) -> AsyncGenerator[Device]:
    process = await open_talk(identity)
    try:
        here = Device(process)
        await here.event(lambda event: event["event"] == "agent", PATIENCE)  # its greeting
        yield here
    finally:
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            await process.communicate()


async def test_what_one_device_is_told_or_forgets_the_other_tells_or_tells_no_more(open_talk: OpenTalk) -> None:
    took: list[float] = []
    async with AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(device(open_talk, "alice@example.com"))
        phone = await stack.enter_async_context(device(open_talk, "alice@example.com"))
        stranger = await stack.enter_async_context(device(open_talk, "bob@example.com"))
        here, there = kitchen, phone
        for color in COLORS:
            await here.ask(f"my favorite color is {color}")
            took.append(await there.hears_of("remembered", color))
            assert color in await there.ask("what is my favorite color")
            await there.ask("forget my favorite color")
            took.append(await here.hears_of("forgotten", color))
            assert color not in await here.ask("what is my favorite color")
            assert color not in await stranger.ask("what is my favorite color")
            here, there = there, here
    print(f"{len(took)} times, {max(took):.1f} s at most")  # noqa: T201 - a figure of `make soak`
    assert len(took) == 2 * len(COLORS)
