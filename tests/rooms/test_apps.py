"""Two people connect an app of their own at once: real rooms, real browsers, the shipped service and its toy app."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import ClientSession

from tests.conftest import ROOT
from tests.rooms.browser.browser import Browser, browser
from tests.rooms.person import token
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked, Models
from tests.stack.process import Program
from tests.stack.worker import HASTY_UNHEARD, Worker

pytest.importorskip("mcp", reason="the extra `apps` is not installed")
pytestmark = pytest.mark.soak

NAME = "rapport-with-apps"
SECRET = "a secret of at least 32 characters, for tests"

# As an own front end would: by RPC. Who has none shows what comes as a chat message, as LiveKit's starter apps do.
BY_RPC = """room.localParticipant.registerRpcMethod('rapport.open_link', async ({payload}) => {
  links.push(JSON.parse(payload).url);
  return 'opened';
})"""
BY_CHAT = """room.registerTextStreamHandler('lk.chat', async (reader) => {
  links.push((await reader.readAll()).match(/https?:.*/)[0]);
})"""


@contextlib.contextmanager
def listening(folder: Path, *module: str, **environment: str) -> Iterator[tuple[str, Path]]:
    """A program that says where it listens: that address, and its log."""
    log = folder / f"{module[0]}.log"
    program = Program(module[0], log)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("APPS", "SUPABASE_", "RAPPORT_"))}
    own |= {"PYTHON_DOTENV_DISABLED": "1", **environment}
    program.run([sys.executable, "-m", *module], environment=own, folder=ROOT)
    try:
        program.ready_when(lambda: '"listening"' in log.read_text(), 60, "it listens")
        [line] = [line for line in log.read_text().splitlines() if '"listening"' in line]
        yield json.loads(line)["url"], log
    finally:
        program.stop()


@contextlib.asynccontextmanager
async def tab(profile: Path, url: str) -> AsyncIterator[Callable[[str], Any]]:
    """Another tab of a browser, at this address: runs a script in it, and returns what comes of it."""
    port = (profile / "DevToolsActivePort").read_text().splitlines()[0]
    async with ClientSession() as http:
        async with http.put(f"http://127.0.0.1:{port}/json/new?{url}") as answer:
            address = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
        async with http.ws_connect(address) as devtools:

            async def run(script: str) -> Any:
                asked = {"expression": script, "returnByValue": True}
                await devtools.send_json({"id": 1, "method": "Runtime.evaluate", "params": asked})
                return (await devtools.receive_json())["result"]["result"].get("value")

            yield run


async def becomes(run: Callable[[str], Any], script: str, seconds: float = 20.0) -> Any:
    """What the script gives in the page, as soon as it gives something."""
    async with asyncio.timeout(seconds):
        while not (found := await run(script)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # another page may be there by then, which tells nobody
    return found


async def signs_in(profile: Path, link: str, account: str) -> str:
    """What a person does with the link; the digits that they see."""
    async with tab(profile, link) as run:
        assert await becomes(run, "document.querySelector('form button')?.textContent")
        await run("document.querySelector('form button').click()")
        await becomes(run, "!!document.querySelector('input[name=account]')")
        await run(f"document.querySelector('input[name=account]').value = '{account}'")
        await run("document.querySelector('form button').click()")
        return re.sub(r"\D", "", await becomes(run, "document.querySelector('#code')?.textContent"))


async def says(person: Browser, words: str, answer: str) -> str:
    """Type it, and wait for an answer with these words."""
    await person._do(f"room.localParticipant.sendText({json.dumps(words)}, {{topic: 'lk.chat'}})")
    return (await person.reply_with(answer)).text


async def test_two_people_at_once_connect_an_app_in_their_browsers_and_have_their_own_tasks(
    livekit_server: LiveKitServer, models: Models, asked: Asked, fresh: Callable[[str], str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("tests.rooms.browser.browser.token", partial(token, agent=NAME))
    links: dict[str, str] = {}
    shown: dict[str, str] = {}

    async def connects(name: str, handler: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        async with browser(livekit_server, fresh(name), fresh(f"room of {name}"), folder) as person:
            await person._do("globalThis.links = []")
            await person._do(handler)
            await person.join()
            await person.answer(60)
            await says(person, "connect me to tasks", "I have sent you a link")
            links[name] = (await person._do("links"))[0]
            digits = await signs_in(folder / "profile", links[name], name)
            await says(person, digits, "is connected")
            await says(person, f"add a task: water the plants of {name}", "yes or no")
            await says(person, "yes", "Added")
            assert f"of {name}" in await says(person, "what are my tasks", "of")
            shown[name] = "\n".join(line.text for line in person.dialogue)
            assert len(await person._do("links")) == 1
            await person.leave()

    with listening(tmp_path, "offline.tasks") as (app, _):
        tasks = {"title": "Tasks", "url": app, "reads": ["list_tasks"], "writes": ["add_task"]}
        settings = {"APPS": json.dumps({"tasks": tasks}), "APPS_PORT": "0", "RAPPORT_HOME": str(tmp_path / "home")}
        with listening(tmp_path, "apps", "serve", APPS_SECRET=SECRET, **settings) as (url, service_log):
            environment = {"APPS_URL": url, "APPS_SECRET": SECRET, "LIVEKIT_AGENT_NAME": NAME, **HASTY_UNHEARD}
            log = tmp_path / "worker.log"
            with Worker(livekit_server, models.base_url, tmp_path / "home", log, environment=environment) as worker:
                await asyncio.gather(connects("alice", BY_RPC), connects("bob", BY_CHAT))
                transcripts = [worker.transcript(fresh(name)) for name in links]

    assert links["alice"] != links["bob"]
    everything = {
        "model requests": str([record.body for record in cast("Any", asked)._all]),
        "transcripts": str(transcripts),
        "shown": "".join(shown.values()),
        "worker's log": log.read_text(),
        "service's log": service_log.read_text(),
        "server's log": livekit_server.program.log.read_text(errors="replace"),
    }
    assert "connect me to tasks" in everything["model requests"] and "connect me to tasks" in everything["transcripts"]
    assert ("of bob" in shown["alice"], "of alice" in shown["bob"]) == (False, False)
    for link in links.values():
        secret = link.rpartition("/")[2]
        assert [where for where, text in everything.items() if secret in text] == []
