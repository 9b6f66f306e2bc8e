"""The shipped worker's surroundings in one test: its rooms, its model's mind, and what it stored."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from functools import partial
from pathlib import Path
from typing import Any, cast

from livekit.agents import AgentServer, get_job_context

import agent
import metrics
from call.services import Services, Settings
from identity import livekit_identity_to_uuid
from memory.manager import MemoryManager
from memory.stores.sqlite import SqliteStore
from tests.room.edge import EdgeRoom
from tests.room.models import Call, Request, ScriptedLLM, ScriptedSession, ScriptedSTT, spoken
from tests.room.worker import Worker, until
from voice.phrases import Phrases
from voice.session import Prepared
from voice.settings import VoiceSettings


class Product:
    """The shipped worker's surroundings in one test."""

    def __init__(self, home: Path) -> None:
        self.file = home / "rapport.db"
        self.mind: Callable[[Request], str | Call] = lambda request: f"You said {request.words}"
        self.language_of: Callable[[str], str] = lambda words: "en"
        """What the recogniser takes words for."""
        self.curator: Callable[[list[dict[str, str]]], str] | None = None
        """What a model answers that is asked beside the conversation, to these messages."""
        self.models: dict[str, ScriptedLLM] = {}
        self.sessions: dict[str, ScriptedSession] = {}
        self.apologies: dict[str, SilentApology] = {}
        self.contexts: dict[str, Context] = {}
        self.loops: dict[str, asyncio.AbstractEventLoop] = {}
        manager = MemoryManager(lambda: SqliteStore(self.file), deadline=1.5, measure=metrics.measure_store)
        self.services = Services(Settings(voice=VoiceSettings(openai_api_key="not asked")), manager)
        """What the worker is made of; changed before it works."""

    def set(self, **settings: Any) -> None:
        """Change the worker's settings, by the name of their group."""
        self.services = dataclasses.replace(
            self.services, settings=dataclasses.replace(self.services.settings, **settings)
        )

    def remember_with(self, manager: MemoryManager) -> None:
        self.services = dataclasses.replace(self.services, memory=manager)

    @property
    def server(self) -> AgentServer:
        """The shipped worker, made of these parts."""
        return agent.make_server(self.services, partial(agent.prewarm, services=self.services))

    def requests(self, room: EdgeRoom) -> list[Request]:
        """What the model was asked in that room's session."""
        return self.models[room.name].requests if room.name in self.models else []

    def turns(self, room: EdgeRoom) -> list[str]:
        return [request.words for request in self.requests(room)]

    def profiles(self) -> list[str]:
        return self._column("select id from profiles")

    def memories(self, identity: str) -> list[str]:
        user = str(livekit_identity_to_uuid(identity))
        return self._column("select value from memories where user_id = ? order by said_at", user)

    def named(self, identity: str) -> dict[str, str]:
        """The same by their keys."""
        query = "select key || '\n' || value from memories where user_id = ? order by said_at"
        rows = self._column(query, str(livekit_identity_to_uuid(identity)))
        return {key: value for key, _, value in (row.partition("\n") for row in rows)}

    def transcript(self, identity: str) -> list[tuple[str, str]]:
        """What was said in all conversations of this person: role and words, in order."""
        query = "select role || '\n' || text from messages where user_id = ? order by said_at, seq"
        turns = self._column(query, str(livekit_identity_to_uuid(identity)))
        return [(role, text) for role, _, text in (turn.partition("\n") for turn in turns)]

    def endings(self, identity: str) -> list[str]:
        """Why each session of this person ended, oldest first; "" for one that lives."""
        query = "select coalesce(end_reason, '') from sessions where user_id = ? order by started_at"
        return self._column(query, str(livekit_identity_to_uuid(identity)))

    def everything_stored(self) -> list[str]:
        return self._column("select value from memories")

    def _column(self, query: str, *parameters: str) -> list[str]:
        if not self.file.exists():
            return []
        with sqlite3.connect(self.file) as db:
            try:
                return [row[0] for row in db.execute(query, parameters)]
            except sqlite3.OperationalError:  # nobody has written a table yet
                return []

    async def greeted(self, room: EdgeRoom) -> None:
        await until(lambda: self.requests(room), "the greeting")
        await self.answered(room)

    async def all_greeted(self, worker: Worker, room: EdgeRoom, first: str, *others: str) -> None:
        """A job in this room with several people, each of whom comes when those before were greeted."""
        room.join(first)
        await worker.job(room.name)
        await until(lambda: self.transcript(first), f"{first}'s greeting")
        for person in others:
            room.join(person)
            await until(lambda: self.transcript(person), f"{person}'s greeting")  # noqa: B023

    async def answered(self, room: EdgeRoom) -> None:
        await until(lambda: self.sessions[room.name].quiet, "the agent to have finished")

    async def call(self, worker: Worker, room: EdgeRoom, person: str, *words: str) -> None:
        """A job in this room with this person, who types this and leaves."""
        room.join(person)
        await worker.job(room.name)
        await self.greeted(room)
        for each in words:
            await self.chat(room, person, each)
        room.close()

    async def chat(self, room: EdgeRoom, person: str, words: str) -> None:
        """A chat message, and the agent's reply to it."""
        room.text(person, words)
        await until(lambda: words in self.turns(room), f"{words!r} to reach the model")
        await self.answered(room)

    async def say(self, room: EdgeRoom, person: str, words: str) -> None:
        """The same, aloud."""
        room.speak(person, spoken(words))
        await until(lambda: words in self.turns(room), f"{words!r} to reach the model")
        await self.answered(room)


class SilentApology:
    def __init__(self) -> None:
        self.recorded: list[Phrases] = []

    def say(self) -> None:
        pass

    def speak(self, words: Any, mouth: Callable[[Any], Any]) -> Any:
        return mouth(words)

    async def record(self, phrases: Phrases) -> None:
        self.recorded.append(phrases)


def shipped(tmp_path: Path) -> Iterator[Product]:
    it = Product(tmp_path)

    class ScriptedVoice:
        def __init__(self, settings: VoiceSettings, prepared: object) -> None:
            room = get_job_context().job.room.name
            model = it.models[room] = ScriptedLLM(it.mind)
            self.session = it.sessions[room] = ScriptedSession(model, ScriptedSTT(it.language_of))
            self.apology = it.apologies[room] = SilentApology()
            it.contexts[room], it.loops[room] = copy_context(), asyncio.get_running_loop()

        async def ask(self, messages: list[dict[str, str]], *_: object) -> str:
            return it.curator(messages) if it.curator else ""

        async def given_up(self) -> None:
            await asyncio.Event().wait()

        async def aclose(self) -> None:
            pass

    it.services = dataclasses.replace(it.services, prepare=_prepared, open_voice=cast("Any", ScriptedVoice))
    yield it
    it.contexts.clear()
    it.sessions.clear()  # they hold their rooms, and a failed test's traceback holds us


def _prepared() -> Prepared:
    return cast("Prepared", "prepared")
