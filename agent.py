"""The worker: someone joins a room, and is talked to by an agent that remembers them and nobody else.

A job, from top to bottom of `entrypoint`: bind the participant's identity to everything the job does; then `call/`
makes sure that their profile exists, loads what is remembered about them, starts the voice session, and greets.

    python -m livekit.agents start agent.py      # with LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET
    make talk                                    # in a terminal, with no server and no key
"""

from __future__ import annotations

import environment  # noqa: F401 # pyright: ignore[reportUnusedImport] - first: some libraries look at it on import

# isort: split

import logging
import math
import sys
from collections.abc import Callable
from uuid import UUID

from livekit.agents import AgentServer, JobContext, JobProcess

import metrics
from call import logs
from call.acquaintance import email_in
from call.assistant.assistant import own_tools
from call.job import Job
from call.language import prepare as prepare_languages
from call.services import Services, Settings, services_of
from identity import (
    IdentityError,
    get_or_create_default_user,
    get_session_livekit_identity,
    get_session_user_uuid,
    open_binding,
    pseudonym,
    set_session_user,
)
from memory.operate.housekeeping import Housekeeping
from memory.records import Profile
from memory.settings import open_store, preload_modules, prepare_embedder, prepare_store, what_goes_away, why_off
from room.capacity import Capacity
from room.console import end_with_the_console
from room.dispatch import is_superfluous, leave, withdraw
from room.participant import MetadataError, NobodyCame, RoomPolicy
from room.rescue.rescue import Rescue
from room.rescue.rules import Rules
from room.tasks import Tasks
from voice import vendors
from voice.settings import VoiceNotConfigured
from voice.turn_taking import session_bytes

__all__ = [
    "ensure_profile_exists",
    "get_or_create_default_user",
    "get_session_livekit_identity",
    "get_session_user_uuid",
    "memory_manager",
    "server",
    "set_session_user",
]

log = logging.getLogger("rapport")

# Imported once, in the process that all job processes are forked from. Without it each call pays for them again, and
# the OpenAI SDK imports its parts at their first use, in the middle of a call.
_PRELOAD = """
    livekit.plugins.openai livekit.plugins.silero anyio._backends._asyncio anyio._core._sockets
    anyio._core._synchronization onnxruntime openai.lib.streaming.chat openai.pagination openai.resources.audio
    openai.resources.chat openai.resources.models pydantic_settings call.preload
    """.split()

end_with_the_console()
services = services_of(Settings())
memory_manager = services.memory


async def ensure_profile_exists(user_uuid: UUID | str, original_identity: str | None = None) -> Profile:
    """Make sure the person has a profile row, and return it.

    `original_identity` is kept as the profile's e-mail address where it is one. Raises `StoreError`.
    """
    return await memory_manager.ensure_profile(UUID(str(user_uuid)), email_in(original_identity))


def prewarm(proc: JobProcess, services: Services = services) -> None:
    """Runs in each job process before it has a job: hand it its parts, and load what would make a person wait."""
    logs.install()
    proc.userdata["services"] = services
    proc.userdata["prepared"] = services.prepare()
    own_tools(services.settings.character.tools_module)
    prepare_languages()
    prepare_store(services.settings.memory)
    prepare_embedder(services.settings.memory)


async def entrypoint(ctx: JobContext) -> None:
    """One job: one room, and one person in it; each person in it where ROOM_POLICY says everyone."""
    services: Services = ctx.proc.userdata["services"]
    # before connect(), which freezes the context that room callbacks will see
    binding = open_binding(ctx, remembers=services.remembers(ctx))
    settings = services.settings
    job = ctx.proc.userdata["job"] = Job(services, ctx)
    try:
        vendors.require(settings.voice)
        if identity := settings.room.identity_in(ctx.job.metadata):
            binding.bind(identity)
        await ctx.connect()
        if is_superfluous(ctx):
            log.warning("[JOB SUPERFLUOUS] another agent is in room %s already", pseudonym(ctx.job.room.name))
            await withdraw(ctx)
            ctx.shutdown(reason="superfluous")
        elif settings.room.room_policy is RoomPolicy.EVERYONE and not ctx.is_fake_job():
            await job.talk_to_everyone()
        else:
            await job.talk_to_one(binding, identity)
    except (IdentityError, MetadataError, NobodyCame, VoiceNotConfigured) as error:
        log.error("[SESSION REFUSED] %s", error)
        metrics.BINDINGS_REFUSED.labels(type(error).__name__).inc()
        binding.close()
        await leave(ctx)


async def end_session(ctx: JobContext) -> None:
    """The framework calls it at the end of a job, unless the job was killed."""
    services: Services = ctx.proc.userdata["services"]
    try:
        if job := ctx.proc.userdata.get("job"):
            await job.end()
    finally:
        await services.memory.aclose()


def make_server(services: Services = services, setup: Callable[[JobProcess], None] = prewarm) -> AgentServer:
    """The worker that is made of these parts: it takes the calls it has room for, and looks after its deployment.

    `setup` hands the parts to the jobs, which may be processes of their own.
    """
    settings = services.settings
    rules = Rules(
        settings.room.livekit_agent_name, settings.room.participant_kinds, by_metadata=settings.room.by_metadata
    )
    capacity = Capacity(
        settings.room.max_sessions,
        attributes=rules.attributes,
        name=settings.character.agent_display_name,
        more_bytes=session_bytes(settings.voice.turn_detection),
    )
    tools = settings.character.tools_module
    if tools not in sys.modules:  # else it is what imports us, and not whole yet
        own_tools(tools)
    server = AgentServer(
        setup_fnc=setup,
        load_fnc=capacity.load,
        # `capacity` decides; a threshold would count each job that is about to run as a large share of it
        load_threshold=math.inf,
        num_idle_processes=settings.worker.idle,
        initialize_process_timeout=settings.worker.initialize_timeout,
        drain_timeout=settings.worker.drain_timeout,
        job_memory_limit_mb=settings.worker.job_memory_limit_mb,
        port=settings.room.port,
        prometheus_port=settings.metrics.prometheus_port,
        prometheus_multiproc_dir=settings.metrics.prometheus_multiproc_dir,
        preload_modules=[
            *_PRELOAD,
            *preload_modules(settings.memory),
            *settings.apps.preload_modules(),
            *filter(None, [tools]),
            *vendors.load(settings.voice),
        ],
    )
    server.rtc_session(
        entrypoint,
        agent_name=settings.room.livekit_agent_name,
        on_request=capacity.admit,
        on_session_end=end_session,
    )
    housekeeping = Housekeeping(
        lambda: open_store(settings.memory),
        settings.memory.transcript_retention_days,
        on_ended=lambda session: metrics.SESSIONS_ENDED.labels(session.end_reason).inc(),
        prepare=lambda: prepare_store(settings.memory),
    )
    off = settings.rescue.why_off(settings.voice.livekit_url)
    Rescue(rules, settings.rescue, lease=housekeeping.lease).watch(server, off)
    chores = Tasks()

    def keep_house(*_: object) -> None:  # also each time the worker has lost its connection and is back
        if silent := vendors.why_silent(settings.voice):
            log.error("[VOICE OFF] in all calls of this worker: %s", silent)
        for what in what_goes_away(settings.memory):
            log.warning("[SUPABASE KEYS] %s", what)
        if why := why_off(settings.memory):
            log.error("[MEMORY OFF] in all calls of this worker: %s", why)
        elif services.temporary:
            log.error("[MEMORY TEMPORARY] and off in all calls of this worker: %s", services.temporary)
        elif not chores:
            chores.spawn(housekeeping.run())

    server.on("worker_started", logs.install)
    server.on("worker_registered", keep_house)
    return server


server = make_server()
