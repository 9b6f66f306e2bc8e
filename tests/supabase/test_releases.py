"""Workers of the release before and of this one on one database: during a rollout, and when the worker is rolled back.

People are in calls on both; again and again one is killed in the middle of a call, and the other release goes on with
it.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from identity import livekit_identity_to_uuid
from tests.conftest import HASTY, PATIENCE, ROOT
from tests.supabase.project import Project
from tests.test_two_devices import COLORS, Device

RELEASED = "923cf3f"
"""The release before this one."""
# what the log says where anything was wrong, at any level
WRONG = ("ERROR", "Traceback", "[MEMORY WAITING]", "[MEMORY FAILED]", "[MEMORY OFF]", "[MEMORY LOST]")

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of it."""
    packed = subprocess.run(["git", "archive", RELEASED], cwd=ROOT, capture_output=True, timeout=60, check=False)
    if packed.returncode:
        pytest.skip(f"{RELEASED} is not in this repository's history")
    folder = tmp_path_factory.mktemp("released")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@asynccontextmanager
async def call(checkout: Path, identity: str, environment: dict[str, str], log: Path) -> AsyncGenerator[Device]:
    """A call with the worker of a checkout that ends as when the machine loses its power."""
    with log.open("wb") as errors:
        talking = await asyncio.create_subprocess_exec(
            *(sys.executable, str(checkout / "talk.py"), "--as", identity, "--json", "--verbose"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment,
            cwd=checkout,
        )
    try:
        here = Device(talking)
        await here.event(lambda event: event["event"] == "agent", PATIENCE)  # its greeting
        yield here
    finally:
        everything = psutil.Process(talking.pid)
        for process in [*everything.children(recursive=True), everything]:
            process.kill()
        await talking.communicate()


class Line:
    """People who call one after the other, each call on the other release than the last."""

    def __init__(self, name: str, checkouts: list[Path], environment: dict[str, str], logs: Path) -> None:
        self._name, self._checkouts, self._environment, self._logs = name, checkouts, environment, logs
        self.told: list[tuple[str, str]] = []

    async def run(self, until: float) -> None:
        number = 0
        while time.monotonic() < until or number < 3:
            person, color = f"{self._name}-{number // len(COLORS)}@example.com", COLORS[number % len(COLORS)]
            log = self._logs / f"{self._name}-{number}.log"
            async with call(self._checkouts[number % 2], person, self._environment, log) as here:
                if self.told and self.told[-1][0] == person:
                    assert self.told[-1][1] in await here.ask("what is my favorite color"), log.read_text()
                here.say(f"my favorite color is {color}")
                await self._answered_and_stored(here)
            logged = log.read_text()
            assert [line for line in logged.splitlines() if any(sign in line for sign in WRONG)] == []
            assert f"[CONVERSATION] {'resumed' if number % len(COLORS) else 'new'}" in logged
            self.told.append((person, color))
            number += 1

    @staticmethod
    async def _answered_and_stored(here: Device) -> None:
        """In either order: each release has its own."""
        seen: set[str] = set()

        def both(event: dict[str, str]) -> bool:
            seen.add(event["event"])
            return seen >= {"agent", "memory"}

        await here.event(both, PATIENCE)


@pytest.mark.parametrize(
    "seconds", [pytest.param(60, marks=pytest.mark.thorough), pytest.param(600, marks=pytest.mark.soak)]
)
async def test_calls_go_on_from_one_release_to_the_other_and_back(
    project: Project, released: Path, tmp_path: Path, seconds: float
) -> None:
    private = ("OPENAI_", "STT_", "LLM_", "TTS_", "LIVEKIT_", "SUPABASE_", "CONSOLE_", "RAPPORT_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    environment |= {"RAPPORT_HOME": str(tmp_path / "home"), "TTS_SPEED": HASTY, "EMBEDDINGS": "off"}
    environment["MEMORY_DEADLINE"] = "20"  # a busy machine is none of either release's errors
    environment |= project.environment("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET")
    lines = [
        Line("alice", [ROOT, released], environment, tmp_path),
        Line("bob", [released, ROOT], environment, tmp_path),
    ]

    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as calls:
        for line in lines:
            calls.create_task(line.run(until))

    told = [one for line in lines for one in line.told]
    for person, color in told:
        kept = "select value from public.memories where {0} union all select value from public.memory_history where {0}"
        values = project.rows(kept.format(f"user_id = '{livekit_identity_to_uuid(person)}'"))
        assert [value for (value,) in values if color in str(value)], f"{color} of {person} is lost"
    people = {person for person, _ in told}
    assert project.rows("select count(distinct user_id), count(*) from public.conversations") == [
        (len(people), len(people))
    ]
    print(json.dumps({"calls": len(told), "killed": len(told), "people": len(people)}))  # noqa: T201 - a figure
