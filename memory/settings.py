"""Where memories are kept, from the environment."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from memory.sqlite import SqliteStore
from memory.store import Store


class MemorySettings(BaseSettings):
    """`rapport_home` holds the embedded store; `memory_deadline` is how long, in seconds, anybody waits for a store."""

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True
    )

    rapport_home: Path = Field(default_factory=lambda: user_data_path("rapport"))
    memory_deadline: float = Field(default=1.5, gt=0, le=30)


def open_store(settings: MemorySettings) -> Store:
    """The store that the settings name. Opens nothing yet."""
    return SqliteStore(settings.rapport_home.expanduser() / "rapport.db")
