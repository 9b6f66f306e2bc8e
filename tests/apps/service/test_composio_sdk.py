"""The stand-in for Composio against Composio's own SDK, in an environment of its own: it costs 100 MB."""

from __future__ import annotations

import asyncio
import json
import sys
import venv
from pathlib import Path

import pytest

from tests.apps.service.composio import KEY, TOOLS, composio

SDK = "composio==0.30.0"
PROGRAM = """
import json, sys
from composio import Composio

base, key, tool = sys.argv[1:]
sdk = Composio(api_key=key, base_url=base)
session = sdk.create(
    user_id="alice", toolkits=["asana"], tools={"asana": {"enable": [tool]}}, manage_connections=False
)
begun = session.authorize("asana", callback_url="http://127.0.0.1/done?state=x")
account = sdk.connected_accounts.get(begun.id)
print(json.dumps([session.mcp.url, session.config.user_id, begun.redirect_url, account.status, account.toolkit.slug]))
"""


@pytest.mark.soak
async def test_the_sdk_reads_what_the_stand_in_says(tmp_path: Path) -> None:
    await asyncio.to_thread(venv.create, tmp_path / "sdk", with_pip=True)
    python = str(tmp_path / "sdk" / "bin" / "python")
    await _run(python, "-m", "pip", "install", "--quiet", SDK)
    async with composio() as here:
        url, user, link, status, app = json.loads(await _run(python, "-c", PROGRAM, here.base, KEY, TOOLS[0]))
        assert url.startswith(here.base) and link.startswith(here.base)
        assert (user, status, app) == ("alice", "INITIATED", "asana")


async def _run(*command: str) -> str:
    program = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=sys.stderr)
    told, _ = await asyncio.wait_for(program.communicate(), 300)
    assert program.returncode == 0
    return told.decode()
