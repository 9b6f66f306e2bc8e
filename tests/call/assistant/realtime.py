"""The shipped assistant with a realtime model of loopback, without a room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from call.acquaintance import Acquaintance
from call.assistant.assistant import Assistant
from call.clock import Clock, ClockSettings
from call.services import Services, Settings
from call.turns import keep_turns
from identity import Binding, set_session_user
from memory.manager import MemoryManager
from memory.records import Turn
from memory.sessions.session import SessionMemory
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import start
from tests.voice.realtime_server import RealtimeServer
from tests.voice.test_realtime import Loudspeaker
from voice.session import Voice, prepare
from voice.settings import VoiceSettings


@dataclass
class Talk:
    manager: MemoryManager
    remembering: SessionMemory
    voice: Voice
    assistant: Assistant
    known: Acquaintance
    services: Services


@asynccontextmanager
async def talk_of_alice(
    server: RealtimeServer, folder: Path, turns: Sequence[Turn] = (), stated: Sequence[Turn] = ()
) -> AsyncIterator[Talk]:
    """Her conversation goes on after `turns`, and of what she `stated` is remembered what can be."""
    assert set_session_user("alice@example.com")
    manager = MemoryManager(lambda: SqliteStore(folder / "rapport.db"), 5)
    remembering = manager.open_session()
    stored = await start(remembering)
    for turn in stated:
        await remembering.capture(turn)
    for turn in turns:
        remembering.append_turn(turn)
    settings = VoiceSettings(voice_mode="realtime", realtime_base_url=server.base_url, realtime_api_key="none")
    voice = Voice(settings, prepare())
    voice.session.output.audio = Loudspeaker()
    binding = Binding()
    known = Acquaintance(binding.bind("alice@example.com"), replace(stored, resumed=bool(turns), turns=turns))
    clock = Clock(ClockSettings(), told=lambda: "", shown=lambda: "")
    services = Services(Settings(voice=settings), manager)
    assistant = Assistant(services, binding, known, remembering, clock, voice.apology)
    keep_turns(voice.session, remembering, services, None)
    await voice.session.start(assistant, record=False)
    try:
        yield Talk(manager, remembering, voice, assistant, known, services)
    finally:
        await asyncio.wait_for(voice.session.aclose(), 10)
        await voice.aclose()
        remembering.close()
        await manager.aclose()
