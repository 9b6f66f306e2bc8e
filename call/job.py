"""One job: one room, and the calls with the people in it."""

from __future__ import annotations

import asyncio
import logging

from livekit import rtc
from livekit.agents import JobContext

import metrics
from call.call import Call
from call.services import Services
from identity import Binding, IdentityError, open_seat, printable
from room.dispatch import leave
from room.participant import Attendance, Caller, scope_of
from room.private import Lines
from room.tasks import Tasks

log = logging.getLogger("rapport")

# Between two tries to start a call, in seconds.
_LONGEST_PAUSE = 30.0


class Job:
    """What a job has to do with its room: who is there, and the calls that it must put away when it ends."""

    def __init__(self, services: Services, ctx: JobContext) -> None:
        """Make it before `connect()`: from then on nothing that people say or type is missed."""
        self._services = services
        self._ctx = ctx
        self._attendance = Attendance(ctx.room, services.settings.room)
        self._lines = Lines(ctx.room, services.settings.room.room_policy, metrics.BINDINGS_REFUSED.labels("input").inc)
        self._seated: set[Caller] = set()
        self._pauses: dict[Caller, float] = {}
        """Of whom a call could not be started: how long, in seconds, the next failure is waited after."""
        self._calls: list[Call] = []
        self._ending: set[Call] = set()
        """Calls whose person is gone, until they are put away."""
        self._tasks = Tasks()
        self._why = "stopped"
        """Why the job is over: until something else is known, its worker ends."""
        ctx.room.on("disconnected", self._on_disconnected)

    async def talk_to_one(self, binding: Binding, identity: str | None) -> None:
        """The call with the person of that identity, or with who is there first. Raises `NobodyCame`,
        `IdentityError`."""
        console = self._services.settings.room.console_identity
        caller = Caller(console) if self._ctx.is_fake_job() else await self._attendance.first(identity)
        await self._talk_to(caller, binding)

    async def talk_to_everyone(self) -> None:
        """A call with each person who comes, each in a context of their own. Raises `NobodyCame`."""
        caller = await self._attendance.first()
        self._tasks.spawn(self._receive(caller))

    async def end(self) -> None:
        """Put everything away. Safe to call twice."""
        await self._tasks.cancel()
        try:
            calls = [*self._calls, *self._ending]
            await asyncio.gather(*(call.end(self._why) for call in calls), return_exceptions=True)
        finally:
            await self._lines.aclose()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if reason in (rtc.DisconnectReason.ROOM_CLOSED, rtc.DisconnectReason.ROOM_DELETED):
            self._why = "left"

    async def _receive(self, caller: Caller) -> None:
        while True:
            self._seated.add(caller)
            self._tasks.spawn(self._seat(caller))
            caller = await self._attendance.newcomer(besides=self._seated)

    async def _seat(self, caller: Caller) -> None:
        """One person's place in the room. A call that fails to start gives it back: who is still there, or comes back,
        gets another try."""
        try:
            await self._talk_to(caller, open_seat(self._ctx, remembers=self._services.remembers(self._ctx)))
        except IdentityError as error:  # it would be refused again
            log.error("[SESSION REFUSED] %s", error)
        except Exception as error:  # nothing that one person's call meets may leave them alone for ever
            log.error("[SESSION FAILED] a call could not be started: %s", type(error).__name__)
            pause = self._pauses.get(caller, self._services.start_pause)
            self._pauses[caller] = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)
            self._seated.discard(caller)
            self._attendance.look_again()
        else:
            self._pauses.pop(caller, None)

    async def _talk_to(self, caller: Caller, binding: Binding) -> None:
        scope = scope_of(self._ctx.room, caller, self._services.settings.room)
        user = binding.bind(caller.identity, self._services.settings.room.known_as(caller), scope)
        log.info("[SESSION INIT] Identity: %s → UUID: %s", printable(user.identity), user.uuid)
        call = Call(self._services, self._ctx, binding, self._lines.open_to(caller))
        self._calls.append(call)
        try:
            await call.start(caller)
        except Exception:
            await self._put_away(call, "failed")
            raise
        self._tasks.spawn(self._hang_up(call) if self._ctx.is_fake_job() else self._let_go(call, caller))

    async def _hang_up(self, call: Call) -> None:
        """In a console nobody leaves, falls silent or stays too long."""
        await call.goodbye()
        self._why = "goodbye"
        await leave(self._ctx)

    async def _let_go(self, call: Call, caller: Caller) -> None:
        reason = await call.over(self._attendance.gone(caller))
        if len(self._calls) == 1:
            self._why = reason
            await leave(self._ctx)
            return
        await self._put_away(call, reason)
        if reason == "left":  # who was sent away would be called back in the same moment
            self._seated.discard(caller)

    async def _put_away(self, call: Call, reason: str) -> None:
        self._calls.remove(call)
        self._ending.add(call)  # should this be cancelled, the job's end still waits for the call's
        await self._lines.close(call.line)
        await call.end(reason)
        self._ending.discard(call)
