"""Applies the files of `sql/` to a database, and writes down which in a ledger of our own.

The Supabase CLI has one ledger for all that is applied to a project, and stops at lines whose files it has not got. So
that one is read, since it may have applied our files, and written only for who asks. Needs psycopg, which only whoever
migrates installs.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from memory.operate.files import MIGRATIONS, PUBLIC, Migration, MigrationError, Schemas, migrations
from memory.operate.preflight import in_the_way, look

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_SECONDS = 10
LOCK_SECONDS = 60
"""How long one run waits for another to finish a file."""

Ledger = Literal["rapport", "supabase"]
"""Where else a line is written: nowhere, or into that of the Supabase CLI."""

_LOCK = 0x5241_5050_4F52_54  # "RAPPORT": nobody else's advisory lock
_OWN = """
create schema if not exists rapport;
create table if not exists rapport.migrations (
    version text primary key, name text not null, applied_at timestamptz not null default now()
);
"""
_SHARED = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text
);
"""


class InTheWay(MigrationError):
    """Others have what we would make; nothing was touched."""


@dataclass(frozen=True, slots=True)
class Ledgers:
    """What a database says about which files were applied to it."""

    own: frozenset[str]
    shared: Mapping[str, tuple[str | None, bool]]
    """That of the Supabase CLI: each version with its name (an old one has none), and whether our earlier `migrate`
    wrote it: each file as one statement, which the CLI takes apart."""

    def applied(self, file: Migration, schemas: Schemas) -> bool:
        return file.version in self.own or self.shares(file, schemas)

    def shares(self, file: Migration, schemas: Schemas) -> bool:
        """Does the shared one have it? What is of another name there is somebody else's."""
        name, _ = self.shared.get(file.version, ("", False))
        return name == file.name_in(schemas) or (name is None and not schemas.own)

    def beside_others(self, files: Sequence[Migration], schemas: Schemas) -> list[Migration]:
        """Those that stand in the shared one alone, where somebody else's do too: a CLI that has not got them stops."""
        shared = [file for file in files if self.shares(file, schemas)]
        return [file for file in shared if file.version not in self.own] if len(shared) < len(self.shared) else []


def pending(database_url: str, folder: Path = MIGRATIONS, schemas: Schemas = PUBLIC) -> list[str]:
    """The file names that `migrate` would apply now. Raises `MigrationError`."""
    files, found = migrations(folder), ledgers(database_url, schemas)
    return [file.path.name for file in files if not found.applied(file, schemas)]


def ledgers(database_url: str, schemas: Schemas = PUBLIC) -> Ledgers:
    """What the database's ledgers say. Raises `MigrationError`."""
    with _connected(database_url) as connection:
        return _read(connection, schemas)


def checked(
    database_url: str, folder: Path = MIGRATIONS, schemas: Schemas = PUBLIC, *, adopt_profiles: bool = False
) -> list[str]:
    """What `pending` says, where nothing is in the way. Raises `MigrationError`, and `InTheWay` with its names."""
    files = migrations(folder)
    with _connected(database_url) as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        found = _read(connection, schemas)
        wanted = [file for file in files if not found.applied(file, schemas)]
        names = in_the_way(files, wanted, look(connection, schemas), schemas, adopt_profiles=adopt_profiles)
    if names:
        raise InTheWay(_in_the_way(names, schemas))
    return [file.path.name for file in wanted]


def migrate(
    database_url: str,
    folder: Path = MIGRATIONS,
    schemas: Schemas = PUBLIC,
    ledger: Ledger = "rapport",
    *,
    adopt_profiles: bool = False,
) -> list[str]:
    """Apply what is missing, oldest first, and return the names of the files that were applied.

    Before anything is touched the database is searched for what is in the way: `InTheWay` names it. Each file is one
    transaction together with its line in the ledger: it is there whole or not at all. Runs at the same time wait for
    each other, also behind a pooler. With the ledger `supabase` its lines are completed too, for whose CLI has our
    files. `adopt_profiles`: a `profiles` that an app goes on filling becomes ours, as one that it left does.

    Raises `MigrationError` at the first file that fails.
    """
    checked(database_url, folder, schemas, adopt_profiles=adopt_profiles)
    with _connected(database_url) as connection:
        return [file.path.name for file in migrations(folder) if _apply(connection, file, schemas, ledger)]


def release_ledger(database_url: str, folder: Path = MIGRATIONS, schemas: Schemas = PUBLIC) -> list[str]:
    """Move our lines from the ledger of the Supabase CLI into ours: their file names. Raises `MigrationError`."""
    files = migrations(folder)
    with _connected(database_url) as connection, connection.transaction():
        _wait_for_others(connection)
        found = _read(connection, schemas)
        moved = [file for file in files if found.shares(file, schemas)]
        for file in moved:
            _write(connection, file, schemas)
            connection.execute("delete from supabase_migrations.schema_migrations where version = %s", (file.version,))
    return [file.path.name for file in moved]


def export(target: Path, folder: Path = MIGRATIONS, schemas: Schemas = PUBLIC) -> list[str]:
    """Write the files to an app's own `supabase/migrations`; the names of those that were not there as they are.

    With a schema of one's own its name is in theirs. Raises `MigrationError` where that is no folder.
    """
    if not target.is_dir():
        raise MigrationError(f"{target} is no folder: name the supabase/migrations of your project")
    written: list[str] = []
    for file in migrations(folder):
        path, text = target / f"{file.version}_{file.name_in(schemas)}.sql", file.text(schemas)
        if not (path.exists() and path.read_text(encoding="utf-8") == text):
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path.name)
    return written


def _apply(connection: Connection, file: Migration, schemas: Schemas, ledger: Ledger) -> bool:
    """False if it is in a ledger already."""
    import psycopg  # noqa: PLC0415 - whoever only lists the files need not have it

    try:
        with connection.transaction():
            _wait_for_others(connection)
            found = _read(connection, schemas)
            new = not found.applied(file, schemas)
            if new:
                connection.execute(file.text(schemas).encode())
            if new or ledger == "supabase":
                _write(connection, file, schemas)
            if ledger == "supabase" and not found.shares(file, schemas):
                _write_shared(connection, file, schemas)
    except (psycopg.Error, OSError) as error:
        raise MigrationError(f"{file.path.name}: {_told(error)}") from None
    return new


def _wait_for_others(connection: Connection) -> None:
    connection.execute(f"set local lock_timeout = '{LOCK_SECONDS}s'".encode())
    # of the transaction, not of the session: a pooler hands the next transaction to another session
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))


def _read(connection: Connection, schemas: Schemas) -> Ledgers:
    own: frozenset[str] = frozenset()
    shared: dict[str, tuple[str | None, bool]] = {}
    if _there(connection, schemas.placed("rapport.migrations")):
        rows = connection.execute(schemas.placed("select version from rapport.migrations").encode())
        own = frozenset(version for (version,) in rows)
    if _there(connection, "supabase_migrations.schema_migrations"):
        # an old one has neither names nor statements
        rows = connection.execute(
            "select l.version, to_jsonb(l) ->> 'name',"
            " jsonb_array_length(nullif(to_jsonb(l) -> 'statements', 'null')) = 1"
            " from supabase_migrations.schema_migrations l"
        )
        shared = {version: (name, bool(whole)) for version, name, whole in rows}
    return Ledgers(own, shared)


def _there(connection: Connection, table: str) -> bool:
    found = connection.execute("select to_regclass(%s) is not null", (table,)).fetchone()
    return found is not None and bool(found[0])


def _write(connection: Connection, file: Migration, schemas: Schemas) -> None:
    connection.execute(schemas.placed(_OWN).encode())
    connection.execute(
        schemas.placed(
            "insert into rapport.migrations (version, name) values (%s, %s) on conflict (version) do nothing"
        ).encode(),
        (file.version, file.name),
    )


def _write_shared(connection: Connection, file: Migration, schemas: Schemas) -> None:
    connection.execute(_SHARED)
    connection.execute(
        "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
        (file.version, file.name_in(schemas), [file.text(schemas)]),
    )


def _in_the_way(names: Sequence[str], schemas: Schemas) -> str:
    told = f"nothing was changed, because this is here already and not ours: {', '.join(names)}"
    if schemas.own:
        return f"{told}. Set RAPPORT_SCHEMA to a name that nothing has"
    return f"{told}. Set RAPPORT_SCHEMA=rapport_voice, or another name that nothing has, for a schema of our own"


@contextmanager
def _connected(database_url: str) -> Generator[Connection]:
    try:
        import psycopg  # noqa: PLC0415
    except ImportError:
        raise MigrationError("psycopg is not installed: install the extra `migrate`") from None
    try:
        connection = psycopg.connect(
            database_url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            prepare_threshold=None,  # poolers do not keep prepared statements
            application_name="rapport migrate",
        )
    except psycopg.ProgrammingError:
        # its text quotes the URL, and the URL holds the password
        raise MigrationError("the database URL is not one: postgresql://user:password@host:port/database") from None
    except (psycopg.Error, UnicodeError) as error:
        raise MigrationError(f"the database cannot be reached: {_told(error)}") from None
    with connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise MigrationError(_told(error)) from None


def _told(error: Exception) -> str:
    """What the server said, with its hint and without the row it may quote in its detail."""
    diagnosis = getattr(error, "diag", None)
    told = (getattr(diagnosis, "message_primary", None), getattr(diagnosis, "message_hint", None))
    return " ".join(part for part in told if part) or str(error).strip() or type(error).__name__
