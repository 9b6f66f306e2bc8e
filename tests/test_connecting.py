"""`make talk` with an app of one's own, and no key: the toy that ships, its service, and a browser's part over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.apps.service.people import Browser
from tests.conftest import OpenTalk

pytest.importorskip("mcp", reason="the extra `apps` is not installed")


class Terminal:
    """One conversation: what is typed, and what comes of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin and process.stdout
        self._type, self._read = process.stdin, process.stdout
        self.events: list[dict[str, Any]] = []

    async def next(self, event: str) -> dict[str, Any]:
        while not self.events or self.events[-1]["event"] != event:
            line = await self._read.readline()
            assert line, f"it has ended: {self.events}"
            self.events.append(json.loads(line))
        return self.events.pop()

    async def say(self, words: str) -> str:
        """What the agent answers."""
        self._type.write(f"{words}\n".encode())
        await self.next("user")
        return (await self.next("agent"))["text"]

    async def say_for_a_link(self, words: str) -> str:
        self._type.write(f"{words}\n".encode())
        link = await self.next("link")
        assert link["app"] == "Tasks"
        await self.next("agent")
        return link["text"]


async def test_the_toy_app_is_connected_used_and_disconnected_in_one_conversation(open_talk: OpenTalk) -> None:
    process = await open_talk("alice@example.com", "--apps")
    try:
        async with asyncio.timeout(120):
            terminal = Terminal(process)
            await terminal.next("agent")
            browser = Browser()
            page = await browser.sign_in(await terminal.say_for_a_link("connect me to tasks"), "alice")
            assert await terminal.say("what are my tasks") != "There are no open tasks."
            assert await terminal.say(page.digits) == "Tasks is connected."
            assert await terminal.say("what are my tasks") == "There are no open tasks."
            assert "yes or no" in await terminal.say("add a task: buy milk")
            assert await terminal.say("yes") == "Added: buy milk."
            assert await terminal.say("what are my tasks") == "Buy milk."
            assert await terminal.say("what am I connected to") == "Tasks: connected."
            assert await terminal.say("disconnect tasks") == "Tasks is disconnected."
            assert await terminal.say("what am I connected to") == "Tasks: not connected."
            assert process.stdin
            process.stdin.close()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
