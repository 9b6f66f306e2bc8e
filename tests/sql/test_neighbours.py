"""In a database where others are at home: what of theirs is in the way is named, and nothing of theirs is touched."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest

from memory.operate.files import MIGRATIONS, Schemas, migrations
from memory.operate.migrate import InTheWay, checked, ledgers, migrate, pending
from tests.sql.asking import Database, memory
from tests.sql.test_migrations import ALL, shape
from tests.stack.postgres import Crowded, Kind, Postgres

VOICE = Schemas("rapport_voice")
NEW = "00000000-0000-4000-8000-00000000000f"

Make = Callable[..., Database]


@pytest.fixture
def make(postgres: Postgres) -> Iterator[Make]:
    made: list[str] = []

    def one(kind: Kind | Crowded = "supabase", schemas: Schemas | None = None) -> Database:
        made.append(postgres.fresh_database(kind, migrated=False))
        return Database(postgres, made[-1], schemas or Schemas())

    yield one
    for dsn in made:
        postgres.drop_database(dsn)


def dump(database: Database, *options: str) -> str:
    """All that `pg_dump` says of it."""
    beside = database.postgres.binaries / "pg_dump"
    program = str(beside) if beside.exists() else shutil.which("pg_dump") or pytest.skip("no pg_dump here")
    command = [program, database.postgres.as_superuser(database.dsn), *options]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    # newer ones guard each dump with a word of its own
    return "\n".join(line for line in said.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def test_an_app_with_tables_of_our_names_is_told_them_and_stays_as_it_is(make: Make) -> None:
    database = make("neighbours")
    before = dump(database)

    for ask in (checked, migrate):
        with pytest.raises(InTheWay) as told:
            ask(database.dsn)
        for name in (
            *("table public.messages", "table public.sessions", "table public.conversations", "table public.memories"),
            *("table public.profiles (filled by the trigger on_auth_user_created of auth.users", "public.forget("),
            *("policy memories_own on public.memories", "RAPPORT_SCHEMA="),
        ):
            assert name in str(told.value)

    assert dump(database) == before


def test_it_works_beside_it_in_a_schema_of_its_own(make: Make) -> None:
    database = make("neighbours", VOICE)
    theirs = "--exclude-schema=rapport_voice*"
    before = dump(database, theirs)

    assert checked(database.dsn, schemas=VOICE) == ALL
    assert migrate(database.dsn, schemas=VOICE) == ALL

    assert dump(database, theirs) == before
    assert pending(database.dsn, schemas=VOICE) == []
    with database.owner() as owner:
        owner.execute((MIGRATIONS / "verify" / "schema.sql").read_text())
    with database.asking("service_role") as worker:
        worker.start(worker.call("ensure_profile", NEW)["id"])
        worker.call("remember", NEW, [memory()])
    with database.asking("voice_agent", NEW) as person:
        assert [one["value"] for one in person.call("list_memories", NEW)] == ["blue"]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            person.connection.execute("select from public.memories")
    with database.superuser() as app:
        app.connection.execute("insert into auth.users (id, email) values (gen_random_uuid(), 'new@example.com')")
        assert app.connection.execute("select count(*) from public.profiles").fetchall() == [(4,)]


def test_a_schema_of_ones_own_has_what_public_has(make: Make) -> None:
    ours, own = make(), make(schemas=VOICE)
    migrate(ours.dsn)
    migrate(own.dsn, schemas=VOICE)

    def unqualified(rows: Sequence[object], schemas: Schemas) -> list[str]:
        named = (str(row).replace(schemas.hidden, "HIDDEN").replace(schemas.exposed, "EXPOSED") for row in rows)
        return sorted(row.replace("EXPOSED.", "") for row in named)  # `public` is on the search path

    there, here = ({name: unqualified(rows, one.schemas) for name, rows in shape(one).items()} for one in (ours, own))
    assert here == there


def test_and_goes_back_and_forth(make: Make) -> None:
    database = make("neighbours", VOICE)
    migrate(database.dsn, schemas=VOICE)
    before = shape(database)

    for file in reversed(migrations()):
        with database.owner() as owner, owner.connection.transaction():
            owner.execute((MIGRATIONS / "rollback" / file.path.name).read_text())

    assert pending(database.dsn, schemas=VOICE) == ALL
    assert migrate(database.dsn, schemas=VOICE) == ALL
    assert shape(database) == before


IN_THE_WAY = {
    "table public.leases": "create table public.leases (id int)",
    "view public.memories": "create view public.memories as select 1 as id",
    "sequence public.sessions": "create sequence public.sessions",
    "index public.messages_age": "create table public.letters (age int);"
    "create index messages_age on public.letters (age)",
    "function public.purge(days integer)": "create function public.purge(days int) returns void"
    " language sql as 'select'",
    "function public.erase_user(p_user_id uuid)": "create function public.erase_user(p_user_id uuid) returns jsonb"
    " language sql as $$ select '{}'::jsonb $$",
    "type public.sessions": "create type public.sessions as enum ('morning', 'evening')",
    "type public.messages": "create domain public.messages as text",
    "table rapport.reports": "create schema rapport; create table rapport.reports (id int)",
    "function rapport.report()": "create schema rapport; create function rapport.report() returns int"
    " language sql as 'select 1'",
    "policy profiles_own on public.profiles": "create table public.profiles (id uuid primary key);"
    "create policy profiles_own on public.profiles for select using (true)",
    "table public.profiles (posts refers to it": "create table public.profiles (id uuid primary key);"
    "create table posts (author uuid references public.profiles)",
}


@pytest.mark.parametrize(("name", "theirs"), IN_THE_WAY.items(), ids=IN_THE_WAY)
def test_it_is_named(make: Make, name: str, theirs: str) -> None:
    database = make()
    with database.owner() as owner:
        owner.connection.execute(theirs.encode())

    with pytest.raises(InTheWay) as told:
        migrate(database.dsn)

    assert f": {name}" in str(told.value)
    assert pending(database.dsn) == ALL


@pytest.mark.parametrize("may", ["login", pytest.param("bypassrls", marks=pytest.mark.thorough)])
def test_a_role_of_our_name_that_may_do_more_is_named(may: str) -> None:
    """On a server of its own: roles are of all its databases."""
    with Postgres() as server:
        database = Database(server, server.fresh_database(migrated=False))
        with database.superuser() as superuser:
            superuser.connection.execute(f"create role voice_agent {may}".encode())
        with pytest.raises(InTheWay, match=r"role voice_agent \(it"):
            migrate(database.dsn)


def test_a_trigger_of_a_later_files_name_is_named_before_that_file_is_applied(make: Make) -> None:
    database = make()
    migrate(database.dsn)
    with database.owner() as owner:
        owner.connection.execute((MIGRATIONS / "rollback" / "20261129110000_curation.sql").read_bytes())
        owner.connection.execute(
            b"create function public.ours() returns trigger language plpgsql as 'begin return new; end';"
            b"create trigger memory_uncurated before update on public.memories execute function public.ours();"
        )

    with pytest.raises(InTheWay, match=r"not ours: trigger memory_uncurated on public\.memories"):
        migrate(database.dsn)


def test_an_apps_own_profiles_are_upgraded_where_that_is_wanted(make: Make) -> None:
    database = make("quickstart")
    with database.owner() as owner:
        owner.connection.execute(
            b"create function public.handle_new_user() returns trigger language plpgsql security definer as"
            b" $$ begin insert into public.profiles (id) values (new.id); return new; end $$;"
            b"create trigger on_auth_user_created after insert on auth.users"
            b" for each row execute function public.handle_new_user()"
        )
    with pytest.raises(InTheWay, match=r"on_auth_user_created of auth\.users; --adopt-profiles"):
        migrate(database.dsn)

    assert migrate(database.dsn, adopt_profiles=True) == ALL

    assert migrate(database.dsn) == [], "it is ours from then on"
    with database.superuser() as superuser:
        superuser.changed("insert into auth.users (id) values (gen_random_uuid())")
        assert superuser.rows("select count(*) from public.profiles where is_first_login") == [(4,)]


def test_a_schema_that_others_use_is_none_of_ones_own(make: Make) -> None:
    database = make()
    with database.owner() as owner:
        owner.connection.execute(b"create schema rapport_voice; create table rapport_voice.notes (id int)")

    with pytest.raises(InTheWay, match=r"table rapport_voice\.notes"):
        migrate(database.dsn, schemas=VOICE)
    migrate(database.dsn)
    with pytest.raises(InTheWay, match=r"view rapport\.memory_documents"):
        migrate(database.dsn, schemas=Schemas("rapport"))


def test_two_deployments_in_one_database_have_a_ledger_each(make: Make) -> None:
    database = make()

    assert migrate(database.dsn) == migrate(database.dsn, schemas=VOICE) == ALL

    assert ledgers(database.dsn).own == ledgers(database.dsn, VOICE).own == {file.version for file in migrations()}
    assert pending(database.dsn) == pending(database.dsn, schemas=VOICE) == []
