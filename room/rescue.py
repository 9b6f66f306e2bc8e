"""An agent always comes, and comes back: where a job died, a dispatch was lost or a worker is gone.

A LiveKit server sends for an agent once. A dispatch that finds no worker is lost, a job that dies is not replaced, and
the person sits in silence (rooms-facts 0.2, 1, 2). Two things in the worker's main process make up for it:

- the rescue is told when one of this worker's job processes dies, and sends another agent within a second;
- the sweep looks at all rooms every few seconds, and heals what no worker was told: lost dispatches, dead workers,
  calls that were cut off at the end of a drain.

Everything that is decided follows from what the server tells about one room (`Rules`), so that all workers of a
deployment count alike, also after a restart. Two that send an agent at once do no harm: the younger one leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import os
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp
from livekit import api, rtc
from livekit.agents import AgentServer, JobContext
from livekit.agents.job import RunningJobInfo
from livekit.agents.types import ATTRIBUTE_AGENT_NAME, ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.protocol.agent import Job, JobState
from livekit.protocol.agent_dispatch import AgentDispatch, CreateAgentDispatchRequest
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.room import ListParticipantsRequest, ListRoomsRequest, RoomParticipantIdentity
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from identity import Kind, printable

log = logging.getLogger("rapport.room")

T = TypeVar("T")

# The first agent of a room and two tries more: what kills three agents kills the fourth.
_MOST_AGENTS = 3
# Until then a dispatch may have found its worker although no job is listed: a server asks for the names of all agents
# for five seconds (CheckEnabledTimeout), and lists a job when that is over. Measured: 3.4 s.
_LISTED_SECONDS = 6.0
# How long a job may take into its room. Measured: 6.2 s with ten people at once (rooms-facts 7), 12 s where the worker
# has just started on a busy machine.
_JOIN_SECONDS = 15.0
_API_SECONDS = 5.0
# A sweep asks the server one or two things a room, each about 2 ms: it must not be all that worker and server do.
_SHARE_OF_TIME = 0.1
# After failures the sweep waits up to this many times as long.
_SLOWEST = 5.0
_RESCUE_ATTEMPTS = 3
_FOR = "rapport.for"


class RescueSettings(BaseSettings):
    """`sweep_seconds` is the time between two looks at all rooms; 0 turns the sweep off, and leaves the rescue."""

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, frozen=True, env_ignore_empty=True
    )

    sweep_seconds: float = Field(default=2.0, ge=0, le=3600)


@dataclass(frozen=True, slots=True)
class Vacancy:
    """In a room with people, an agent that was sent for and is not there."""

    dispatch: AgentDispatch
    """The newest that asks for it; the next one repeats it."""
    sent: int
    """How many agents have been sent already."""
    lost: tuple[str, ...]
    """Older dispatches that found no worker. They stand for nothing any more."""

    @property
    def hopeless(self) -> bool:
        return self.sent >= _MOST_AGENTS


@dataclass(frozen=True)
class Rules:
    """Where an agent is missing.

    `agent_name` is ours; "" is the worker that joins every room by itself: the server lists a dispatch without a name
    for each of those. `kinds` are the people we talk to. `by_metadata`: the metadata of a dispatch says who its agent
    is for, so that in one room several agents of our name may be right; otherwise there is one.
    """

    agent_name: str
    kinds: Collection[Kind] = ("standard",)
    by_metadata: bool = False

    def settled(self, participants: Sequence[ParticipantInfo]) -> bool:
        """Whether the participants alone show that no agent is missing."""
        if not any(map(self._is_person, participants)):
            return True
        return not self.by_metadata and any(map(self._is_ours, participants))

    def vacancies(
        self,
        participants: Sequence[ParticipantInfo],
        dispatches: Sequence[AgentDispatch],
        now: float,
        over: Collection[str] = (),
    ) -> list[Vacancy]:
        """The agents that are missing in one room. `now` is the time in seconds, by the clock of the wall: where it
        is wrong, one agent more is sent, and leaves, or one is sent some seconds later. `over` are dispatches of
        jobs of which this worker knows that they have ended; the server may list them as running, for ever."""
        if self.settled(participants):
            return []
        purposes: dict[str, list[AgentDispatch]] = {}
        for dispatch in sorted(dispatches, key=lambda each: each.state.created_at):
            if dispatch.agent_name == self.agent_name:
                purposes.setdefault(self._purpose(dispatch.metadata), []).append(dispatch)
        return [
            _vacancy(group, now, over)
            for purpose, group in purposes.items()
            if not any(self._serves(who, purpose) for who in participants)
            and not any(_is_coming(dispatch, now, over) for dispatch in group)
        ]

    def attributes(self, metadata: str) -> dict[str, str]:
        """What a job of this metadata shows of itself in the room: whose agent it is, where there may be several."""
        purpose = self._purpose(metadata)
        return {_FOR: purpose} if purpose else {}

    def _purpose(self, metadata: str) -> str:
        # everybody in the room can read it: a plain hash of an e-mail address would be as good as the address
        secret = os.environ.get("LIVEKIT_API_SECRET", "").encode()
        return hmac.new(secret, metadata.encode(), hashlib.sha256).hexdigest()[:16] if self.by_metadata else ""

    def _serves(self, who: ParticipantInfo, purpose: str) -> bool:
        return self._is_ours(who) and who.attributes.get(_FOR, "") in ("", purpose)

    def _is_person(self, who: ParticipantInfo) -> bool:
        # a hidden participant is invisible to agents too
        kinds = {ParticipantInfo.Kind.Value(kind.upper()) for kind in self.kinds}
        return who.kind in kinds and not who.permission.hidden and who.state != ParticipantInfo.DISCONNECTED

    def _is_ours(self, who: ParticipantInfo) -> bool:
        return (
            who.kind == ParticipantInfo.AGENT
            and who.state != ParticipantInfo.DISCONNECTED
            and _is_of(who.attributes, self.agent_name)
        )


def _is_of(attributes: Mapping[str, str], agent_name: str) -> bool:
    # an avatar is the face of an agent, and carries no name
    return ATTRIBUTE_PUBLISH_ON_BEHALF not in attributes and attributes.get(ATTRIBUTE_AGENT_NAME, "") == agent_name


def _vacancy(group: Sequence[AgentDispatch], now: float, over: Collection[str]) -> Vacancy:
    lost = [dispatch.id for dispatch in group if _is_lost(dispatch, now, over)]
    # the newest stays, whatever became of it: a room whose last dispatch is deleted never gets an agent again
    return Vacancy(group[-1], len(group) - len(lost), tuple(each for each in lost if each != group[-1].id))


def _is_lost(dispatch: AgentDispatch, now: float, over: Collection[str]) -> bool:
    if dispatch.state.jobs or dispatch.id in over:
        return False
    return not _within(dispatch.state.created_at, _LISTED_SECONDS, now)


def _is_coming(dispatch: AgentDispatch, now: float, over: Collection[str]) -> bool:
    """Whether its agent may still be on its way."""
    if dispatch.id in over:
        return False
    if not dispatch.state.jobs:
        return _within(dispatch.state.created_at, _LISTED_SECONDS, now)
    return any(_may_join(job.state, now) for job in dispatch.state.jobs)


def _may_join(state: JobState, now: float) -> bool:
    return not state.ended_at and _within(state.started_at, _JOIN_SECONDS, now)


def _within(nanoseconds: int, seconds: float, now: float) -> bool:
    return 0 <= now - nanoseconds / 1e9 < seconds


def is_superfluous(ctx: JobContext) -> bool:
    """Whether an older agent of ours does this job already. Ask it right after `connect()`: of two that come at once
    the one who joins later sees the other at once, and the other learns of it up to half a second later."""
    if ctx.is_fake_job():
        return False
    own = ctx.room.local_participant
    return any(
        who.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        and _is_of(who.attributes, ctx.job.agent_name)
        and who.attributes.get(_FOR, "") == own.attributes.get(_FOR, "")
        and _seniority(who) < _seniority(own)
        for who in ctx.room.remote_participants.values()
    )


def _seniority(who: rtc.Participant) -> tuple[datetime, str]:
    return who.joined_at or datetime.max.replace(tzinfo=UTC), who.identity


async def withdraw(ctx: JobContext) -> None:
    """Delete the dispatch of a superfluous job, which would count as an agent that was sent and is gone. Then call
    `ctx.shutdown()`."""
    try:
        await _delete(ctx.api, ctx.job.room.name, ctx.job.dispatch_id)
    except (api.TwirpError, aiohttp.ClientError, TimeoutError) as error:
        log.warning("[RESCUE FAILED] a superfluous dispatch stays: %r", error)


async def leave_for_good(ctx: JobContext) -> None:
    """Delete what asks for this agent, so that none is sent for those who stay. The server then ends the job, as at
    the end of a room; call `ctx.shutdown()` all the same, which may be seconds faster.

    Raises `api.TwirpError`, `aiohttp.ClientError`, `TimeoutError`.
    """
    room, own = ctx.job.room.name, ctx.job.dispatch_id
    # in the token, not in the room: the job may never have been there
    alone = _FOR not in (ctx.token_claims().attributes or {})
    asking = [
        dispatch.id
        for dispatch in await _answer(ctx.api.agent_dispatch.list_dispatch(room))
        if dispatch.agent_name == ctx.job.agent_name and (alone or dispatch.metadata == ctx.job.metadata)
    ]
    # our own at last: with it the server ends this job
    for dispatch in sorted(asking, key=own.__eq__):
        await _delete(ctx.api, room, dispatch)


async def _always() -> bool:
    return True


class Rescue:
    """Lives in the worker's main process, from the moment it is registered; in a console or an unregistered worker it
    does nothing. `lease` says whether this worker is the one of its deployment that sweeps now.
    """

    def __init__(
        self,
        rules: Rules,
        settings: RescueSettings | None = None,
        lease: Callable[[], Awaitable[bool]] = _always,
    ) -> None:
        self._rules = rules
        self._seconds = (settings or RescueSettings()).sweep_seconds
        self._lease = lease
        self._main: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool: object = None
        self._livekit: api.LiveKitAPI | None = None
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
                livekit = self._livekit = api.LiveKitAPI(session=session)
                self._listen(server)
                await self._sweep_for_ever(server, livekit)
        finally:
            self._livekit = None
            for task in self._tasks:
                task.cancel()

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
            self._over = {each: at for each, at in self._over.items() if now - at < _JOIN_SECONDS}
            self._over[running.job.dispatch_id] = now
            if code not in (0, None) and self._livekit and not server.draining:
                identity = running.accept_arguments.identity
                self._spawn(self._rescue(self._livekit, running.job, identity, code))

        if pool is not self._pool:
            self._pool = pool
            pool.on("process_closed", on_closed)

    async def _rescue(self, livekit: api.LiveKitAPI, job: Job, identity: str, code: int) -> None:
        for attempt in range(_RESCUE_ATTEMPTS):
            await asyncio.sleep(attempt)
            try:
                await self._replace(livekit, job, identity, code)
            except Exception as error:
                self._failed("RESCUE", error)
            else:
                return

    async def _replace(self, livekit: api.LiveKitAPI, job: Job, identity: str, code: int) -> None:
        room = job.room.name
        # First, or the next agent takes the ghost for an older agent and leaves. By itself it would stay for 21 s.
        await _remove(livekit, room, identity)
        rules = replace(self._rules, agent_name=job.agent_name)
        for vacancy in await self._look(livekit, rules, room):
            if rules.by_metadata and vacancy.dispatch.metadata != job.metadata:
                continue
            if vacancy.hopeless:
                self._give_up(room, vacancy)
            else:
                await _send(livekit, room, vacancy)
                log.warning("[AGENT RESCUED] its job ended with %s, room: %s", code, printable(room))

    # --- the sweep: what nobody was told ---------------------------------------------------------------------------

    async def _sweep_for_ever(self, server: AgentServer, livekit: api.LiveKitAPI) -> None:
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
                if await _answer(self._lease()):
                    await self._sweep(livekit, rules)
                else:
                    self._missing = frozenset()
            except Exception as error:
                self._failed("SWEEP", error)
                pause = min(2 * pause, _SLOWEST * self._seconds)
            else:
                self._worked()
                pause = max(self._seconds, (time.monotonic() - began) / _SHARE_OF_TIME)

    async def _sweep(self, livekit: api.LiveKitAPI, rules: Rules) -> None:
        """Send an agent wherever one was missing the last time, and is missing now."""
        missing: set[str] = set()
        failure: api.TwirpError | None = None
        for room in (await _answer(livekit.room.list_rooms(ListRoomsRequest()))).rooms:
            try:
                for vacancy in await self._look(livekit, rules, room.name):
                    missing.add(vacancy.dispatch.id)
                    if vacancy.dispatch.id in self._missing:
                        await self._fill(livekit, room.name, vacancy)
            except api.TwirpError as error:
                failure = error  # such as that this room is gone meanwhile; the other rooms do not wait for it
        self._missing = frozenset(missing)
        self._given_up &= missing
        if failure:
            raise failure

    async def _fill(self, livekit: api.LiveKitAPI, room: str, vacancy: Vacancy) -> None:
        if vacancy.hopeless:
            self._give_up(room, vacancy)
        else:
            await _send(livekit, room, vacancy)
            log.info("[SWEEP] people without an agent, one is sent, room: %s", printable(room))

    async def _look(self, livekit: api.LiveKitAPI, rules: Rules, room: str) -> list[Vacancy]:
        there = (await _answer(livekit.room.list_participants(ListParticipantsRequest(room=room)))).participants
        if rules.settled(there):
            return []
        dispatches = await _answer(livekit.agent_dispatch.list_dispatch(room))
        return rules.vacancies(there, dispatches, time.time(), self._over)

    # --- what the log says -----------------------------------------------------------------------------------------

    def _give_up(self, room: str, vacancy: Vacancy) -> None:
        if vacancy.dispatch.id not in self._given_up:
            self._given_up.add(vacancy.dispatch.id)
            log.error("[AGENT GIVEN UP] %d agents were sent and are gone, room: %s", vacancy.sent, printable(room))

    def _failed(self, what: str, error: Exception) -> None:
        kind = f"{type(error).__name__} {getattr(error, 'code', '')}".strip()
        if kind not in self._failures:
            self._failures.add(kind)
            log.warning("[%s FAILED] %s; it is tried again, and this is said once", what, str(error) or kind)

    def _worked(self) -> None:
        if self._failures:
            self._failures.clear()
            log.info("[SWEEP] works again")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _send(livekit: api.LiveKitAPI, room: str, vacancy: Vacancy) -> None:
    last = vacancy.dispatch
    again = CreateAgentDispatchRequest(
        agent_name=last.agent_name,
        room=room,
        metadata=last.metadata,
        attributes=last.attributes,
        deployment=last.deployment,
        restart_policy=last.restart_policy,
    )
    await _answer(livekit.agent_dispatch.create_dispatch(again))
    for dispatch in vacancy.lost:
        await _delete(livekit, room, dispatch)


async def _remove(livekit: api.LiveKitAPI, room: str, identity: str) -> None:
    with _unless_gone():
        await _answer(livekit.room.remove_participant(RoomParticipantIdentity(room=room, identity=identity)))


async def _delete(livekit: api.LiveKitAPI, room: str, dispatch: str) -> None:
    with _unless_gone():
        await _answer(livekit.agent_dispatch.delete_dispatch(dispatch, room))


async def _answer(call: Awaitable[T]) -> T:
    # the client has no deadline of its own: it passes `timeout=None` on, which outdoes the one of its session
    async with asyncio.timeout(_API_SECONDS):  # `wait_for` of Python 3.11 may miss that its task is cancelled
        return await call


@contextlib.contextmanager
def _unless_gone() -> Generator[None]:
    try:
        yield
    except api.TwirpError as error:
        if error.code != api.TwirpErrorCode.NOT_FOUND:
            raise
