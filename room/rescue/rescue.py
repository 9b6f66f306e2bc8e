"""An agent always comes, and comes back: where a job died, a dispatch was lost or a worker is gone.

A LiveKit server sends for an agent once. A dispatch that finds no worker is lost, a job that dies is not replaced, and
the person sits in silence. Two things in the worker's main process make up for it:

- the rescue is told when one of this worker's job processes dies, and sends another agent within a second;
- the sweep looks at all rooms every few seconds, and heals what no worker was told: lost dispatches, dead workers,
  calls that were cut off at the end of a drain.

Where an agent is missing, `Rules` decide, and `Budget` and `Rounds` how much the server is asked for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import aiohttp
from livekit import api
from livekit.agents import AgentServer
from livekit.agents.job import RunningJobInfo
from livekit.agents.utils import is_hosted
from livekit.agents.utils.misc import is_cloud
from livekit.protocol.agent import Job
from livekit.protocol.models import ParticipantInfo, Room
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from identity import pseudonym
from room.dispatch import API_SECONDS, Server
from room.rescue.budget import Budget, BudgetSpent, Rounds
from room.rescue.rules import JOIN_SECONDS, LISTED_SECONDS, Rules, Vacancy
from room.tasks import Tasks

log = logging.getLogger("rapport.room")

# What a sweep asks takes about 2 ms each: it must not be all that worker and server do.
_SHARE_OF_TIME = 0.1
# Of a minute's calls: for lists of all rooms, and together with looks at rooms of which they tell nothing new, one with
# each list. With the rest the people of a dead worker get their agents, three calls each; a tenth stays for jobs that
# die in that moment.
_LISTS = 0.3
_ROUTINE = 0.4
_AGENTS = 0.9
# As long as no more are spent, all may be asked at once.
_AT_ONCE = 0.2
# Of a worker that does not sweep. A rescue is four calls.
_OTHERS = 0.1
# After failures the sweep waits up to this many times as long.
_SLOWEST = 5.0
_RESCUE_ATTEMPTS = 3


class RescueSettings(BaseSettings):
    """`rescue`: whether agents are put back; with `auto` they are where the server does not do so itself.
    `sweep_seconds` is the time between two looks at all rooms; 0 turns the sweep off, and leaves the rescue.
    `livekit_api_budget`: how many calls a minute of the server's API all this may take in the whole deployment; by
    default a tenth of what LiveKit Cloud grants a project."""

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, frozen=True, env_ignore_empty=True
    )

    rescue: Literal["auto", "on", "off"] = "auto"
    sweep_seconds: float = Field(default=2.0, ge=0, le=3600)
    livekit_api_budget: int = Field(default=100, ge=20, le=100_000)

    def why_off(self, livekit_url: str | None) -> str | None:
        """Why no agent is put back by us; None where they are."""
        if self.rescue == "off":
            return "as RESCUE says"
        if self.rescue == "auto" and (is_cloud(livekit_url or "") or is_hosted()):
            return "LiveKit Cloud sends another agent by itself; with RESCUE=on so do we"
        return None


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
        settings = settings or RescueSettings()
        self._seconds = settings.sweep_seconds
        self._budget = Budget(settings.livekit_api_budget)
        self._budget.share = _OTHERS
        self._rounds = Rounds()
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._api_seconds = api_seconds
        self._main: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._pool: object = None
        self._livekit: Server | None = None
        self._over: dict[str, float] = {}
        """Dispatches of jobs of this worker that have ended, with the time. Later on nobody takes them for coming."""
        self._doubtful: dict[str, Sequence[ParticipantInfo]] = {}
        """The rooms, by their ids, that had people and perhaps too few agents when they were looked into last, with who
        was there."""
        self._failures: set[str] = set()
        """The kinds of failure that the log tells of already."""
        self._given_up: set[str] = set()
        """Dispatches of vacancies that are hopeless, for the same reason."""

    def watch(self, server: AgentServer, off: str | None = None) -> None:
        """Call it before the worker runs. `off` is why it has nothing to do, which the log then says."""

        def on_registered() -> None:  # also each time the worker has lost its connection
            if off:
                log.info("[RESCUE OFF] agents are not put back by us: %s", off)
            elif self._main is None or self._main.done():
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
            async with aiohttp.ClientSession(
                connector=connector, trust_env=True, trace_configs=[self._budget.counting()]
            ) as session:
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
            except BudgetSpent:
                return  # the sweep finds them
            except Exception as error:
                self._failed("RESCUE", error)

    async def _replace(self, livekit: Server, job: Job, identity: str, code: int) -> None:
        room = job.room.name
        # First, or the next agent takes the ghost for an older agent and leaves. By itself it would stay for 21 s.
        await livekit.remove(room, identity)
        rules = replace(self._rules, agent_name=job.agent_name)
        there = await livekit.participants(room)
        if rules.settled(there):
            return
        for vacancy in rules.vacancies(there, await livekit.dispatches(room), time.time(), self._over):
            was_its = not rules.by_metadata or vacancy.dispatch.metadata == job.metadata
            if was_its and await self._fill(livekit, room, vacancy):
                log.warning("[AGENT RESCUED] its job ended with %s, room: %s", code, pseudonym(room))

    # --- the sweep: what nobody was told ---------------------------------------------------------------------------

    async def _sweep_for_ever(self, server: AgentServer, livekit: Server) -> None:
        """Runs until it is cancelled, whatever the server answers."""
        if not self._seconds:
            await asyncio.Event().wait()
        rules = replace(self._rules, agent_name=getattr(server, "_agent_name", self._rules.agent_name))
        pause, ours = self._seconds, None
        while True:
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - not all workers at the same moment
            if server.draining:  # it takes no job any more; others do
                continue
            began = time.monotonic()
            try:
                if await self._is_ours():
                    if ours is False:  # the one that swept until now has asked, and looked
                        self._budget.assume(_LISTS)
                        self._rounds = Rounds()
                    ours, self._budget.share = True, 1.0
                    await self._sweep(livekit, rules)
                else:
                    ours, self._budget.share = False, _OTHERS
                    self._doubtful.clear()
            except BudgetSpent:
                pause = max(self._budget.closed_for, self._seconds)
            except Exception as error:
                self._failed("SWEEP", error)
                # a server that refuses says for how long
                pause = self._budget.closed_for or min(2 * pause, _SLOWEST * self._seconds)
            else:
                if self._failures:
                    self._failures.clear()
                    log.info("[SWEEP] works again")
                pause = max(self._seconds, (time.monotonic() - began) / _SHARE_OF_TIME)
                if not self._budget.left(_AT_ONCE):
                    pause = max(pause, 60 / (_LISTS * self._budget.a_minute))

    async def _is_ours(self) -> bool:
        """Whether this worker sweeps now. Where nobody says so in time it does: two sweeps do no harm, none does."""
        try:
            async with asyncio.timeout(self._lease_seconds):
                return await self._lease()
        except TimeoutError:
            return True

    async def _sweep(self, livekit: Server, rules: Rules) -> None:
        """Send an agent wherever one was missing the last time, and is missing now."""
        urgent, routine = self._rounds.due(await livekit.rooms(), time.time())
        self._doubtful = {room.sid: self._doubtful[room.sid] for room in urgent if room.sid in self._doubtful}
        urgent.sort(key=lambda room: room.sid not in self._doubtful)
        failure: api.TwirpError | None = None
        for share, rooms in ((_AGENTS, urgent), (_ROUTINE, routine[:1])):
            for room in rooms:
                # what is doubtful is followed to its end first: two calls each
                if self._budget.left(share) < (2 if room.sid in self._doubtful else 1 + 2 * len(self._doubtful)):
                    break
                try:
                    await self._look(livekit, rules, room)
                except api.TwirpError as error:
                    failure = error  # such as that this room is gone meanwhile; the other rooms do not wait for it
        if failure:
            raise failure

    async def _look(self, livekit: Server, rules: Rules, room: Room) -> None:
        """Into one room: first who is there. Where an agent may be missing, what was sent for, the next time."""
        there = self._doubtful.get(room.sid)
        if there is None:
            there = await livekit.participants(room.name)
            if rules.settled(there):
                self._rounds.settle(room, time.time())
            else:
                self._rounds.doubt(room)
                self._doubtful[room.sid] = there
            return
        dispatches, now = await livekit.dispatches(room.name), time.time()
        filled = False
        for vacancy in rules.vacancies(there, dispatches, now, self._over):
            if await self._fill(livekit, room.name, vacancy):
                filled = True
                log.info("[SWEEP] people without an agent, one is sent, room: %s", pseudonym(room.name))
        del self._doubtful[room.sid]
        if filled or rules.awaits(dispatches, now, self._over):
            self._rounds.doubt(room, now + LISTED_SECONDS)
        else:
            self._rounds.settle(room, now)

    # --- what both do ----------------------------------------------------------------------------------------------

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
