"""One person's call, from greeting to goodbye."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from livekit.agents import AgentSession, JobContext

import metrics
from call.acquaintance import Acquaintance, get_acquainted
from call.apps import open_apps
from call.assistant.assistant import Assistant
from call.assistant.prompts import FIRST_GREETING, GOODBYES
from call.clock import Clock
from call.console import show_end, show_link, show_memories
from call.language import SpokenLanguage, spoken_before
from call.services import Services, has_curator
from call.turns import keep_turns, summarise
from identity import Binding
from memory.language.frame import Frame
from memory.sessions.curating import Curating
from memory.sessions.session import SessionMemory
from memory.stores.protocol import StoreError
from room.link import show_link as show_link_in_room
from room.participant import Caller, room_options, shown_by
from room.private import PrivateLine
from room.tasks import Tasks
from voice.phrases import phrases_in
from voice.report import SessionReport
from voice.session import Voice
from voice.silence import SilenceWatch
from voice.vendors import noise_filter

if TYPE_CHECKING:
    from apps.toolset import AppTools

log = logging.getLogger("rapport")

# How long the end of a call waits for memories that are still being written, and for its last words.
SHUTDOWN_SECONDS = 5.0
GOODBYE_SECONDS = 15.0


class Call:
    """It has one end, which begins once and runs through all its parts, whatever fails and whoever stops waiting."""

    def __init__(self, services: Services, ctx: JobContext, binding: Binding, line: PrivateLine) -> None:
        self.line = line
        self._services = services
        self._settings = services.settings
        self._binding = binding
        self._ctx = ctx
        self._memory: SessionMemory | None = None
        self._voice: Voice | None = None
        self._silence: SilenceWatch | None = None
        self._assistant: Assistant | None = None
        self._apps: AppTools | None = None
        self._language = SpokenLanguage()
        self._curates = False
        """Whether a model puts in order what they say."""
        self._curating: Curating | None = None
        self._report = SessionReport()
        self._tasks = Tasks()
        self._end: asyncio.Task[None] | None = None

    async def start(self, caller: Caller) -> None:
        """Find out what is remembered, open the voice session, and greet. Where it fails, `end` puts away what was
        opened."""
        ctx, user = self._ctx, self._binding.user
        remembering = self._memory = self._services.memory.open_session()
        acquainting = asyncio.create_task(get_acquainted(self._services, ctx, user, remembering))
        await asyncio.sleep(0)  # the store is asked now, and answers while the session is built
        try:
            prepared = ctx.proc.userdata.get("prepared") or self._services.prepare()
            voice = self._voice = self._services.open_voice(self._settings.voice, prepared)
        except BaseException:
            acquainting.cancel()
            raise
        session = voice.session
        self._silence = SilenceWatch(session, self._settings.room.idle_timeout)
        self._report.follow(session)
        self._curates, acquaintance = await asyncio.gather(has_curator(self._services.settings, voice), acquainting)
        if ctx.is_fake_job():
            remembering.observers.append(show_memories(session))
        clock = Clock(
            self._settings.clock,
            told=partial(remembering.fact, "time_zone"),
            shown=partial(shown_by, ctx.room, caller, "timezone"),
        )
        if self._curates and user.remembered:
            self._curating = remembering.curated_by(voice.ask, lambda: clock.zone)
        keep_turns(session, remembering, self._services, self._curating)
        self._hear_language(session, remembering, caller, acquaintance)
        assistant = self._assistant = Assistant(
            self._services, self._binding, acquaintance, remembering, clock, voice.apology, self._language
        )
        await session.start(
            assistant,
            room=ctx.room,
            room_options=room_options(
                caller, self.line.track_name, noise_filter(self._settings.voice, telephone=caller.kind == "sip")
            ),
            # on by default, and open to everybody in the room: they could read the instructions and speak as the person
            session_host=False,
            record=False,
        )
        if not ctx.is_fake_job():
            self.line.attach(session)
        if user.remembered:
            self._tasks.spawn(self._stay_acquainted(assistant, acquaintance, remembering))
            self._tasks.spawn(self._catch_up(remembering))
            self._tasks.spawn(remembering.follow_meaning())
        if self._curating:
            self._tasks.spawn(self._curating.follow())
        greeting = await acquaintance.greeting(self._services, sees_history=assistant.sees_history)
        remembering.frame = Frame(asked_name=greeting is FIRST_GREETING)
        session.generate_reply(instructions=greeting)
        if not ctx.is_fake_job():
            self.line.let_in(session)
        self._tasks.spawn(self._keep_to_their_language(assistant, voice))
        if self._settings.apps.open_to(user, self._settings.room.room_policy):
            self._open_apps(caller, assistant, session)

    async def over(self, gone: Coroutine[Any, Any, None]) -> str:
        """Why the call is over, when it is: the person is `gone`, or silent, or has said goodbye, the model is lost,
        or it has lasted long enough."""
        assert self._silence and self._voice  # noqa: S101 - it was started
        ends = {
            asyncio.ensure_future(gone): "left",
            asyncio.ensure_future(self.goodbye()): "goodbye",
            asyncio.ensure_future(self._silence.given_up()): "idle",
            asyncio.ensure_future(self._voice.given_up()): "failed",  # it has said so
            asyncio.ensure_future(asyncio.sleep(self._settings.room.max_call_length)): "too long",
        }
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        reason = ends[done.pop()]
        if self._apps:
            self._apps.cut_short()
        if goodbye := GOODBYES.get(reason):
            try:
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._voice.session.generate_reply(instructions=goodbye).wait_for_playout()
            except (TimeoutError, RuntimeError) as error:
                log.warning("[VOICE FAILED] no goodbye: %s", type(error).__name__)
        return reason

    async def goodbye(self) -> None:
        """Returns when the person has said goodbye, and heard the agent's."""
        assert self._assistant and self._voice  # noqa: S101 - it was started
        await self._assistant.goodbye.wait()
        if self._ctx.is_fake_job():
            show_end(self._voice.session)

    async def end(self, reason: str) -> None:
        """Wait for what is still being written, then close. Safe to call twice: the first reason counts, and each
        caller waits for the same end. To be cancelled here ends the waiting, not the end."""
        if self._end is None:
            self._end = asyncio.create_task(self._close(reason), name="call_end")
        await asyncio.shield(self._end)

    async def _close(self, reason: str) -> None:
        voice, remembering = self._voice, self._memory
        if self._apps:  # first: the session waits for a tool that runs
            await self._part("apps", self._apps.aclose())
        await self._part("line", self.line.aclose())
        if voice:
            await self._part("voice session", voice.session.aclose())
        await self._part("tasks", self._tasks.cancel())
        if remembering:
            await self._part("memory", self._finish_memory(remembering, reason))
            remembering.close()
        if voice:
            await self._part("connections", voice.aclose())
            metrics.SESSIONS_ENDED.labels(reason).inc()
            log.info("[SESSION END] for user: %s", self._binding.user.uuid)
            log.info("[SESSION REPORT] %s", self._report.json(**self._facts(reason)))
        self._binding.close()

    async def _part(self, what: str, ending: Coroutine[Any, Any, object]) -> None:
        """One part of the end. Its failure is told, and keeps none of the others from their end."""
        try:
            async with asyncio.timeout(self._services.part_seconds):
                await ending
        except Exception as error:  # its text may hold what somebody said
            log.error("[SESSION END] its %s could not be ended: %s", what, type(error).__name__)

    async def _finish_memory(self, remembering: SessionMemory, reason: str) -> None:
        """Nothing that was said is lost by the end: it is kept, and written."""
        orderly: list[Coroutine[Any, Any, None]] = []
        if self._curating:
            orderly.append(self._curating.finish(SHUTDOWN_SECONDS))
        if self._voice and self._curates and self._settings.memory.transcript_retention_days:
            orderly.append(summarise(self._voice, remembering, SHUTDOWN_SECONDS))
        await asyncio.gather(*orderly, return_exceptions=True)  # without it, it is kept as well
        if self._curating:
            metrics.count_curation(self._curating.report())
        metrics.WRITES_WAITING.set(await remembering.end(reason, SHUTDOWN_SECONDS))

    def _facts(self, reason: str) -> dict[str, object]:
        stored = self._memory.stored if self._memory else None
        return {
            "user": str(self._binding.user.uuid),
            "job": self._ctx.job.id,
            "session": str(stored.id) if stored else None,
            "conversation": str(stored.conversation) if stored else None,
            "resumed": bool(stored and stored.resumed),
            "ended": reason,
            "curation": self._curating.report() if self._curating else None,
        }

    def _open_apps(self, caller: Caller, assistant: Assistant, session: AgentSession[None]) -> None:
        """Nobody waits for what they can do: the agent is told when they have answered."""
        room, console = self._ctx.room, self._ctx.is_fake_job()

        async def show(app: str, url: str) -> Literal["rpc", "text"] | None:
            if not console:
                return await show_link_in_room(room, caller, app, url)
            show_link(session, app, url)
            return "rpc"

        apps = self._apps = open_apps(self._settings.apps, self._binding.user, assistant, show)
        # the framework then closes the session, which waits for a tool that runs
        room.on("disconnected", apps.cut_short)
        self._tasks.spawn(apps.follow())

    async def _stay_acquainted(
        self, assistant: Assistant, acquaintance: Acquaintance, remembering: SessionMemory
    ) -> None:
        """Tell the agent of a store that answers late, and the store that the session is alive."""
        await remembering.loaded.wait()
        if acquaintance.stored is None and remembering.stored:
            self._language.expect(spoken_before(remembering.stored))
            await assistant.get_acquainted(Acquaintance(acquaintance.user, remembering.stored))
        while True:
            await asyncio.sleep(self._services.heartbeat)
            metrics.WRITES_WAITING.set(self._services.memory.depth())
            try:
                await remembering.touch()
            except StoreError as error:
                log.warning("[MEMORY FAILED] the session could not be kept alive: %s", error)

    def _hear_language(
        self, session: AgentSession[None], remembering: SessionMemory, caller: Caller, acquaintance: Acquaintance
    ) -> None:
        """Follow what they speak. Before their first word it is what is set, or shown, or what they spoke last time."""
        shown = shown_by(self._ctx.room, caller, "language")
        self._language.expect(self._settings.voice.stt_language, shown, spoken_before(acquaintance.stored))
        self._language.follow(session)
        remembering.language_of = self._language.of

    async def _keep_to_their_language(self, assistant: Assistant, voice: Voice) -> None:
        """What is recorded for when models fail is recorded anew for each language that they turn to."""
        language = self._language
        while True:
            language.changed.clear()
            language.phrases = await phrases_in(language.current, voice.ask)
            await voice.apology.record(language.phrases)
            await language.changed.wait()
            await assistant.follow_language()

    async def _catch_up(self, remembering: SessionMemory) -> None:
        """What the person tells on another device, or to another worker, is known here too."""
        await remembering.loaded.wait()
        while True:
            await asyncio.sleep(self._services.look_elsewhere)
            try:
                await remembering.catch_up()
            except StoreError as error:
                log.warning("[MEMORY FAILED] what changed elsewhere is not known: %s", error)
