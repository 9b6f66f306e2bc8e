"""How many people one worker lets in: as many as it has places for, however many come at once."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from livekit.agents import AgentServer
from livekit.agents.worker import ServerEnvOption

import agent
from room.capacity import Capacity, Machine, WorkerSettings
from room.participant import RoomSettings

GIB = 2**30


class Request:
    """The server asks for one job."""

    def __init__(self, job: str) -> None:
        self.id = job
        self.job = SimpleNamespace(metadata=f"of {job}")
        self.answer = ""
        self.name, self.attributes = "", dict[str, str]()

    async def accept(self, *, name: str, attributes: dict[str, str]) -> None:
        self.answer, self.name, self.attributes = "accepted", name, attributes

    async def reject(self, *, terminate: bool) -> None:
        self.answer = "refused for good" if terminate else "left to another worker"


def running(*jobs: str) -> Any:
    return SimpleNamespace(active_jobs=[SimpleNamespace(job=SimpleNamespace(id=job)) for job in jobs])


async def ask(capacity: Capacity, job: str) -> str:
    request = Request(job)
    await capacity.admit(request)  # type: ignore[arg-type]
    return request.answer


async def test_of_ten_who_come_at_once_as_many_are_let_in_as_there_are_places() -> None:
    capacity = Capacity(4)
    assert capacity.load(running()) == 0
    answers = [await ask(capacity, f"job-{i}") for i in range(10)]
    assert answers == ["accepted"] * 4 + ["left to another worker"] * 6


async def test_an_agent_shows_in_its_room_what_its_dispatch_gives_it_to_show() -> None:
    request = Request("job")
    await Capacity(1, attributes=lambda metadata: {"shown": metadata}, name="Ada").admit(request)  # type: ignore[arg-type]
    assert (request.name, request.attributes) == ("Ada", {"shown": "of job"})


async def test_a_place_is_free_again_when_its_job_has_ended() -> None:
    capacity = Capacity(2)
    for job in ("a", "b"):
        await ask(capacity, job)
    capacity.load(running("a", "b"))
    assert await ask(capacity, "c") == "left to another worker"
    capacity.load(running("b"))
    assert await ask(capacity, "c") == "accepted"


async def test_a_job_that_was_accepted_and_never_came_does_not_keep_its_place() -> None:
    capacity = Capacity(1, assignment_seconds=0.2)
    await ask(capacity, "lost")
    assert await ask(capacity, "next") == "left to another worker"
    await asyncio.sleep(0.25)
    assert await ask(capacity, "next") == "accepted"


@pytest.mark.parametrize("limit", [1, 2, 15, 100])
def test_the_load_stays_where_the_server_still_asks_until_the_worker_is_full(limit: int) -> None:
    capacity = Capacity(limit)
    loads = [capacity.load(running(*map(str, range(taken)))) for taken in range(limit + 1)]
    assert loads == sorted(loads)
    assert max(loads[:-1]) < 0.7
    assert loads[-1] >= 0.7


# --- what the machine, or a part of it, carries ----------------------------------------------------------------------


@pytest.fixture
def big_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 cores and 256 GiB, all of it free."""
    monkeypatch.delenv("NUM_CPUS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    memory = SimpleNamespace(total=256 * GIB, available=256 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def tree(root: Path, own: str, files: dict[str, str]) -> Machine:
    """A machine whose control groups are these files below /sys/fs/cgroup."""
    for name, content in {"proc/self/cgroup": own, **{f"sys/fs/cgroup/{at}": it for at, it in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{content}\n")
    return Machine(root)


TWO_CORES_V1 = {"cpu.cfs_quota_us": "200000", "cpu.cfs_period_us": "100000"}
CONTAINERS: dict[str, tuple[str, dict[str, str]]] = {
    "version 2, seen from inside": ("0::/", {"cpu.max": "200000 100000", "memory.max": str(4 * GIB)}),
    "version 2, a service": (
        "0::/system.slice/worker.service",
        {
            "system.slice/cpu.max": "max 100000",
            "system.slice/worker.service/cpu.max": "200000 100000",
            "system.slice/worker.service/memory.max": str(4 * GIB),
        },
    ),
    "version 2, limited above": (
        "0::/pod/worker",
        {
            "pod/cpu.max": "200000 100000",
            "pod/memory.max": str(4 * GIB),
            "pod/worker/cpu.max": "max 100000",
            "pod/worker/memory.max": "max",
        },
    ),
    "version 1, a path of the host": (
        "4:memory:/docker/0123\n2:cpu,cpuacct:/docker/0123\n0::/",
        {f"cpu/{name}": value for name, value in TWO_CORES_V1.items()} | {"memory/memory.limit_in_bytes": str(4 * GIB)},
    ),
    "version 1, a group of its own": (
        "4:memory:/a/b\n1:cpu:/a\n0::/",
        {f"cpu/a/{name}": value for name, value in TWO_CORES_V1.items()}
        | {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
        | {"memory/a/b/memory.limit_in_bytes": str(4 * GIB), "memory/memory.limit_in_bytes": "9223372036854771712"},
    ),
}


@pytest.mark.usefixtures("big_machine")
@pytest.mark.parametrize("container", CONTAINERS)
def test_in_a_container_what_it_may_use_counts_and_the_log_says_so(
    container: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    capacity = Capacity(machine=tree(tmp_path, *CONTAINERS[container]))
    assert capacity.load(running()) == 0
    assert capacity.limit == 13
    assert log.messages == ["[CAPACITY] 13 sessions, by 2 cores (cgroup) and 4294 MB of memory (cgroup)"]


@pytest.mark.usefixtures("big_machine")
@pytest.mark.parametrize("own", ["", "0::/", "no such file"])
def test_without_limits_the_machine_counts(own: str, tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    files = {"cpu.max": "max 100000", "memory.max": "max"} if own == "0::/" else {}
    machine = Machine(tmp_path) if own == "no such file" else tree(tmp_path, own, files)
    assert Capacity(machine=machine).limit == 492
    assert log.messages == ["[CAPACITY] 492 sessions, by 64 cores (machine) and 274877 MB of memory (machine)"]


@pytest.mark.usefixtures("big_machine")
def test_sessions_that_need_more_are_fewer(tmp_path: Path) -> None:
    machine = tree(tmp_path, "0::/", {"memory.max": str(2 * GIB)})
    assert [Capacity(machine=machine, more_bytes=more).limit for more in (0.0, 23e6, 235e6)] == [6, 6, 2]


@pytest.mark.usefixtures("big_machine")
def test_what_is_set_counts_before_what_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    machine = tree(tmp_path, *CONTAINERS["version 2, seen from inside"])
    monkeypatch.setenv("NUM_CPUS", "0.5")
    assert Capacity(machine=machine).limit == 3
    assert Capacity(7, machine=machine).limit == 7
    assert [message.partition("]")[2] for message in log.messages] == [
        " 3 sessions, by 0.5 cores (NUM_CPUS) and 4294 MB of memory (cgroup)",
        " 7 sessions, by MAX_SESSIONS",
    ]


@pytest.mark.usefixtures("big_machine")
@pytest.mark.parametrize("version", [1, 2])
async def test_a_worker_whose_container_is_full_lets_nobody_in_and_says_why(
    version: int, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    used, stat = str(4 * GIB - 50_000_000), "file 1000\ninactive_file 0"
    one = {"limit_in_bytes": str(4 * GIB), "usage_in_bytes": used, "stat": f"{stat}\ntotal_inactive_file 0"}
    two = {"max": str(4 * GIB), "current": used, "stat": stat}
    files = {f"memory/memory.{at}": it for at, it in one.items()} | {f"memory.{at}": it for at, it in two.items()}
    machine = tree(tmp_path, "4:memory:/" if version == 1 else "0::/", files)
    capacity = Capacity(10, machine=machine)
    assert capacity.load(running()) >= 0.7
    assert await ask(capacity, "job") == "left to another worker"
    assert log.messages[-1] == "[JOB REFUSED] 0 of 10 sessions are taken, 50 MB of memory are left"
    # pages of files are no reason: the kernel takes them back
    for name in ("memory/memory.stat", "memory.stat"):
        (tmp_path / "sys/fs/cgroup" / name).write_text(f"inactive_file {GIB}\ntotal_inactive_file {GIB}\n")
    assert await ask(capacity, "job") == "accepted"


@pytest.fixture
def real_group() -> Iterator[list[Path]]:
    """Control groups of this kernel with 2 cores and 4 GiB, of either version; skips where it makes none."""
    mount, name = Path("/sys/fs/cgroup"), f"rapport-test-{os.getpid()}"
    if (mount / "cgroup.controllers").exists():
        limits = {mount / name: {"cpu.max": "200000 100000", "memory.max": str(4 * GIB)}}
    else:
        limits = {mount / "cpu" / name: TWO_CORES_V1, mount / "memory" / name: {"memory.limit_in_bytes": str(4 * GIB)}}
    made: list[Path] = []
    try:
        for group, files in limits.items():
            group.mkdir()
            made.append(group)
            for file, value in files.items():
                (group / file).write_text(value)
    except OSError as error:
        for group in made:
            group.rmdir()
        pytest.skip(f"the kernel makes no control group: {error}")
    yield made
    for group in made:
        group.rmdir()


COUNTS = """
import os, sys
from types import SimpleNamespace
for group in sys.argv[1:]:
    open(group + "/cgroup.procs", "w").write(str(os.getpid()))
import psutil
os.sched_getaffinity = lambda _: range(64)
psutil.virtual_memory = lambda: SimpleNamespace(total=256 * 2**30, available=256 * 2**30)
from room.capacity import Capacity, Machine
print(Capacity().limit, *Machine().cores(), *Machine().memory(), Machine().free_memory())
"""


def test_in_a_real_control_group_its_limits_count(real_group: list[Path]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NUM_CPUS"}
    told = subprocess.run(
        [sys.executable, "-c", COUNTS, *map(str, real_group)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert told.returncode == 0, told.stderr
    limit, cores, by_cores, memory, by_memory, free = told.stdout.split()
    assert [int(limit), float(cores), by_cores, float(memory), by_memory] == [13, 2.0, "cgroup", 4 * GIB, "cgroup"]
    assert 3 * GIB < float(free) < 4 * GIB


def test_each_of_two_workers_on_a_machine_can_have_a_port_of_its_own() -> None:
    def ports(**setting: int) -> list[int]:
        port = RoomSettings.model_validate(setting).port
        return [ServerEnvOption.getvalue(port, devmode) for devmode in (True, False)]

    framework = AgentServer()._port
    assert ports() == [ServerEnvOption.getvalue(framework, devmode) for devmode in (True, False)]
    assert ports(worker_port=9001) == [9001, 9001]
    assert ports(worker_port=0) == [0, 0]
    assert agent.server._port == agent.services.settings.room.port


def test_the_frameworks_limits_are_as_it_has_them_or_as_the_settings_say() -> None:
    def limits(server: AgentServer) -> list[object]:
        idle = [ServerEnvOption.getvalue(server._num_idle_processes, devmode) for devmode in (True, False)]
        return [*idle, server._initialize_process_timeout, server._drain_timeout, server._job_memory_limit_mb]

    def ours(**settings: float) -> list[object]:
        chosen = dataclasses.replace(agent.services.settings, worker=WorkerSettings.model_validate(settings))
        return limits(agent.make_server(dataclasses.replace(agent.services, settings=chosen)))

    assert ours() == limits(AgentServer())
    chosen = ours(idle_processes=3, initialize_timeout=20, drain_timeout=60, job_memory_limit_mb=900)
    assert chosen == [3, 3, 20, 60, 900]


def test_the_shipped_worker_decides_by_its_capacity() -> None:
    server: AgentServer = agent.server
    capacity = getattr(server.load_fnc, "__self__", None)
    assert isinstance(capacity, Capacity)
    assert server.load_fnc == capacity.load
    assert server._request_fnc == capacity.admit
    assert server._load_threshold == float("inf")
