"""Supabase's own command line, as a DBA uses it: on our files, and on an app's beside ours."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from memory.operate.files import MIGRATIONS, Schemas, migrations
from memory.operate.migrate import export, migrate, pending, release_ledger
from tests.sql.asking import Database, memory
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


def command_line(folder: Path) -> Supabase:
    """Run it on a database, in the project of that folder, into which it writes."""
    executable = needed(obtain)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_") and name != "CI"
    } | {"SUPABASE_TELEMETRY_DISABLED": "1", "HOME": str(folder), "DO_NOT_TRACK": "1"}

    def run(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ["--remote", f"{database.dsn}?sslmode=disable", "--workdir", str(folder), "--yes"]
        command = [str(executable), *arguments, *where]
        return subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )

    return run


@pytest.fixture
def supabase(tmp_path: Path) -> Supabase:
    """In a project whose migrations are ours."""
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "migrations").symlink_to(MIGRATIONS.parent / "supabase" / "migrations")
    return command_line(tmp_path)


class App:
    """Another repository whose people use the same database, and the Supabase CLI."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.migrations = folder / "supabase" / "migrations"
        self.migrations.mkdir(parents=True)
        self.database = database
        self._run = command_line(folder)

    def writes(self, version: str, name: str) -> None:
        (self.migrations / f"{version}_{name}.sql").write_text(
            f"create table public.{name} (id int);\ninsert into public.{name} values (1);"
        )

    def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run(self.database, *arguments)

    def does(self, *arguments: str) -> str:
        done = self.runs(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def goes_on(self) -> None:
        """Each way to apply what comes next."""
        for version, name, how in (("2027", "next", ("migration", "up")), ("2028", "last", ("db", "push"))):
            self.writes(f"{version}0101000000", name)
            assert f"{name}.sql" in self.does(*how)
            with self.database.owner() as owner:
                assert owner.rows(f"select id from public.{name}") == [(1,)]


@pytest.fixture
def app(postgres: Postgres, tmp_path: Path) -> Iterator[App]:
    """It has applied its first migration already."""
    dsn = postgres.fresh_database(migrated=False)
    app = App(tmp_path, Database(postgres, dsn))
    app.writes("20260101000000", "orders")
    app.does("migration", "up")
    yield app
    postgres.drop_database(dsn)


def somebody_lives_in(database: Database) -> Callable[[], bool]:
    """Somebody with a memory; whether it is there."""
    user = uuid4()
    with database.asking("service_role") as worker:
        worker.call("ensure_profile", user)
        worker.call("remember", user, [memory()])

    def still() -> bool:
        with database.asking("service_role") as worker:
            return [one["value"] for one in worker.call("list_memories", user)] == ["blue"]

    return still


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
    assert pending(database.dsn) == [], "its ledger is read"


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


# -- in somebody else's repository


def test_an_app_goes_on_after_ours(app: App) -> None:
    assert migrate(app.database.dsn) == ALL
    still = somebody_lives_in(app.database)

    app.goes_on()

    assert still()
    assert pending(app.database.dsn) == migrate(app.database.dsn) == []


def test_a_project_that_our_earlier_migrate_stopped_is_released(app: App) -> None:
    with app.database.owner() as owner:
        migrate(app.database.dsn, ledger="supabase")
        owner.changed("drop table rapport.migrations")  # it had none
    still = somebody_lives_in(app.database)
    app.writes("20260601000000", "invoices")
    assert "not found in local migrations directory" in app.runs("migration", "up").stderr

    assert release_ledger(app.database.dsn) == ALL

    app.goes_on()
    assert still()
    assert pending(app.database.dsn) == migrate(app.database.dsn) == []


@pytest.mark.thorough
@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_an_app_that_takes_our_files_in_applies_them_itself(app: App, first: str) -> None:
    if first == "ours":
        assert migrate(app.database.dsn) == ALL
        somebody_lives_in(app.database)

    assert export(app.migrations) == ALL
    app.does("migration", "up")

    app.goes_on()
    verify(app.database)
    assert pending(app.database.dsn) == migrate(app.database.dsn) == []


@pytest.mark.thorough
def test_an_app_that_takes_our_files_in_and_lets_us_apply_them(app: App) -> None:
    app.writes("20261231000000", "newer")
    app.does("db", "push")
    export(app.migrations)
    assert "--include-all" in app.runs("db", "push").stderr, "theirs is newer than ours"

    assert migrate(app.database.dsn, ledger="supabase") == ALL

    app.goes_on()
    assert pending(app.database.dsn) == []


@pytest.mark.thorough
def test_an_app_takes_them_in_for_a_schema_of_ones_own(app: App) -> None:
    schemas = Schemas("rapport_voice")
    export(app.migrations, schemas=schemas)
    app.does("db", "push")

    app.goes_on()
    assert pending(app.database.dsn, schemas=schemas) == migrate(app.database.dsn, schemas=schemas) == []
    verify(Database(app.database.postgres, app.database.dsn, schemas))


@pytest.mark.thorough
@pytest.mark.parametrize("exported", [False, True])
def test_a_branch_that_is_reset_has_theirs_again_and_then_ours(app: App, exported: bool) -> None:
    migrate(app.database.dsn, ledger="supabase" if exported else "rapport")
    if exported:
        export(app.migrations)
    somebody_lives_in(app.database)

    app.does("db", "reset")

    assert pending(app.database.dsn) == ([] if exported else ALL)
    migrate(app.database.dsn)
    verify(app.database)
    assert somebody_lives_in(app.database)()
    app.goes_on()
