"""What a job or a worker asks a LiveKit server for: agents to be sent for or not, and rooms to be left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from livekit import api, rtc
from livekit.agents import JobContext
from livekit.protocol.agent_dispatch import AgentDispatch, CreateAgentDispatchRequest
from livekit.protocol.models import ParticipantInfo, Room
from livekit.protocol.room import (
    DeleteRoomRequest,
    ListParticipantsRequest,
    ListRoomsRequest,
    RoomParticipantIdentity,
)

from room.participant import seniority
from room.rescue.rules import FOR, Vacancy, is_of

log = logging.getLogger("rapport.room")

T = TypeVar("T")

API_SECONDS = 5.0
"""How long a server may take to answer."""

UNANSWERED = (api.TwirpError, aiohttp.ClientError, TimeoutError)
"""What is raised where the server refuses or does not answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """A LiveKit server that is asked under a deadline: its client has none of its own. Raises `UNANSWERED`."""

    livekit: api.LiveKitAPI
    seconds: float = API_SECONDS

    async def rooms(self) -> Sequence[Room]:
        return (await self._answer(self.livekit.room.list_rooms(ListRoomsRequest()))).rooms

    async def participants(self, room: str) -> Sequence[ParticipantInfo]:
        there = self.livekit.room.list_participants(ListParticipantsRequest(room=room))
        return (await self._answer(there)).participants

    async def dispatches(self, room: str) -> Sequence[AgentDispatch]:
        return await self._answer(self.livekit.agent_dispatch.list_dispatch(room))

    async def send(self, room: str, vacancy: Vacancy) -> None:
        """Send for another agent, and clear away what stands for none."""
        last = vacancy.dispatch
        again = CreateAgentDispatchRequest(
            agent_name=last.agent_name,
            room=room,
            metadata=last.metadata,
            attributes=last.attributes,
            deployment=last.deployment,
            restart_policy=last.restart_policy,
        )
        await self._answer(self.livekit.agent_dispatch.create_dispatch(again))
        for dispatch in vacancy.lost:
            await self.delete(room, dispatch)

    async def delete(self, room: str, dispatch: str) -> None:
        await self._be_rid_of(self.livekit.agent_dispatch.delete_dispatch(dispatch, room))

    async def remove(self, room: str, identity: str) -> None:
        leaving = RoomParticipantIdentity(room=room, identity=identity)
        await self._be_rid_of(self.livekit.room.remove_participant(leaving))

    async def delete_room(self, room: str) -> None:
        await self._be_rid_of(self.livekit.room.delete_room(DeleteRoomRequest(room=room)))

    async def _be_rid_of(self, call: Awaitable[object]) -> None:
        try:
            await self._answer(call)
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:
                raise

    async def _answer(self, call: Awaitable[T]) -> T:
        async with asyncio.timeout(self.seconds):  # `wait_for` of Python 3.11 may miss that its task is cancelled
            return await call


def is_superfluous(ctx: JobContext) -> bool:
    """Whether an older agent of ours does this job already. Ask it right after `connect()`: of two that come at once
    the one who joins later sees the other at once, and the other learns of it up to half a second later."""
    if ctx.is_fake_job():
        return False
    own = ctx.room.local_participant
    return any(
        who.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        and is_of(who.attributes, ctx.job.agent_name)
        and who.attributes.get(FOR, "") == own.attributes.get(FOR, "")
        and seniority(who) < seniority(own)
        for who in ctx.room.remote_participants.values()
    )


async def withdraw(ctx: JobContext) -> None:
    """Delete the dispatch of a superfluous job, which would count as an agent that was sent and is gone. Then call
    `ctx.shutdown()`."""
    try:
        await Server(ctx.api).delete(ctx.job.room.name, ctx.job.dispatch_id)
    except UNANSWERED as error:
        log.warning("[RESCUE FAILED] a superfluous dispatch stays: %s", type(error).__name__)


async def leave(ctx: JobContext, seconds: float = API_SECONDS) -> None:
    """End the job, so that nobody who comes later sits in the room with no agent.

    A room without people is deleted: the next one who joins makes it anew, and gets an agent with it. Where others
    stay, the room's dispatches go, so that no agent is sent for them.
    """
    if not ctx.is_fake_job():
        try:
            async with asyncio.timeout(seconds):
                await _close_the_door(ctx)
        except UNANSWERED as error:
            log.warning("[ROOM FAILED] job %s could not leave its room: %s", ctx.job.id, type(error).__name__)
    ctx.shutdown(reason="nobody is left to talk to")


async def _close_the_door(ctx: JobContext) -> None:
    server, room, own = Server(ctx.api), ctx.job.room.name, ctx.job.dispatch_id
    # asked of the server: the room learns of people without a track up to three seconds late
    if all(who.kind == ParticipantInfo.AGENT for who in await server.participants(room)):
        await server.delete_room(room)
        return
    # in the token, not in the room: the job may never have been there
    alone = FOR not in (ctx.token_claims().attributes or {})
    asking = [
        dispatch.id
        for dispatch in await server.dispatches(room)
        if dispatch.agent_name == ctx.job.agent_name and (alone or dispatch.metadata == ctx.job.metadata)
    ]
    # our own at last: with it the server ends this job, as at the end of a room; `ctx.shutdown()` may be seconds faster
    for dispatch in sorted(asking, key=own.__eq__):
        await server.delete(room, dispatch)
