"""What a worker is made of. It is made once and handed down: nothing in a call looks for it anywhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from livekit.agents import JobContext

import metrics
from call.apps import AppsSettings
from call.assistant.character import CharacterSettings
from call.clock import ClockSettings
from identity import IdentitySettings
from memory.embedding.embedders import Embedder, EmbeddingsOff, LocalEmbedder, OpenAIEmbedder
from memory.language.utterances import unfinished
from memory.manager import MemoryManager
from memory.operate.housekeeping import HEARTBEAT_SECONDS
from memory.settings import MemorySettings, open_store, why_temporary
from metrics import MetricsSettings
from room.capacity import WorkerSettings
from room.participant import RoomSettings
from room.rescue.rescue import RescueSettings
from voice.session import Prepared, Voice, embeddings_client, prepare
from voice.settings import VoiceNotConfigured, VoiceSettings, is_on_this_machine

log = logging.getLogger("rapport")


@dataclass(frozen=True)
class Settings:
    """Everything the worker reads from its environment, read once."""

    apps: AppsSettings = field(default_factory=AppsSettings)
    character: CharacterSettings = field(default_factory=CharacterSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    rescue: RescueSettings = field(default_factory=RescueSettings)
    room: RoomSettings = field(default_factory=RoomSettings)
    voice: VoiceSettings = field(default_factory=VoiceSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)


def open_voice(settings: VoiceSettings, prepared: Prepared) -> Voice:
    """The voice of one call, which waits for the rest of a sentence by the rule by which memory joins its parts."""
    return Voice(settings, prepared, unfinished)


@dataclass(frozen=True)
class Services:
    """One worker process's parts. `open_voice` makes the voice of one call."""

    settings: Settings
    memory: MemoryManager
    prepare: Callable[[], Prepared] = prepare
    open_voice: Callable[[VoiceSettings, Prepared], Voice] = open_voice
    temporary: str | None = None
    """Why memories would soon be lost here; then nobody has any. None where they last."""
    heartbeat: float = HEARTBEAT_SECONDS
    """How often, in seconds, a call tells the store that it lives."""
    look_elsewhere: float = 10.0
    """How often, in seconds, a call asks what its person told elsewhere: it is known here within twice as long."""
    start_pause: float = 1.0
    """How long, in seconds, a call that fails to start is not tried again, where several people are talked to; twice as
    long each time."""
    part_seconds: float = 20.0
    """How long any one part of a call's end may take. A session waits for its last words and for tools."""

    def remembers(self, ctx: JobContext) -> bool:
        """Whether people's memories outlast this job. Who tries a worker in a terminal has the machine at hand."""
        return self.temporary is None or ctx.is_fake_job()


def services_of(settings: Settings) -> Services:
    """The parts that the settings name. Opens nothing yet."""
    memory = MemoryManager(
        lambda: open_store(settings.memory),
        deadline=settings.memory.memory_deadline,
        measure=metrics.measure_store,
        open_embedder=lambda: open_embedder(settings),
        measure_embedding=metrics.measure_embedding,
    )
    return Services(settings, memory, partial(prepare, settings.voice), temporary=why_temporary(settings.memory))


async def has_curator(settings: Settings, voice: Voice) -> bool:
    """Does a language model put in order what people say, and sum their conversations up? With `auto` it does where
    there is one, and what stands in for one in the terminal is none."""
    if settings.memory.memory_extraction != "auto":
        return settings.memory.memory_extraction == "llm"
    if settings.voice.choice("llm").vendor != "openai":
        return True
    try:
        _, url = settings.voice.endpoint("llm")
    except VoiceNotConfigured:  # a speech-to-speech model talks
        return False
    return not (is_on_this_machine(url) and await voice.is_toy())


def open_embedder(settings: Settings) -> Embedder | None:
    """What finds memories by their meaning; None where nobody asked for it and it cannot be. Raises `EmbeddingsOff`."""
    if settings.memory.embeddings == "local":
        try:
            return LocalEmbedder()
        except EmbeddingsOff as error:
            if settings.memory.embeddings_wanted:
                raise
            log.info("[EMBEDDINGS OFF] %s", error)
    if settings.memory.embeddings == "openai":
        try:
            return OpenAIEmbedder(embeddings_client(settings.voice), settings.voice.embeddings_model)
        except VoiceNotConfigured as error:
            raise EmbeddingsOff(str(error)) from error
    return None
