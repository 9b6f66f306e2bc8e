"""What has to do with Supabase. What needs a project has a real one, and is skipped where it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.memory.conftest import nobody_bound  # noqa: F401 - a fixture
from tests.room.conftest import no_loop_monitor, product, room, server  # noqa: F401 - for calls of the shipped worker
from tests.supabase.project import Project
from tests.supabase.project import project as running_project


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stack: on a real Postgres and PostgREST, fetched once; skipped without them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "project" in getattr(item, "fixturenames", ()):
            item.add_marker("stack")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own environment says nothing here."""
    from memory.settings import MemorySettings

    for name in MemorySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def project() -> Iterator[Project]:
    """A Supabase project in which nobody is known yet."""
    here = running_project()
    here.empty()
    yield here
