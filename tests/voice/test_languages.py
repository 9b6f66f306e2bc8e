"""With the real plugins: what is recorded, and what a realtime model is told, is in the language of who calls."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from livekit.agents import AgentServer

import agent
from call.assistant.prompts import SPEAK
from call.services import Services, Settings
from memory.manager import MemoryManager
from memory.stores.sqlite import SqliteStore
from offline.api.server import OfflineServer
from tests.room.edge import EdgeRoom, edge
from tests.room.worker import until, working
from tests.voice.realtime_server import RealtimeServer
from voice.phrases import PHRASES
from voice.settings import VoiceSettings

ALICE = "alice@example.com"


def shipped(voice: VoiceSettings, home: Path) -> AgentServer:
    manager = MemoryManager(lambda: SqliteStore(home / "rapport.db"), deadline=1.5)
    services = Services(Settings(voice=voice), manager)
    return agent.make_server(services, partial(agent.prewarm, services=services))


def heard(room: EdgeRoom) -> str:
    return " ".join(room.texts("lk.transcription"))


def spoken(models: OfflineServer) -> list[str]:
    return [str(record.body.get("input")).strip() for record in models.asked("speech")]


async def test_a_failure_is_announced_in_the_language_they_have_turned_to(tmp_path: Path) -> None:
    async with OfflineServer() as models:
        voice = VoiceSettings(openai_base_url=models.base_url, tts_speed=4.0)
        with edge() as server:
            room = server.room("german apology")
            async with working(shipped(voice, tmp_path)) as worker:
                room.join(ALICE)
                await worker.job(room.name)
                await until(lambda: "I am Rapport" in heard(room), "the greeting", patience=20)
                room.text(ALICE, "Ich heiße Anna und wohne mit meinem Hund in Bremen.")
                await until(lambda: PHRASES["de"].hold_on.strip() in spoken(models), "the clips", patience=20)
                await until(lambda: room.agent_state == "listening", "the agent to listen")
                models.fail("chat", "error", times=2)
                room.text(ALICE, "Wie heiße ich denn?")
                await until(lambda: PHRASES["de"].apology in heard(room), "the apology", patience=20)
                room.close()
                await worker.idle()


async def test_a_realtime_model_is_told_which_language_to_speak_and_of_a_change(tmp_path: Path) -> None:
    async with RealtimeServer() as model:
        voice = VoiceSettings(voice_mode="realtime", realtime_base_url=model.base_url)
        with edge() as server:
            room = server.room("realtime")
            async with working(shipped(voice, tmp_path)) as worker:
                room.join(ALICE, attributes={"language": "es"})
                await worker.job(room.name)
                await until(lambda: SPEAK.format("Spanish") in model.instructions, "the instructions", patience=20)
                room.text(ALICE, "Ich heiße Anna und wohne mit meinem Hund in Bremen.")
                await until(lambda: SPEAK.format("German") in model.instructions, "the change", patience=20)
                room.close()
                await worker.idle()
