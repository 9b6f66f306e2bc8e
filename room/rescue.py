"""An agent always comes, and comes back: where a job died, a dispatch was lost or a worker is gone.

A LiveKit server sends for an agent once. A dispatch that finds no worker is lost, a job that dies is not replaced, and
the person sits in silence. Two things in the worker's main process make up for it:

- the rescue is told when one of this worker's job processes dies, and sends another agent within a second;
- the sweep looks at all rooms every few seconds, and heals what no worker was told: lost dispatches, dead workers,
  calls that were cut off at the end of a drain.

Where an agent is missing, `Rules` decide.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
from livekit import api
from livekit.agents import AgentServer
from livekit.agents.job import RunningJobInfo
from livekit.protocol.agent import Job
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from identity import pseudonym
from room.dispatch import API_SECONDS, Server
from room.rules import JOIN_SECONDS, Rules, Vacancy
from room.tasks import Tasks

log = logging.getLogger("rapport.room")

# A sweep asks the server one or two things a room, each about 2 ms: it must not be all that worker and server do.
_SHARE_OF_TIME = 0.1
# After failures the sweep waits up to this many times as long.
_SLOWEST = 5.0
_RESCUE_ATTEMPTS = 3


class RescueSettings(BaseSettings):
    """`sweep_seconds` is the time between two looks at all rooms; 0 turns the sweep off, and leaves the rescue."""

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, frozen=True, env_ignore_empty=True
    )

    sweep_seconds: float = Field(default=2.0, ge=0, le=3600)


async def _always() -> bool:
    return True


class Rescue:
    """Lives in the worker's main process, from the moment it is registered; in a console or an unregistered worker it
    does nothing.

    `lease` says whether this worker is the one of its deployment that sweeps now, and has `lease_seconds` to say so;
    `api_seconds` is how long the server may take to answer.
    """

    def __init__(
        self,
        rules: Rules,
        settings: RescueSettings | None = None,
        lease: Callable[[], Awaitable[bool]] = _always,
        *,
        lease_seconds: float = 4.0,
        api_seconds: float = API_SECONDS,
    ) -> None:
        self._rules = rules
        self._seconds = (settings or RescueSettings()).sweep_seconds
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._api_seconds = api_seconds
        self._main: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._pool: object = None
        self._livekit: Server | None = None
        self._over: dict[str, float] = {}
        """Dispatches of jobs of this worker that have ended, with the time. Later on nobody takes them for coming."""
        self._missing: frozenset[str] = frozenset()
        """The dispatches whose agents were missing when the last sweep looked."""
        self._failures: set[str] = set()
        """The kinds of failure that the log tells of already."""
        self._given_up: set[str] = set()
        """Dispatches of vacancies that are hopeless, for the same reason."""

    def watch(self, server: AgentServer) -> None:
        """Call it before the worker runs."""

        def on_registered() -> None:  # also each time the worker has lost its connection
            if self._main is None or self._main.done():
                self._main = asyncio.create_task(self._run(server), name="rescue")

        server.on("worker_registered", on_registered)

    async def aclose(self) -> None:
        """Stop. A worker that ends cancels everything by itself."""
        if self._main:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)

    async def _run(self, server: AgentServer) -> None:
        # reads the certificates that the framework falls back to, and takes a while
        context = await asyncio.to_thread(ssl.create_default_context)
        connector = aiohttp.TCPConnector(ssl=context)
        try:
            # proxies are in the environment; so is, by the framework, what `LiveKitAPI` wants to know
            async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
                livekit = self._livekit = Server(api.LiveKitAPI(session=session), self._api_seconds)
                self._listen(server)
                await self._sweep_for_ever(server, livekit)
        finally:
            self._livekit = None
            await self._tasks.cancel()

    # --- the rescue: a job process of this worker died ------------------------------------------------------------

    def _listen(self, server: AgentServer) -> None:
        pool: Any = getattr(server, "_proc_pool", None)  # private; there is no public way to hear of a dead job
        if not hasattr(pool, "on"):
            log.warning("[RESCUE OFF] this livekit-agents does not tell of dead jobs: the sweep finds them, later")
            return

        def on_closed(process: Any) -> None:
            running: RunningJobInfo | None = getattr(process, "running_job", None)
            code: int | None = getattr(process, "exitcode", None)
            if running is None or running.fake_job:
                return
            now = time.monotonic()
            self._over = {each: at for each, at in self._over.items() if now - at < JOIN_SECONDS}
            self._over[running.job.dispatch_id] = now
            if code not in (0, None) and self._livekit and not server.draining:
                identity = running.accept_arguments.identity
                self._tasks.spawn(self._rescue(self._livekit, running.job, identity, code))

        if pool is not self._pool:
            self._pool = pool
            pool.on("process_closed", on_closed)

    async def _rescue(self, livekit: Server, job: Job, identity: str, code: int) -> None:
        for attempt in range(_RESCUE_ATTEMPTS):
            await asyncio.sleep(attempt)
            try:
                await self._replace(livekit, job, identity, code)
                return
            except Exception as error:
                self._failed("RESCUE", error)

    async def _replace(self, livekit: Server, job: Job, identity: str, code: int) -> None:
        room = job.room.name
        # First, or the next agent takes the ghost for an older agent and leaves. By itself it would stay for 21 s.
        await livekit.remove(room, identity)
        rules = replace(self._rules, agent_name=job.agent_name)
        for vacancy in await self._look(livekit, rules, room):
            was_its = not rules.by_metadata or vacancy.dispatch.metadata == job.metadata
            if was_its and await self._fill(livekit, room, vacancy):
                log.warning("[AGENT RESCUED] its job ended with %s, room: %s", code, pseudonym(room))

    # --- the sweep: what nobody was told ---------------------------------------------------------------------------

    async def _sweep_for_ever(self, server: AgentServer, livekit: Server) -> None:
        """Runs until it is cancelled, whatever the server answers."""
        if not self._seconds:
            await asyncio.Event().wait()
        rules = replace(self._rules, agent_name=getattr(server, "_agent_name", self._rules.agent_name))
        pause = self._seconds
        while True:
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - not all workers at the same moment
            if server.draining:  # it takes no job any more; others do
                continue
            began = time.monotonic()
            try:
                if await self._is_ours():
                    await self._sweep(livekit, rules)
                else:
                    self._missing = frozenset()
            except Exception as error:
                self._failed("SWEEP", error)
                pause = min(2 * pause, _SLOWEST * self._seconds)
            else:
                if self._failures:
                    self._failures.clear()
                    log.info("[SWEEP] works again")
                pause = max(self._seconds, (time.monotonic() - began) / _SHARE_OF_TIME)

    async def _is_ours(self) -> bool:
        """Whether this worker sweeps now. Where nobody says so in time it does: two sweeps do no harm, none does."""
        try:
            async with asyncio.timeout(self._lease_seconds):
                return await self._lease()
        except TimeoutError:
            return True

    async def _sweep(self, livekit: Server, rules: Rules) -> None:
        """Send an agent wherever one was missing the last time, and is missing now."""
        missing: set[str] = set()
        failure: api.TwirpError | None = None
        for room in await livekit.rooms():
            try:
                for vacancy in await self._look(livekit, rules, room):
                    missing.add(vacancy.dispatch.id)
                    if vacancy.dispatch.id in self._missing and await self._fill(livekit, room, vacancy):
                        log.info("[SWEEP] people without an agent, one is sent, room: %s", pseudonym(room))
            except api.TwirpError as error:
                failure = error  # such as that this room is gone meanwhile; the other rooms do not wait for it
        self._missing = frozenset(missing)
        self._given_up &= missing
        if failure:
            raise failure

    # --- what both do ----------------------------------------------------------------------------------------------

    async def _look(self, livekit: Server, rules: Rules, room: str) -> list[Vacancy]:
        there = await livekit.participants(room)
        if rules.settled(there):
            return []
        return rules.vacancies(there, await livekit.dispatches(room), time.time(), self._over)

    async def _fill(self, livekit: Server, room: str, vacancy: Vacancy) -> bool:
        """Send an agent. False where that is hopeless."""
        if not vacancy.hopeless:
            await livekit.send(room, vacancy)
        elif vacancy.dispatch.id not in self._given_up:
            self._given_up.add(vacancy.dispatch.id)
            log.error("[AGENT GIVEN UP] %d agents were sent and are gone, room: %s", vacancy.sent, pseudonym(room))
        return not vacancy.hopeless

    def _failed(self, what: str, error: Exception) -> None:
        # what a server or a database answers may quote what it was asked
        kind = f"{type(error).__name__} {getattr(error, 'code', '')}".strip()
        if kind not in self._failures:
            self._failures.add(kind)
            log.warning("[%s FAILED] %s; it is tried again, and this is said once", what, kind)
