"""The same conversations as with the embedded store, over Supabase: only the environment differs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.conftest import Talk
from tests.supabase.project import Project

ENVIRONMENTS = [
    pytest.param(("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET"), id="a token for each person"),
    pytest.param(("SUPABASE_SERVICE_ROLE_KEY",), id="service role key", marks=pytest.mark.soak),
    pytest.param(("SUPABASE_SECRET_KEY",), id="secret key", marks=pytest.mark.soak),
]


@pytest.fixture(params=ENVIRONMENTS)
def store(request: pytest.FixtureRequest, project: Project) -> dict[str, str]:
    return project.environment(*request.param)


@pytest.mark.thorough
async def test_what_alice_said_is_known_in_a_new_process_and_bob_hears_nothing_of_it(
    talk: Talk, project: Project, home: Path
) -> None:
    first = await talk("alice@example.com", "my favorite color is blue")
    again, stranger = await asyncio.gather(
        talk("alice@example.com", "what is my favorite color"), talk("bob@example.com", "what is my favorite color")
    )

    assert "I am Rapport" in first.greeting
    assert "I am Rapport" not in again.greeting
    assert "blue" in again.answers[0]
    assert "don't know" in stranger.answers[0]
    assert project.rows("select email, value from memories join profiles on id = user_id") == [
        ("alice@example.com", "my favorite color is blue")
    ]
    assert sorted(project.rows("select email from profiles")) == [("alice@example.com",), ("bob@example.com",)]
    assert not (home / "rapport.db").exists()


@pytest.mark.thorough
async def test_everything_is_forgotten_in_the_database_too(talk: Talk, project: Project) -> None:
    await asyncio.gather(
        talk("bob@example.com", "my favorite color is red"),
        talk("alice@example.com", "my cat is called Tilda", "forget everything", "yes"),
    )
    assert project.rows("select email from profiles") == [("bob@example.com",)]
    assert project.rows("select value from memories") == [("my favorite color is red",)]
    assert "Tilda" not in str(project.rows("select * from messages"))
