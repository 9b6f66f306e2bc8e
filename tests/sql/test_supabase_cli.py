"""Supabase's own command line, as a DBA uses it: on our files, through `supabase/migrations`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memory.operate.migrate import MIGRATIONS, migrate, migrations, pending
from tests.sql.asking import Database
from tests.sql.test_migrations import ALL, roll_back, shape, verify
from tests.stack.fetch import HERE, into_cache, locked, needed, npm
from tests.stack.livekit_server import Unavailable
from tests.stack.postgres import Kind, Postgres

LOCK = HERE / "npm" / "supabase"

Supabase = Callable[..., subprocess.CompletedProcess[str]]


def obtain() -> Path:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("the lock file has the Supabase CLI for Linux on x86-64 alone")
    folder = into_cache(locked(LOCK), lambda folder: npm(LOCK, folder))
    return folder / "node_modules" / "@supabase" / "cli-linux-x64" / "bin" / "supabase"


@pytest.fixture
def supabase(tmp_path: Path) -> Supabase:
    """Run it on a database, in a project whose migrations are ours. (It writes into the project's folder.)"""
    executable = needed(obtain)
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "migrations").symlink_to(MIGRATIONS.parent / "supabase" / "migrations")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_") and name != "CI"
    } | {"SUPABASE_TELEMETRY_DISABLED": "1", "HOME": str(tmp_path), "DO_NOT_TRACK": "1"}

    def run(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ["--remote", f"{database.dsn}?sslmode=disable", "--workdir", str(tmp_path), "--yes"]
        command = [str(executable), *arguments, *where]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.mark.parametrize(
    "kind", [*(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("supabase", "before_2026_10")), "quickstart"]
)
def test_migration_up_makes_what_ours_makes(postgres: Postgres, supabase: Supabase, kind: Kind) -> None:
    database, ours = (Database(postgres, postgres.fresh_database(kind, migrated=yes)) for yes in (False, True))

    for _ in range(2):
        done = supabase(database, "migration", "up")
        assert done.returncode == 0, done.stdout + done.stderr

    assert shape(database) == shape(ours)
    verify(database)
    assert pending(database.dsn) == [], "they share the ledger"


def test_either_goes_on_where_the_other_stopped(postgres: Postgres, supabase: Supabase, tmp_path: Path) -> None:
    database = Database(postgres, postgres.fresh_database(migrated=False))
    for file in migrations()[:3]:
        (tmp_path / file.path.name).write_bytes(file.path.read_bytes())
    assert migrate(database.dsn, tmp_path) == ALL[:3]

    assert supabase(database, "migration", "up").returncode == 0

    assert pending(database.dsn) == []
    verify(database)


def test_rolled_back_and_up_again(postgres: Postgres, supabase: Supabase) -> None:
    database = Database(postgres, postgres.fresh_database())
    before = shape(database)
    for file in reversed(migrations()):
        roll_back(database, file)

    done = supabase(database, "migration", "up")

    assert done.returncode == 0, done.stdout + done.stderr
    assert shape(database) == before


def test_its_advisors_find_nothing(database: Database, supabase: Supabase) -> None:
    done = supabase(database, "db", "advisors", "--type", "all", "--level", "warn", "--fail-on", "warn")

    assert done.returncode == 0, done.stdout + done.stderr


def test_its_advisors_would_find_something(database: Database, supabase: Supabase) -> None:
    with database.owner() as owner:
        owner.changed("alter table public.memories disable row level security")

    done = supabase(database, "db", "advisors", "--type", "all", "--level", "warn", "--fail-on", "warn")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "memories" in done.stdout
