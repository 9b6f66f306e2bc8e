"""The doctor finds what is wrong, names it, and the fix that it names is one.

Each case breaks a real project, sees it found, does what was said, and sees it gone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import psycopg
import pytest

from memory.operate.doctor import FUNCTIONS, Check, examine
from memory.operate.files import MIGRATIONS, migrations
from memory.operate.migrate import migrate
from memory.settings import MemorySettings
from tests.stack.fetch import needed
from tests.stack.postgres import Crowded, Kind, obtain, shared
from tests.stack.postgrest import PostgREST
from tests.stack.postgrest import obtain as obtain_postgrest
from tests.supabase.answering import PAGE, Answer, Hangs, Late, answer, answering
from tests.supabase.keys import JWT_SECRET, PUBLISHABLE_KEY, SECRET_KEY
from tests.supabase.project import Project, nowhere

EVERYTHING = ("SUPABASE_SECRET_KEY", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_JWT_SECRET")
ROOT = Path(__file__).parent.parent.parent


def settings(environment: dict[str, str]) -> MemorySettings:
    return MemorySettings.model_validate({name.lower(): value for name, value in environment.items()})


async def found(environment: dict[str, str]) -> dict[str, Check]:
    checks = await examine(settings(environment))
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def failed(checks: dict[str, Check]) -> dict[str, Check]:
    return {name: check for name, check in checks.items() if check.held is not True}


class Patient:
    """A project to break: its database as its owner, and its environment."""

    def __init__(self, kind: Kind | Crowded, folder: Path, *, migrated: bool) -> None:
        self.postgres = shared()
        self.dsn = self.postgres.fresh_database(kind, migrated=migrated)
        self.rest = PostgREST(self.postgres.as_authenticator(self.dsn), folder, needed(obtain_postgrest))
        self.schema: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SUPABASE_URL": self.rest.url,
            "SUPABASE_SECRET_KEY": self.rest.secret_key,
            "SUPABASE_PUBLISHABLE_KEY": self.rest.publishable_key,
            "SUPABASE_JWT_SECRET": self.rest.jwt_secret,
            "SUPABASE_ROLE": "voice_agent",
        } | self.schema

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as owner:
            owner.execute(statement.encode())
        # the event trigger tells PostgREST of some changes alone, and it hears of them a moment later
        self.rest.restart()

    def do(self, fix: str) -> None:
        """What a person would do who reads it."""
        if fix.startswith("psql "):
            files = re.findall(r"-f sql/(\S+)", fix)
            assert files
            self.execute(";\n".join((MIGRATIONS / name).read_text() for name in files))
        elif fix.endswith(' | psql "$DATABASE_URL" -1'):
            self.execute(self._told(fix.partition(" | ")[0]))
        elif fix.startswith("python -m memory "):
            self._told(fix)
            self.rest.restart()
        else:
            self.execute(fix)

    def _told(self, command: str) -> str:
        arguments = [self.dsn if word == '"$DATABASE_URL"' else word for word in command.split()[1:]]
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | self.schema,
        )
        return done.stdout


@contextmanager
def patient(kind: Kind | Crowded, folder: Path, *, migrated: bool) -> Iterator[Patient]:
    needed(obtain)
    one = Patient(kind, folder, migrated=migrated)
    with one.rest:
        yield one


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    with patient("supabase", tmp_path_factory.mktemp("sick"), migrated=True) as one:
        yield one


# -- in order


async def test_a_project_in_order_is_found_in_order(project: Project) -> None:
    checks = await found(project.environment(*EVERYTHING, role="voice_agent") | {"DATABASE_URL": project.dsn})
    assert failed(checks) == {}
    assert len(checks) == 14


async def test_it_leaves_nothing_behind(project: Project) -> None:
    await found(project.environment(*EVERYTHING))
    assert project.rows("select count(*) from public.profiles") == [(0,)]


async def test_what_is_expected_of_the_database_is_what_the_migrations_make(project: Project) -> None:
    store = project.store("SUPABASE_SECRET_KEY")
    assert (await store.describe())["functions"] == FUNCTIONS
    await store.aclose()


async def test_without_a_privileged_key_it_says_what_it_did_not_see(project: Project) -> None:
    checks = await found(project.environment("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SIGNING_JWK"))
    assert {name: check.held for name, check in failed(checks).items()} == {"database": None, "migrations": None}
    assert checks["tokens"].held is True
    assert checks["grants to a person"].held is True


async def test_the_embedded_store_is_looked_at_where_no_project_is_named(tmp_path: Path) -> None:
    checks = await found({"RAPPORT_HOME": str(tmp_path)})
    assert failed(checks) == {}
    (tmp_path / "file").touch()
    checks = await found({"RAPPORT_HOME": str(tmp_path / "file")})
    assert checks["store"].held is False
    assert "RAPPORT_HOME" in (checks["store"].fix or "")


# -- what can be repaired, and is, by what it says

SICKNESSES = {
    "a function is missing": ("drop function public.forget(uuid, text, text)", "functions"),
    "anon may call a function": ("grant execute on function public.list_memories(uuid) to anon", "anonymous grants"),
    "anon may read a table": ("grant select on public.memories to anon", "anonymous grants"),
    "anon may read a column": ("grant select (value) on public.memories to anon", "anonymous grants"),
    "row-level security is off": ("alter table public.memories disable row level security", "row-level security"),
    "an old foreign key": (
        "alter table public.profiles add constraint profiles_id_fkey foreign key (id) references auth.users not valid",
        "legacy foreign key",
    ),
    "the worker lost a grant": ("revoke execute on function public.purge(timestamptz) from service_role", None),
    "people lost a grant": ("revoke execute on function public.forget(uuid, text, text) from voice_agent", None),
    "people got the worker's": ("grant execute on function public.purge(timestamptz) to voice_agent", None),
    "a migration is not in the ledger": (
        "delete from rapport.migrations where version = (select max(version) from rapport.migrations)",
        "migrations",
    ),
}


@pytest.mark.stack
@pytest.mark.parametrize(("breaks", "name"), SICKNESSES.values(), ids=SICKNESSES)
async def test_what_is_wrong_is_found_and_what_it_says_to_do_repairs_it(
    sick: Patient, breaks: str, name: str | None
) -> None:
    assert failed(await found(sick.environment)) == {}
    sick.execute(breaks)
    wrong = failed(await found(sick.environment))
    assert wrong
    assert name is None or name in wrong
    while wrong:
        fix = next(iter(wrong.values())).fix
        assert fix
        sick.do(fix)
        now_wrong = failed(await found(sick.environment))
        assert len(now_wrong) < len(wrong)
        wrong = now_wrong


@pytest.mark.stack
@pytest.mark.parametrize("kind", ["supabase", "before_2026_10", "quickstart"])
async def test_a_project_without_migrations_is_told_to_migrate_and_is_in_order_then(kind: Kind, tmp_path: Path) -> None:
    with patient(kind, tmp_path, migrated=False) as one:
        checks = await found(one.environment | {"DATABASE_URL": one.dsn})
        assert checks["functions"].held is False
        assert all(file.path.name in checks["migrations"].told for file in migrations())
        fix = checks["functions"].fix
        assert fix
        one.do(fix)
        assert failed(await found(one.environment | {"DATABASE_URL": one.dsn})) == {}


@pytest.mark.stack
async def test_beside_an_app_it_says_so_and_what_it_says_to_do_repairs_it(tmp_path: Path) -> None:
    with patient("neighbours", tmp_path, migrated=False) as one:
        checks = await found(one.environment | {"DATABASE_URL": one.dsn})
        assert "table public.messages" in checks["migrations"].told
        assert "RAPPORT_SCHEMA" in (checks["migrations"].fix or "")

        one.schema = {"RAPPORT_SCHEMA": "rapport_voice"}
        assert "exposed schemas" in ((await found(one.environment))["exposed schema"].fix or "")
        one.rest.schemas = "public,rapport_voice"
        one.do((await found(one.environment | {"DATABASE_URL": one.dsn}))["migrations"].fix or "")
        assert failed(await found(one.environment | {"DATABASE_URL": one.dsn})) == {}

        one.execute(
            "drop function rapport_voice.forget(uuid, text, text);"
            "revoke execute on function rapport_voice.erase_user(uuid) from voice_agent;"
            "grant select on rapport_voice.memories to anon; grant usage on schema rapport_voice to anon;"
            "alter table rapport_voice.messages disable row level security"
        )
        while wrong := failed(await found(one.environment)):
            one.do(next(iter(wrong.values())).fix or "")
            assert len(failed(await found(one.environment))) < len(wrong)


@pytest.mark.stack
async def test_a_ledger_in_which_we_are_in_an_apps_way_is_found_and_released(tmp_path: Path) -> None:
    with patient("supabase", tmp_path, migrated=True) as one:
        migrate(one.dsn, ledger="supabase")  # as our earlier one did
        one.execute(
            "delete from rapport.migrations;"
            "insert into supabase_migrations.schema_migrations values ('20260101000000', '{select 1}', 'app');"
            "grant usage on schema supabase_migrations to service_role;"
            "grant select (version, name) on supabase_migrations.schema_migrations to service_role"
        )
        seen = await found(one.environment | {"DATABASE_URL": one.dsn})
        assert "stop at them" in seen["shared ledger"].told
        assert failed(await found(one.environment))["shared ledger"].held is None, "the API does not tell who wrote it"

        one.do(seen["shared ledger"].fix or "")

        assert failed(await found(one.environment)) == {}


@pytest.mark.stack
async def test_another_signature_is_found(tmp_path: Path) -> None:
    with patient("supabase", tmp_path, migrated=True) as one:
        one.execute(
            "drop function public.forget(uuid, text, text);"
            "create function public.forget(p_user_id uuid, p_key text) returns boolean language sql as 'select true'"
        )
        checks = await found(one.environment)
        assert checks["functions"].held is False
        assert "another signature than ours: forget" in checks["functions"].told


# -- settings, keys and the way there


@pytest.mark.parametrize(
    ("changes", "name", "told", "fix"),
    [
        ({"SUPABASE_SECRET_KEY": SECRET_KEY}, "key", "SUPABASE_SECRET_KEY", "Settings → API keys"),
        ({"SUPABASE_SECRET_KEY": PUBLISHABLE_KEY}, "settings", "environment", "is a publishable key"),
        ({"SUPABASE_URL": "https://x.supabase.co/rest/v1"}, "settings", "environment", "/rest/v1"),
        ({"SUPABASE_JWT_SECRET": JWT_SECRET}, "tokens", "SUPABASE_JWT_SECRET", "Settings → JWT keys"),
        ({"SUPABASE_ROLE": "anyone"}, "tokens", "", "SUPABASE_ROLE"),
        ({"SUPABASE_PUBLISHABLE_KEY": "nonsense"}, "anonymous call", "public key", "no Supabase API key"),
        ({"DATABASE_URL": "postgresql://nobody:locker-4711@127.0.0.1:1/x"}, "migrations", "", "DATABASE_URL"),
        ({"DATABASE_URL": "locker-4711"}, "migrations", "", "DATABASE_URL"),
    ],
    ids=str,
)
async def test_a_wrong_setting_is_named(
    project: Project, changes: dict[str, str], name: str, told: str, fix: str
) -> None:
    checks = await found(project.environment(*EVERYTHING) | changes)
    assert checks[name].held is False
    assert told in checks[name].told
    assert fix in (checks[name].fix or "")
    printed = str(checks)
    for secret in ("locker-4711", project.rest.secret_key[6:], project.rest.jwt_secret, SECRET_KEY[6:], JWT_SECRET):
        assert secret not in printed


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (answer(200, PAGE, "text/html"), "text/html came instead of JSON"),
        (answer(503, PAGE, "text/html"), "503"),
        (Late(2.0, answer(200, "[]")), "1.5 s at most"),
    ],
    ids=["a web page", "503", "slow"],
)
async def test_a_project_that_does_not_answer_in_time_is_not_reachable(given: Answer, told: str) -> None:
    async with answering(given) as server:
        checks = await found({"SUPABASE_URL": server.url, "SUPABASE_SECRET_KEY": SECRET_KEY})
    assert list(checks) == ["settings", "reachable"]
    assert checks["reachable"].held is False
    assert told in checks["reachable"].told


async def test_nobody_there_is_not_reachable() -> None:
    checks = await found({"SUPABASE_URL": nowhere(), "SUPABASE_SECRET_KEY": SECRET_KEY})
    assert checks["reachable"].held is False


@pytest.mark.parametrize(("date", "told"), [("2001-01-01", "ahead of"), ("2040-01-01", "behind")])
async def test_a_wrong_clock_is_found(date: str, told: str) -> None:
    then = format_datetime(datetime.fromisoformat(date).replace(tzinfo=UTC), usegmt=True)
    async with answering(answer(401, "", Date=then)) as server:
        checks = await found({"SUPABASE_URL": server.url, "SUPABASE_SECRET_KEY": SECRET_KEY})
    assert checks["clock"].held is False
    assert told in checks["clock"].told
    assert "NTP" in (checks["clock"].fix or "")
    assert checks["key"].held is False


@pytest.mark.thorough
async def test_a_black_hole_ends_after_some_seconds() -> None:
    async with answering(Hangs()) as server:
        checks = await found({"SUPABASE_URL": server.url, "SUPABASE_SECRET_KEY": SECRET_KEY})
    assert checks["reachable"].held is False
