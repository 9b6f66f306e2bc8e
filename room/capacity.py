"""How many people one worker talks to at once.

A dispatch that finds no worker is lost for good, and its person sits in silence. By default a worker reports the
machine's CPU as its load, and the start of one job process is enough to pass the 0.70 at which a LiveKit server stops
asking it. So ours reports what its sessions cost, and stays below that until it is full.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import psutil
from livekit.agents import AgentServer, JobRequest
from livekit.agents.worker import ServerEnvOption
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

log = logging.getLogger("rapport.room")

# A session costs 0.13 of a core and up to 154 MB, listening and talking.
_SESSIONS_PER_CORE = 1 / 0.13
_SESSION_BYTES = 154e6
# The server gives nothing to a worker that reports 0.70 or more (`agents.target_load`).
_BUSY = 0.69
_FULL = 1.0
# How long an accepted job may take to run before it does not count any more.
_ASSIGNMENT_SECONDS = 10.0


class WorkerSettings(BaseSettings):
    """The framework's own limits, by default as it has them.

    `idle_processes` are started before anybody comes, so that nobody waits for one; without it as many as there are
    cores, and none in development. `initialize_timeout` is how long, in seconds, one may take to start, and
    `drain_timeout` how long a worker that was told to stop lets its calls go on. A job that takes more than
    `job_memory_limit_mb` is killed, and another agent is sent for its people; 0 is no limit.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True
    )

    idle_processes: int | None = Field(default=None, ge=0, le=1000)
    initialize_timeout: float = Field(default=10.0, gt=0, le=600)
    drain_timeout: int = Field(default=3600, ge=0)
    job_memory_limit_mb: float = Field(default=0.0, ge=0)

    @property
    def idle(self) -> ServerEnvOption[int]:
        """As the framework wants it."""
        chosen = self.idle_processes
        cores = math.ceil(Machine().cores()[0]) if chosen is None else chosen
        return ServerEnvOption(dev_default=chosen or 0, prod_default=cores)


class Machine:
    """What this process may use: of the machine, or of it what its container or service manager allows.

    A limit is a file of a control group, of version 1 or 2, the process's own or any above it. In a container these
    are the container's, although `/proc/self/cgroup` may name a path that only the host has.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._own = root / "proc/self/cgroup"
        self._mount = root / "sys/fs/cgroup"

    def cores(self) -> tuple[float, str]:
        """How many, and by what."""
        if said := _number(os.environ.get("NUM_CPUS", "")):  # as the framework reads it
            return said, "NUM_CPUS"
        affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        counts = [(float(affinity or 1), "machine")]
        for group in self._groups("cpu"):
            quota, period = [*_read(group / "cpu.max").split(), "", ""][:2]
            quota, period = quota or _read(group / "cpu.cfs_quota_us"), period or _read(group / "cpu.cfs_period_us")
            if (share := _number(quota)) and (of := _number(period)):
                counts.append((share / of, "cgroup"))
        return min(counts)

    def memory(self) -> tuple[float, str]:
        """How many bytes, and by what."""
        limits = [(limit, "cgroup") for limit, _ in self._memory_groups()]
        return min([(float(psutil.virtual_memory().total), "machine"), *limits])

    def free_memory(self) -> float:
        """How many bytes may still be taken before the kernel kills somebody."""
        left = [limit - _in_use(group) for limit, group in self._memory_groups()]
        return min([float(psutil.virtual_memory().available), *left])

    def _memory_groups(self) -> Iterator[tuple[float, Path]]:
        for group in self._groups("memory"):
            if limit := _number(_read(group / "memory.max") or _read(group / "memory.limit_in_bytes")):
                yield limit, group

    def _groups(self, controller: str) -> Iterator[Path]:
        for line in _read(self._own).splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            mount = self._mount / (controller if controllers else "")
            group = mount / path.lstrip("/")
            yield from (each for each in (group, *group.parents) if each.is_relative_to(mount))


def _in_use(group: Path) -> float:
    """Without the pages of files, which the kernel takes back before it kills anybody."""
    used = _number(_read(group / "memory.current") or _read(group / "memory.usage_in_bytes"))
    stat = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines())
    return used - _number(stat.get("total_inactive_file") or stat.get("inactive_file", ""))


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _number(text: str) -> float:
    """0 for what is no number, as "max", or no limit, as -1."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0


class Capacity:
    """Lives in the worker's main process; its two methods are the framework's `load_fnc` and `on_request`."""

    def __init__(  # noqa: PLR0913, PLR0917 - what varies is an argument
        self,
        limit: int | None = None,
        attributes: Callable[[str], dict[str, str]] = lambda _: {},
        machine: Machine | None = None,
        name: str = "",
        assignment_seconds: float = _ASSIGNMENT_SECONDS,
        more_bytes: float = 0.0,
    ) -> None:
        """`limit` is MAX_SESSIONS; None measures the machine. `attributes` are what an agent shows of itself in its
        room, by the metadata of its dispatch, and `name` is what it is called there. A job that was accepted counts for
        `assignment_seconds` before it runs. A session needs `more_bytes` than usual by this worker's settings.
        """
        self._asked = limit
        self._attributes = attributes
        self._machine = machine or Machine()
        self._name = name
        self._assignment_seconds = assignment_seconds
        self._session_bytes = _SESSION_BYTES + more_bytes
        self._running: set[str] = set()
        self._accepted: dict[str, float] = {}
        """Jobs that were accepted and do not run yet, with the time. The framework does not count them as active, so
        ten people who come at once would all be let in."""

    @cached_property
    def limit(self) -> int:
        """How many sessions there may be; counted, and told, when a worker asks for the first time."""
        if self._asked:
            log.info("[CAPACITY] %d sessions, by MAX_SESSIONS", self._asked)
            return self._asked
        (cores, by_cores), (memory, by_memory) = self._machine.cores(), self._machine.memory()
        # half of the memory is not ours
        limit = max(1, math.floor(min(cores * _SESSIONS_PER_CORE, memory / self._session_bytes / 2)))
        told = "[CAPACITY] %d sessions, by %.4g cores (%s) and %d MB of memory (%s)"
        log.info(told, limit, cores, by_cores, memory // 1_000_000, by_memory)
        return limit

    def load(self, server: AgentServer) -> float:
        """The share of the limit that is taken, below 0.70 until it is all; called before each answer to the server."""
        self._running = {running.job.id for running in server.active_jobs}
        return _FULL if self._is_full() else _BUSY * self._sessions() / self.limit

    async def admit(self, request: JobRequest) -> None:
        """Accept a job, or leave it to another worker and say so."""
        if self._is_full():
            told = "[JOB REFUSED] %d of %d sessions are taken, %d MB of memory are left"
            log.warning(told, self._sessions(), self.limit, self._machine.free_memory() // 1_000_000)
            await request.reject(terminate=False)
            return
        self._accepted[request.id] = time.monotonic()
        await request.accept(name=self._name, attributes=self._attributes(request.job.metadata))

    def _is_full(self) -> bool:
        # with less memory left than for two, one more session may be the one that the kernel kills
        return self._sessions() >= self.limit or self._machine.free_memory() < 2 * self._session_bytes

    def _sessions(self) -> int:
        expired = time.monotonic() - self._assignment_seconds
        self._accepted = {job: at for job, at in self._accepted.items() if job not in self._running and at > expired}
        return len(self._running) + len(self._accepted)
