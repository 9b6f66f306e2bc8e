"""What an operator may have written, and what is said about it; never a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.__main__ import main, open_store
from apps.doctor import examine
from apps.settings import ServiceSettings, SettingsWrong, SharedSettings, read_settings, sealing_keys
from apps.stores.supabase import SupabaseStore
from tests.apps.service.app_server import app_server

SHORT = "shh"
TASKS: dict[str, Any] = {"url": "https://tasks.example/mcp", "reads": ["list_tasks"]}


@pytest.fixture(autouse=True)
def nothing_else_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for cls in (ServiceSettings, SharedSettings):
        for name in cls.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("apps", "told"),
    [
        ({"tasks": {"reads": ["a"]}}, "either `url`, of its MCP server, or `toolkit`"),
        ({"tasks": TASKS | {"toolkit": "asana"}}, "either `url`"),
        ({"tasks": {"url": "https://tasks.example/mcp"}}, "allow some tools"),
        ({"tasks": TASKS | {"url": "http://tasks.example/mcp"}}, "https"),
        ({"tasks": TASKS | {"writes": ["list_tasks"]}}, "in `reads` and in `writes`"),
        ({"tasks": TASKS | {"own_token": SHORT}}, "32 characters"),
        ({"tasks": TASKS | {"own_token": "s" * 32, "client": {"client_id": "x"}}}, "knows no `client`"),
        ({"tasks": TASKS | {"adress": "x"}}, "tasks.adress"),
        ({"the tasks": TASKS}, "no name of an app"),
        ({"asana": {"toolkit": "asana", "reads": ["A"]}}, "set COMPOSIO_API_KEY"),
        ("{tasks}", "no JSON"),
        ("/no/such/file.json", "cannot be read"),
    ],
)
def test_a_list_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, apps: object, told: str) -> None:
    monkeypatch.setenv("APPS", apps if isinstance(apps, str) else json.dumps(apps))
    with pytest.raises(SettingsWrong) as wrong:
        read_settings()
    assert told in str(wrong.value)
    assert SHORT not in str(wrong.value)


@pytest.mark.parametrize("url", ["http://apps.example", "https://apps.example/rapport", "apps.example"])
def test_a_public_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("APPS_PUBLIC_URL", url)
    with pytest.raises(SettingsWrong, match="APPS_PUBLIC_URL"):
        read_settings()


def test_the_list_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apps.json").write_text(json.dumps({"tasks": TASKS}))
    monkeypatch.setenv("APPS", str(tmp_path / "apps.json"))
    assert [*read_settings()[0].listed] == ["tasks"]


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "APPS lists no app"),
        ({"APPS": json.dumps({"tasks": TASKS})}, "APPS_SECRET must have 32 characters"),
        ({"APPS": json.dumps({"tasks": TASKS}), "APPS_SECRET": "s" * 31}, "APPS_SECRET must have 32 characters"),
        ({"APPS": json.dumps({"tasks": TASKS}), "APPS_SECRET": "s" * 32, "APPS_KEYS": "x"}, "APPS_KEYS"),
        (
            {"APPS": json.dumps({"tasks": TASKS}), "APPS_SECRET": "s" * 32, "SUPABASE_URL": "https://x.example"},
            "APPS_KEYS is not set",
        ),
    ],
)
def test_the_service_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], environment: dict[str, str], told: str
) -> None:
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["serve"]) == 2
    assert told in capsys.readouterr().err


def test_the_key_of_the_project_may_be_in_a_file_and_everything_of_ours_in_a_schema_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    monkeypatch.setenv("SUPABASE_URL", "https://x.example")
    monkeypatch.setenv("SUPABASE_SECRET_KEY_FILE", str(file))
    monkeypatch.setenv("RAPPORT_SCHEMA", "rapport_voice")
    with pytest.raises(SettingsWrong, match="SUPABASE_SECRET_KEY_FILE cannot be read"):
        open_store(read_settings()[1])
    file.write_text("sb_secret_1\n")
    store = open_store(read_settings()[1])
    assert isinstance(store, SupabaseStore)
    assert store._headers == {  # pyright: ignore[reportPrivateUsage] - what the project is asked with
        "apikey": "sb_secret_1",
        "authorization": "Bearer sb_secret_1",
        "accept-profile": "rapport_voice",
        "content-profile": "rapport_voice",
    }


def test_a_key_of_its_own_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    settings, shared = read_settings()
    key = sealing_keys(settings, shared)
    assert sealing_keys(settings, shared) == key
    assert (tmp_path / "apps.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["apps.key"]


async def test_doctor_asks_each_app_how_it_lets_people_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with app_server() as app, app_server(registers=False) as by_hand:
        one, other = {"url": app.url, "reads": ["a"]}, {"url": by_hand.url, "reads": ["a"]}
        known = other | {"client": {"client_id": "x", "client_secret": SHORT}}
        gone = {"url": "http://127.0.0.1:1/mcp", "reads": ["a"]}
        monkeypatch.setenv("APPS", json.dumps({"one": one, "other": other, "known": known, "gone": gone}))
        monkeypatch.setenv("APPS_SECRET", "s" * 32)
        monkeypatch.setenv("APPS_PUBLIC_URL", "https://apps.example")
        checks = {check.name: check for check in await examine(*read_settings(), open_store)}
    held = {name: check.held for name, check in checks.items()}
    assert held == {"keys": True, "store": True, "one": True, "other": False, "known": True, "gone": False}
    assert "registers us by itself" in checks["one"].told
    assert SHORT not in str(checks)
