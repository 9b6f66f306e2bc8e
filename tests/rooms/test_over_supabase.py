"""Two people in real rooms, remembered in a real Supabase project: only the worker's environment differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms.person import Person, together
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked, Models
from tests.stack.worker import HASTY_UNHEARD, Worker
from tests.supabase.project import Project
from tests.supabase.project import project as running_project

UNKNOWN = "I don't know your favorite color yet."

Fresh = Callable[[str], str]


@pytest.fixture
def project() -> Project:
    project = running_project()
    project.empty()
    return project


async def test_two_people_in_real_rooms_are_remembered_apart_by_the_database_itself(
    livekit_server: LiveKitServer,
    models: Models,
    asked: Asked,
    project: Project,
    fresh: Fresh,
    speech: Path,
    tmp_path: Path,
) -> None:
    environment = {
        "EMBEDDINGS": "local",  # as it is shipped
        **project.environment("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET", role="voice_agent"),
        **HASTY_UNHEARD,
        "LIVEKIT_AGENT_NAME": "over supabase",  # or the worker of the other tests would take some of the rooms
    }
    with Worker(
        livekit_server, models.base_url, tmp_path / "home", tmp_path / "worker.log", environment=environment
    ) as worker:
        alice = Person(livekit_server, fresh("alice"), fresh("kitchen"), agent=worker.name)
        bob = Person(livekit_server, fresh("bob"), fresh("garage"), agent=worker.name)
        async with together(alice, bob):
            await asyncio.gather(alice.answer(), bob.answer())
            await alice.say(speech / "blue.rms.wav")
            await asyncio.gather(alice.answer(), _told(bob, "my cat is called Tilda"))
        alice = Person(livekit_server, alice.identity, fresh("office"), agent=worker.name)
        bob = Person(livekit_server, bob.identity, fresh("attic"), agent=worker.name)
        async with together(alice, bob):
            await asyncio.gather(alice.answer(), bob.answer())
            await asyncio.gather(alice.say(speech / "ask_color.rms.wav"), bob.type("what is my favorite color"))
            alices, bobs = await asyncio.gather(alice.answer(), bob.answer())
        assert worker.complaints == []

    assert "blue" in alices.text
    assert bobs.text == UNKNOWN
    assert sorted(project.rows("select email, value from memories join profiles on id = user_id")) == [
        (alice.identity, "my favorite color is blue"),
        (bob.identity, "my cat is called Tilda"),
    ]
    assert not [each for each in asked.conversations if "blue" in each and "Tilda" in each]
    assert worker.profiles() == []  # nothing was kept anywhere else


async def _told(person: Person, words: str) -> None:
    await person.type(words)
    await person.answer()
