"""`python -m apps serve`, as operators run it: a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.apps.service.people import SECRET
from tests.conftest import ROOT


class Process:
    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url
        self.measured = psutil.Process(process.pid)

    @property
    def megabytes(self) -> float:
        return self.measured.memory_info().rss / 2**20

    def kill(self) -> None:
        self._process.kill()


@asynccontextmanager
async def service(log: Path, apps: dict[str, Any], **environment: str) -> AsyncIterator[Process]:
    """`environment` says where it keeps what, and with which keys. Its log is added to `log`."""
    unset = [name for name in os.environ if name.startswith(("APPS", "SUPABASE", "COMPOSIO", "RAPPORT"))]
    own = {name: value for name, value in os.environ.items() if name not in unset}
    own |= {"APPS": json.dumps(apps), "APPS_SECRET": SECRET, "APPS_PORT": "0", "PYTHON_DOTENV_DISABLED": "1"}
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "apps", "serve", "--until-stdin-closes"),
            cwd=ROOT,
            env=own | environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdin and process.stdout
    try:
        async with asyncio.timeout(60):
            told = json.loads(await process.stdout.readline())
        yield Process(process, told["url"])
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(15):
                await process.wait()
        except TimeoutError:
            process.kill()
            raise
