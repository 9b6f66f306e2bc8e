"""What apps cost a job: nothing where they are off, and little where they are on."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from typing import Any

import pytest
from livekit.agents import llm

from tests.apps.scripted_service import SECRET, TASKS, ScriptedService
from tests.apps.talking import Talking
from tests.conftest import ROOT

IMPORTED = """
import sys
import agent
{more}
there = {{name.partition(".")[0] for name in sys.modules}}
print(sorted(there & {{"apps", "mcp", "composio", "starlette", "uvicorn"}}))
"""


async def output_of(program: str, *arguments: str, **environment: str) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith("APPS")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments),
        cwd=ROOT,
        env={**own, "PYTHON_DOTENV_DISABLED": "1", "OPENAI_API_KEY": "not asked", **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().splitlines()[-1]


async def test_a_job_never_imports_what_speaks_to_apps_and_without_apps_nothing_of_ours() -> None:
    load = "import importlib\nfor name in agent.services.settings.apps.preload_modules(): importlib.import_module(name)"
    off, on = await asyncio.gather(
        output_of(IMPORTED.format(more=load)),
        output_of(IMPORTED.format(more=load), APPS_URL="http://127.0.0.1:9", APPS_SECRET=SECRET),
    )
    assert (off, on) == ("[]", "['apps']")


MEMORY = """
import asyncio, gc, json, sys
from uuid import uuid4
import psutil
import agent
from livekit.agents import Agent, AgentSession

async def main(url, secret):
    session, person = AgentSession(), uuid4()
    assistant = Agent(instructions="Help.")
    async with __import__("aiohttp").ClientSession() as http:  # a job has one
        await http.get(url, allow_redirects=False)
    gc.collect()
    before = psutil.Process().memory_info().rss
    from apps.client import AppsClient
    from apps.toolset import AppTools, Around
    apps = AppTools(AppsClient(url, secret, person, "alice", lambda *_: None), assistant, Around(None, None, None))
    assert await apps.refresh()
    gc.collect()
    after = psutil.Process().memory_info().rss
    await apps.aclose()
    print(json.dumps([(after - before) / 2**20, len(assistant.tools[0].tools)]))

asyncio.run(main(*sys.argv[1:]))
"""


def three_apps(scripted: ScriptedService) -> None:
    """Twelve tools each, as the service tells them at most."""
    scripted.titles = {app: app.title() for app in ("tasks", "notes", "mail")}
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string", "description": "x" * 80} for n in range(6)}}
    more: list[dict[str, Any]] = [
        {"app": app, "tool": f"tool_{n}", "description": "y" * 300, "parameters": schema, "writes": n % 2 == 0}
        for app in scripted.titles
        for n in range(10 if app == "tasks" else 12)
    ]
    scripted.tools = [*TASKS, *more]


async def test_what_only_the_service_needs_is_not_in_a_jobs_environment() -> None:
    kept = "import os, agent\nprint([name for name in ('APPS_KEYS', 'COMPOSIO_API_KEY') if name in os.environ])"
    assert await output_of(kept, APPS_KEYS="k1:secret", COMPOSIO_API_KEY="a key") == "[]"


@pytest.mark.soak
async def test_three_apps_cost_a_job_at_most_a_megabyte() -> None:
    async with ScriptedService().listening() as scripted:
        three_apps(scripted)
        scripted.all_are_connected = True
        costs = [json.loads(await output_of(MEMORY, scripted.url, SECRET)) for _ in range(3)]
    print(costs)  # noqa: T201
    assert [tools for _, tools in costs] == [34] * 3
    assert statistics.median(megabytes for megabytes, _ in costs) <= 1.0


@pytest.mark.soak
async def test_three_apps_cost_a_turn_at_most_a_millisecond() -> None:
    async with ScriptedService().listening() as scripted:
        three_apps(scripted)
        async with Talking("alice").going_on(scripted.url) as alice, Talking("bob").going_on(scripted.url) as bob:
            scripted.connected[alice.uuid] = set(scripted.titles)
            await alice.apps.refresh()
            without, with_apps = await turns(bob), await turns(alice)
            for _ in range(4):  # in turns, so that a machine that grows busy slows both
                without += await turns(bob)
                with_apps += await turns(alice)
            asked = len(scripted.asked)
            await turns(alice)
            assert len(scripted.asked) == asked, "a turn asks nobody"
    more = statistics.median(with_apps) - statistics.median(without)
    print(f"{more * 1e3:.2f} ms")  # noqa: T201
    assert more <= 0.001


async def turns(talking: Talking) -> list[float]:
    """How long, in seconds of the processor, ten turns take each, with the schemas that a provider is sent."""
    talking.mind = lambda _: "Hello."
    took: list[float] = []
    for _ in range(10):
        began = time.process_time()
        llm.ToolContext(talking.agent.tools).parse_function_tools("openai")
        await talking.says("hello")
        took.append(time.process_time() - began)
    return took
