"""A worker in this process: real jobs, each in a thread of its own, as the console runs them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextvars import Context

from livekit.agents import AgentServer, JobExecutorType
from livekit.protocol import models

from call.call import SHUTDOWN_SECONDS

PATIENCE = 8.0
"""Seconds that a test waits for something that takes milliseconds; two busy cores may need them."""


async def until(condition: Callable[[], object], what: str = "", patience: float = PATIENCE) -> None:
    """Wait for something that happens in a job's thread."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"still waiting after {patience:g} s: {what or condition}")
        await asyncio.sleep(0.01)


class Worker:
    def __init__(self, server: AgentServer) -> None:
        self._server = server

    async def job(self, room: str, *, context: Context | None = None) -> None:
        """Send an agent into the room: a job with a signed token, as a dispatch would. `context` is where the
        launching code runs."""
        launching = self._server.simulate_job(
            room, room_info=models.Room(sid=f"RM_{room}", name=room), agent_identity=f"agent-{room}"
        )
        await asyncio.create_task(launching, context=context)

    async def console_job(self, *, context: Context | None = None) -> None:
        """The job that a console starts: no room, no server, nobody signed anything."""
        launching = self._server.simulate_job("console-room", agent_identity="console", fake_job=True)
        await asyncio.create_task(launching, context=context)

    @property
    def running(self) -> bool:
        """Is there a job that is not over, shutdown callbacks and all?"""
        return bool(self._server._proc_pool.processes)

    async def idle(self) -> None:
        """Wait until all jobs are over. Each may take its time to put in order what was said, and to write it."""
        await until(lambda: not self.running, "the jobs to end", PATIENCE + 2 * SHUTDOWN_SECONDS)


@contextlib.asynccontextmanager
async def working(server: AgentServer) -> AsyncIterator[Worker]:
    """Run the server without registering anywhere; ends its jobs when left."""
    server._job_executor_type = JobExecutorType.THREAD
    server._lock = asyncio.Lock()  # one that an earlier test's event loop does not own
    server.update_options(ws_url="ws://edge.invalid", api_key="devkey", api_secret="secret" * 8)
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(devmode=True, unregistered=True))
    try:
        await asyncio.wait_for(started.wait(), PATIENCE)
        yield Worker(server)
    finally:
        await asyncio.wait_for(server.aclose(), 2 * PATIENCE)
        await running
