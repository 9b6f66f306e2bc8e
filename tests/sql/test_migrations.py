"""The files of `sql/`: on every kind of database, by everybody who may apply them, forwards, again, and back."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest

from memory.operate.files import MIGRATIONS, Migration, MigrationError, Schemas, migrations
from memory.operate.migrate import export, migrate, pending, release_ledger
from tests.sql.asking import Asking, Database, memory
from tests.stack import postgres as stack
from tests.stack.fetch import needed
from tests.stack.postgres import HOST, Kind, Postgres

ALL = [file.path.name for file in migrations()]
CHECK = (MIGRATIONS / "verify" / "schema.sql").read_bytes()
ADA = "00000000-0000-4000-8000-00000000000a"
NEW = "00000000-0000-4000-8000-00000000000f"


@pytest.fixture(scope="module", params=["here", pytest.param("18", marks=pytest.mark.soak)])
def server(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Postgres]:
    """The Postgres that is taken here; with full counts also 18, if that is another one."""
    if request.param == "here" or postgres.version == 18:
        yield postgres
        return
    with Postgres(needed(stack.from_wheel)) as another:
        yield another


Make = Callable[..., Database]


@pytest.fixture
def make(server: Postgres) -> Iterator[Make]:
    made: list[str] = []

    def one(kind: Kind = "supabase", *, migrated: bool = False) -> Database:
        made.append(server.fresh_database(kind, migrated=migrated))
        return Database(server, made[-1])

    yield one
    for dsn in made:
        server.drop_database(dsn)


_SORTED = "array(select a::text from unnest({}) a order by 1)"  # who was granted first is nobody's business


def shape(database: Database) -> dict[str, Any]:
    """Everything that the migrations make, as the catalog says it."""
    with database.superuser() as asking:
        return {
            "columns": asking.rows(
                f"select attrelid::regclass::text, attname, format_type(atttypid, null), attnotnull,"
                f" {_SORTED.format('attacl')}"
                " from pg_attribute join pg_class c on c.oid = attrelid where attnum > 0"
                " and relnamespace::regnamespace::text in ('public', 'rapport') order by 1, 2"
            ),
            "tables": asking.rows(
                f"select oid::regclass::text, relkind, relrowsecurity, {_SORTED.format('relacl')}, reloptions"
                " from pg_class"
                " where relnamespace::regnamespace::text in ('public', 'rapport') order by 1"
            ),
            "constraints": asking.rows(
                "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint"
                " where connamespace::regnamespace::text in ('public', 'rapport') order by 1, 2"
            ),
            "policies": asking.rows(
                "select * from pg_policies where schemaname in ('public', 'rapport') order by 1, 2, 3"
            ),
            "functions": asking.rows(
                f"select oid::regprocedure::text, prosrc, proconfig, {_SORTED.format('proacl')}, prosecdef"
                " from pg_proc"
                " where pronamespace::regnamespace::text in ('public', 'rapport') order by 1"
            ),
        }


def verify(database: Database) -> None:
    with database.owner() as owner:
        owner.connection.execute("set default_transaction_read_only = on")
        owner.execute(CHECK.decode())


def roll_back(database: Database, file: Migration, *, and_drop: bool = False) -> None:
    with database.owner() as owner, owner.connection.transaction():
        if and_drop:
            owner.connection.execute("set local rapport.drop_data = 'yes'")
        owner.connection.execute((MIGRATIONS / "rollback" / file.path.name).read_bytes())


# -- the files themselves


def test_each_migration_can_be_undone() -> None:
    assert sorted(path.name for path in (MIGRATIONS / "rollback").iterdir()) == ALL


def test_the_supabase_cli_finds_the_same_files() -> None:
    """Files, because a link is lost where git makes none. `migrate --export supabase/migrations` writes them."""
    folder = MIGRATIONS.parent / "supabase" / "migrations"

    assert not folder.is_symlink()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        file.path.name: file.text() for file in migrations()
    }


def test_files_are_exported_where_they_are_not_yet(tmp_path: Path) -> None:
    (tmp_path / "20260101000000_theirs.sql").write_text("select 1;")

    assert export(tmp_path) == ALL
    assert export(tmp_path) == []
    (tmp_path / ALL[3]).write_text("of an earlier release")
    assert export(tmp_path) == [ALL[3]]
    own = export(tmp_path, schemas=Schemas("voice"))

    assert own[0] == "20261121100000_voice_roles.sql"
    assert (tmp_path / own[0]).read_text().startswith("create schema if not exists voice;\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*ALL, *own, "20260101000000_theirs.sql"])
    with pytest.raises(MigrationError, match="no folder"):
        export(tmp_path / "nowhere")


@pytest.mark.parametrize("file", migrations(), ids=lambda file: file.name)
def test_each_file_waits_for_no_lock_for_long_and_tells_postgrest(file: Migration) -> None:
    text = file.path.read_text()

    assert "\nset local lock_timeout = '5s';\nset local statement_timeout = '60s';\n" in text
    assert text.endswith("\nnotify pgrst, 'reload schema';\n")
    assert not re.search(r"\bconcurrently\b|\bsecurity definer\b|^\s*(begin|commit|rollback);", text, re.I | re.M)


# -- each kind of database


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_database_is_migrated_by_an_owner_who_is_no_superuser(make: Make, kind: Kind) -> None:
    database = make(kind)
    with database.owner() as owner:
        assert owner.rows("select current_user::text, rolsuper from pg_roles where rolname = current_user") == [
            ("postgres", False)
        ]

    assert pending(database.dsn) == ALL
    assert migrate(database.dsn) == ALL

    verify(database)
    assert pending(database.dsn) == []
    assert migrate(database.dsn) == []


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_file_may_be_applied_again_and_changes_nothing(make: Make, kind: Kind) -> None:
    database = make(kind, migrated=True)
    before = shape(database)

    for _ in range(2):
        with database.owner() as owner:
            for file in migrations():
                with owner.connection.transaction():
                    owner.connection.execute(file.path.read_bytes())

    assert shape(database) == before


def test_default_privileges_make_no_difference(make: Make) -> None:
    new, old = make(migrated=True), make("before_2026_10", migrated=True)

    assert shape(new) == shape(old)


def test_a_server_with_nothing_on_it_gets_the_roles_too(server: Postgres) -> None:
    """Nobody is `authenticator` here, and the owner is the superuser, as on a laptop."""
    with Postgres(server.binaries, roles=False) as bare:
        dsn = bare.dsn("postgres", stack.SUPERUSER)

        assert migrate(dsn) == ALL

        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("set role voice_agent")
            owner.execute(f"""set "request.jwt.claims" = '{{"sub": "{ADA}"}}'""".encode())
            person = Asking(owner)
            assert person.call("ensure_profile", ADA)["created"] is True
            assert person.rows("select id::text from public.profiles") == [(ADA,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                person.call("ensure_profile", NEW)


def test_postgres_18_makes_the_same_of_them(postgres: Postgres) -> None:
    with Postgres(needed(stack.from_wheel)) as another:
        database = Database(another, another.fresh_database())
        assert another.version == 18
        verify(database)
        here = shape(Database(postgres, postgres.fresh_database()))
        # the catalog of another version says the same in other words: 18 names NOT NULL, 17 has MAINTAIN
        assert {name for name, *_ in shape(database)["tables"]} == {name for name, *_ in here["tables"]}
        assert shape(database)["policies"] == here["policies"]


# -- an old deployment


def test_an_old_deployment_keeps_its_rows(make: Make) -> None:
    database = make("quickstart")
    kept = "select id, updated_at, username, full_name, avatar_url, website from public.profiles order by id"
    with database.owner() as owner:
        before = owner.rows(kept)

    migrate(database.dsn)

    with database.owner() as owner:
        assert owner.rows(kept) == before
        assert len(before) == 3
        assert owner.rows("select distinct email, is_first_login, created_at is null from public.profiles") == [
            (None, True, False)
        ]


def test_an_old_deployment_takes_people_who_are_nobody_in_auth_users(make: Make) -> None:
    database = make("quickstart", migrated=True)

    with database.asking("service_role") as worker:
        assert worker.call("ensure_profile", NEW, "new@example.com")["created"] is True
        assert worker.call("remember", NEW, [memory()]) != []
        assert worker.call("ensure_profile", ADA, "ada@example.com")["created"] is False
    with database.superuser() as superuser:
        assert superuser.changed("delete from auth.users") == 3
        assert superuser.rows("select count(*) from public.profiles") == [(4,)]


def test_on_an_old_deployment_nobody_sees_everybody_any_more(make: Make) -> None:
    database = make("quickstart", migrated=True)

    for role in ("authenticated", "voice_agent"):
        with database.asking(role, ADA) as ada:
            assert ada.rows("select id::text from public.profiles") == [(ADA,)]
    with database.asking("anon") as anon, pytest.raises(psycopg.errors.InsufficientPrivilege):
        anon.rows("select id from public.profiles")


def test_on_an_old_deployment_people_still_edit_what_the_site_lets_them(make: Make) -> None:
    database = make("quickstart", migrated=True)

    with database.asking("authenticated", ADA) as ada:
        assert ada.changed("update public.profiles set full_name = 'Ada Lovelace', updated_at = now()") == 1
    with database.asking("voice_agent", ADA) as ada, pytest.raises(psycopg.errors.InsufficientPrivilege):
        ada.changed("update public.profiles set full_name = 'somebody'")


def test_a_column_that_nobody_fills_stops_the_upgrade_by_its_name(make: Make) -> None:
    database = make("quickstart")
    with database.owner() as owner:
        owner.changed("update public.profiles set username = 'unnamed-' || left(id::text, 8) || right(id::text, 1)")
        owner.changed("alter table public.profiles alter column username set not null")

    with pytest.raises(MigrationError, match=r"20261121100100_profiles\.sql.*username.*default"):
        migrate(database.dsn)

    assert pending(database.dsn) == ALL[1:]
    with database.owner() as owner:
        assert owner.rows("select 1 from pg_constraint where conname = 'profiles_id_fkey'") == [(1,)], "half applied"


# -- whoever applies them


def test_psql_applies_them_as_they_are(make: Make) -> None:
    psql = shutil.which("psql") or pytest.skip("no psql here")
    database, ours = make(), make(migrated=True)

    for file in migrations():
        command = [psql, database.dsn, "-q", "-v", "ON_ERROR_STOP=1", "-1", "-f", str(file.path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stderr

    verify(database)
    assert shape(database) == shape(ours)
    assert migrate(database.dsn) == ALL, "ours takes over from psql, and writes the ledger"
    assert shape(database) == shape(ours)


def test_two_that_migrate_at_once_wait_for_each_other(make: Make) -> None:
    database = make()

    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(migrate, [database.dsn] * 4))

    assert sorted(name for names in applied for name in names) == ALL
    verify(database)


def test_a_file_that_fails_leaves_nothing_and_what_was_before_it_stays(make: Make, tmp_path: Path) -> None:
    database = make()
    (tmp_path / "1_good.sql").write_text("create table public.good (id int);")
    (tmp_path / "2_bad.sql").write_text("create table public.bad (id int); select 1 / 0;")
    (tmp_path / "3_never.sql").write_text("create table public.never (id int);")
    (tmp_path / "README.sql").write_text("not a migration")

    with pytest.raises(MigrationError, match=r"2_bad\.sql: division by zero"):
        migrate(database.dsn, tmp_path)

    assert pending(database.dsn, tmp_path) == ["2_bad.sql", "3_never.sql"]
    with database.owner() as owner:
        assert owner.rows("select relname from pg_class where relname in ('good', 'bad', 'never')") == [("good",)]


THEIRS = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text);
insert into supabase_migrations.schema_migrations values
    ('20200101000000', '{select 1, select 2}', 'theirs'), ('20261121100100', '{select 1}', 'of_the_same_second');
"""
SHARED = "select version, name from supabase_migrations.schema_migrations order by version, name"


def test_the_ledger_that_others_share_is_left_alone(make: Make) -> None:
    database = make()
    with database.owner() as owner:
        owner.connection.execute(THEIRS.encode())
        theirs = owner.rows(SHARED)

        assert migrate(database.dsn) == ALL, "also what has the time of a file of ours"
        assert release_ledger(database.dsn) == []
        assert owner.rows(SHARED) == theirs


def test_it_is_read_and_written_for_who_asks(make: Make) -> None:
    database = make()
    with database.owner() as owner:
        assert migrate(database.dsn, ledger="supabase") == ALL
        ours = owner.rows(SHARED)
        owner.changed("drop table rapport.migrations")
        assert [f"{version}_{name}.sql" for version, name in ours] == ALL
        assert pending(database.dsn) == []

        assert migrate(database.dsn) == []
        assert release_ledger(database.dsn) == ALL
        assert owner.rows(SHARED) == []
        assert pending(database.dsn) == []

        assert migrate(database.dsn, ledger="supabase") == []
        assert owner.rows(SHARED) == ours


def test_a_ledger_of_an_old_cli_has_no_names(make: Make) -> None:
    database = make()
    with database.owner() as owner:
        migrate(database.dsn, ledger="supabase")
        owner.changed("drop table rapport.migrations")
        owner.changed("alter table supabase_migrations.schema_migrations drop column name, drop column statements")

        assert pending(database.dsn) == []
        assert migrate(database.dsn) == []


# -- workers of an earlier release


def test_what_an_earlier_release_calls_stays_as_it_called_it(make: Make, tmp_path: Path) -> None:
    """By name, arguments and result: both are there during a rollout, and the earlier one alone after a rollback."""
    database = make()
    callable_now = (
        "select proname, pg_get_function_arguments(oid), pg_get_function_result(oid) from pg_proc"
        " where pronamespace = 'public'::regnamespace"
    )
    called: list[set[tuple[str, str, str]]] = []
    for file in migrations():
        (tmp_path / file.path.name).write_text(file.text())
        migrate(database.dsn, tmp_path)
        with database.owner() as owner:
            called.append(set(owner.rows(callable_now)))

    assert all(before <= called[-1] for before in called)


# -- what goes wrong is said plainly


def test_a_database_that_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(MigrationError, match="cannot be reached") as told:
        migrate(f"postgresql://postgres:hunter2@{HOST}:1/postgres")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["hunter2", "postgresql://postgres:hunter2@host:port/db", "postgresql://a:hunter2%@h/d"]
)
def test_what_is_no_database_url_is_not_repeated(url: str) -> None:
    with pytest.raises(MigrationError) as told:
        migrate(url)
    assert "hunter2" not in str(told.value)


def test_a_wrong_password_is_not_repeated(postgres: Postgres) -> None:
    with pytest.raises(MigrationError, match="password authentication failed") as told:
        migrate(postgres.dsn().replace(postgres.password, "hunter2"))
    assert "hunter2" not in str(told.value)


def test_a_folder_without_migrations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match="no migrations"):
        migrate("postgresql://", tmp_path)


# -- back, and forth


def test_back_to_nothing_and_forth_again(make: Make) -> None:
    database = make(migrated=True)
    before = shape(database)

    for file in reversed(migrations()):
        roll_back(database, file)

    assert pending(database.dsn) == ALL
    assert migrate(database.dsn) == ALL
    verify(database)
    assert shape(database) == before


def test_going_back_loses_no_row_unless_told_to(make: Make) -> None:
    database = make(migrated=True)
    with database.asking("service_role") as worker:
        worker.start(worker.call("ensure_profile", NEW)["id"])
        worker.call("remember", NEW, [memory()])
    refused: list[str] = []

    for file in reversed(migrations()):
        if file.name in ("memories", "conversations"):
            with pytest.raises(psycopg.errors.RaiseException, match=f"1 rows of public.{file.name} would be lost"):
                roll_back(database, file)
            roll_back(database, file, and_drop=True)
            refused.append(file.name)
        else:
            roll_back(database, file)

    assert refused == ["memories", "conversations"]

    with database.owner() as owner:
        assert owner.rows("select id::text from public.profiles") == [(NEW,)]


# -- a verify that cannot fail proves nothing

BROKEN = {
    "roles": ["alter role voice_agent bypassrls", "grant usage on schema rapport to anon"],
    "profiles": [
        "alter table public.profiles disable row level security",
        "alter table public.profiles add constraint profiles_id_fkey foreign key (id) references auth.users",
        "alter table public.profiles alter column email set not null",
        "drop policy profiles_nobody_elses on public.profiles",
        "grant select (email) on public.profiles to anon",
        "grant execute on function public.ensure_profile(uuid, text) to public",
    ],
    "conversations": [
        "drop index public.sessions_living",
        "alter table public.messages add id2 uuid unique, add foreign key (id2) references public.messages (id2)",
        "drop view rapport.turn_documents cascade; drop table public.messages",
        "revoke execute on function public.touch_session(uuid, uuid) from voice_agent",
    ],
    "memories": [
        "alter table public.memories drop constraint memories_conversation_fkey",
        "alter table public.memories disable trigger memory_replaced",
        "drop policy memories_own on public.memories",
        "alter table public.memory_history disable row level security",
        "alter function public.remember(uuid, jsonb) security definer",
        "alter function public.remember(uuid, jsonb) reset search_path",
        "revoke insert on public.memories from service_role",
        "drop function public.forget(uuid, text, text)",
        "grant delete on public.memories to anon",
    ],
    "rights": ["drop function public.erase_user(uuid)", "grant execute on function public.export_user(uuid) to anon"],
    "operations": [
        "grant execute on function public.purge(timestamptz) to voice_agent",
        "grant select on public.leases to voice_agent",
        "alter table public.leases disable row level security",
    ],
    "grants": ["grant execute on function rapport.memory_replaced() to anon"],
    "late_writes": [
        "drop trigger memory_late on public.memories",
        "revoke update (until) on public.memory_history from voice_agent",
        "grant execute on function rapport.memory_late() to anon",
    ],
    "vectors": [
        "alter table public.memories drop column vector",
        "drop trigger memory_reworded on public.memories",
        "revoke update (vector) on public.memories from voice_agent",
        "revoke execute on function public.put_vectors(uuid, text, jsonb) from voice_agent",
        "grant execute on function public.memory_vectors(uuid, text) to anon",
    ],
    "person_version": [
        "alter table public.memories drop column version",
        "alter table public.profiles drop column memory_version",
        "drop trigger memory_gone on public.memories",
        "alter table public.memories disable trigger memory_counted_again",
        "revoke update (memory_version) on public.profiles from voice_agent",
        "drop function public.memories_since(uuid, bigint)",
    ],
    "mentions": [
        "drop function public.mentions(uuid, jsonb, integer, integer)",
        "grant execute on function public.redact(uuid, jsonb, jsonb, jsonb) to anon",
        "revoke execute on function public.redact(uuid, jsonb, jsonb, jsonb) from voice_agent",
        "revoke update (value) on public.memory_history from voice_agent",
        "revoke execute on function rapport.folded(text) from voice_agent",
    ],
    "curation": [
        "alter table public.memories drop column curated",
        "drop trigger memory_uncurated on public.memories",
        "revoke update (curated) on public.memories from voice_agent",
        "drop function public.uncurated(uuid, integer)",
        "grant execute on function public.curate(uuid, jsonb, jsonb, jsonb) to anon",
    ],
    "ledger": [
        "drop table rapport.migrations",
        "revoke select on rapport.migrations from service_role",
        "grant select on rapport.migrations to voice_agent",
    ],
    "apps": [
        "alter table public.connection_secrets drop column version",
        "alter table public.connection_links disable trigger connection_link_goes",
        "drop trigger connection_secret_goes on public.connection_secrets",
        "alter table public.connections drop constraint connections_user_id_fkey",
        "drop policy connections_own on public.connections",
        "grant select on public.connection_secrets to voice_agent",
        "alter table public.revocations disable row level security",
        "grant execute on function public.try_digits(text) to voice_agent",
        "drop function public.take_refresh(uuid, integer, double precision)",
        "grant execute on function rapport.give_back() to anon",
    ],
}


@pytest.mark.parametrize(("name", "damage"), [(name, one) for name, many in BROKEN.items() for one in many])
def test_verify_notices(standing: Database, name: str, damage: str) -> None:
    with standing.superuser() as superuser:
        superuser.connection.execute(CHECK)
        with pytest.raises(psycopg.Error), superuser.connection.transaction():
            superuser.connection.execute(damage.encode())
            try:
                superuser.connection.execute(CHECK)
            except psycopg.Error as told:
                assert told.sqlstate in ("P0001", "42883", "42P01"), told
                raise


def test_there_is_damage_to_each_migration() -> None:
    assert list(BROKEN) == [file.name for file in migrations()]
