"""How many people one worker talks to at once.

A dispatch that finds no worker is lost for good, and its person sits in silence. By default a worker reports the
machine's CPU as its load, and the start of one job process is enough to pass the 0.70 at which a LiveKit server stops
asking it (rooms-facts 0.1, 0.2, 0.12). So ours reports what its sessions cost, and stays below that until it is full.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable

import psutil
from livekit.agents import AgentServer, JobRequest

log = logging.getLogger("rapport.room")

# A session costs 0.13 of a core and up to 154 MB, listening and talking (rooms-facts 7, voice-facts 2.3).
_SESSIONS_PER_CORE = 1 / 0.13
_SESSION_BYTES = 154e6
# The server gives nothing to a worker that reports 0.70 or more (`agents.target_load`).
_BUSY = 0.69
_FULL = 1.0
# With less memory than this left, one more session may be the one that the kernel kills.
_SPARE_BYTES = 2 * _SESSION_BYTES
# How long an accepted job may take to run before it does not count any more.
_ASSIGNMENT_SECONDS = 10.0


def measured_limit() -> int:
    """How many sessions this machine carries by its cores and memory."""
    by_core = (os.cpu_count() or 1) * _SESSIONS_PER_CORE
    by_memory = psutil.virtual_memory().total / _SESSION_BYTES / 2  # the other half is not ours
    return max(1, math.floor(min(by_core, by_memory)))


class Capacity:
    """Lives in the worker's main process; its two methods are the framework's `load_fnc` and `on_request`."""

    def __init__(self, limit: int | None = None, attributes: Callable[[str], dict[str, str]] = lambda _: {}) -> None:
        """`limit` is MAX_SESSIONS; None measures the machine. `attributes` are what an agent shows of itself in its
        room, by the metadata of its dispatch."""
        self.limit = limit or measured_limit()
        self._attributes = attributes
        self._running: set[str] = set()
        self._accepted: dict[str, float] = {}
        """Jobs that were accepted and do not run yet, with the time. The framework does not count them as active, so
        ten people who come at once would all be let in."""

    def load(self, server: AgentServer) -> float:
        """The share of the limit that is taken, below 0.70 until it is all; called before each answer to the server."""
        self._running = {running.job.id for running in server.active_jobs}
        return _FULL if self._is_full() else _BUSY * self._sessions() / self.limit

    async def admit(self, request: JobRequest) -> None:
        """Accept a job, or leave it to another worker and say so."""
        if self._is_full():
            log.warning(
                "[JOB REFUSED] %d of %d sessions are taken, %d MB of memory are left",
                self._sessions(),
                self.limit,
                psutil.virtual_memory().available // 1_000_000,
            )
            await request.reject(terminate=False)
            return
        self._accepted[request.id] = time.monotonic()
        await request.accept(attributes=self._attributes(request.job.metadata))

    def _is_full(self) -> bool:
        return self._sessions() >= self.limit or psutil.virtual_memory().available < _SPARE_BYTES

    def _sessions(self) -> int:
        expired = time.monotonic() - _ASSIGNMENT_SECONDS
        self._accepted = {job: at for job, at in self._accepted.items() if job not in self._running and at > expired}
        return len(self._running) + len(self._accepted)
