"""Applies the files of `sql/` to a database, as the Supabase CLI does and into the same ledger.

Either may go on where the other stopped. Needs psycopg, which only whoever migrates installs.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection

MIGRATIONS = Path(__file__).parents[2] / "sql"

CONNECT_SECONDS = 10
LOCK_SECONDS = 60
"""How long one run waits for another to finish a file."""

_FILE_NAME = re.compile(r"(\d+)_(\w+)\.sql")  # what the Supabase CLI takes for a migration
_LOCK = 0x5241_5050_4F52_54  # "RAPPORT": nobody else's advisory lock
_LEDGER = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key, statements text[], name text
);
"""


class MigrationError(Exception):
    """The database could not be brought up to date; the text says which file and why, without any key or row."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `version` orders them all and names them in the ledger."""

    version: str
    name: str
    path: Path


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The forward migrations in the folder, in their order. Raises `MigrationError` if there are none."""
    named = ((_FILE_NAME.fullmatch(path.name), path) for path in folder.glob("*.sql"))
    found = sorted((Migration(name[1], name[2], path) for name, path in named if name), key=lambda file: file.version)
    if not found:
        raise MigrationError(f"there are no migrations in {folder}")
    return found


def pending(database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """The file names that `migrate` would apply now. Raises `MigrationError`."""
    files = migrations(folder)
    with _connected(database_url) as connection:
        applied = _applied(connection)
    return [file.path.name for file in files if file.version not in applied]


def migrate(database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing, oldest first, and return the names of the files that were applied.

    Each file is one transaction together with its line in the ledger: it is there whole or not at all. Runs at the
    same time wait for each other, also behind a pooler. Raises `MigrationError` at the first file that fails.
    """
    files = migrations(folder)
    with _connected(database_url) as connection:
        return [file.path.name for file in files if _apply(connection, file)]


def _apply(connection: Connection, migration: Migration) -> bool:
    """False if it is in the ledger already."""
    import psycopg  # noqa: PLC0415 - whoever only lists the files need not have it

    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{LOCK_SECONDS}s'".encode())
            # of the transaction, not of the session: a pooler hands the next transaction to another session
            connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
            if migration.version in _applied(connection):
                return False
            statements = migration.path.read_text(encoding="utf-8")
            connection.execute(_LEDGER)
            connection.execute(statements.encode())
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                (migration.version, migration.name, [statements]),
            )
    except (psycopg.Error, OSError) as error:
        raise MigrationError(f"{migration.path.name}: {_told(error)}") from None
    return True


def _applied(connection: Connection) -> set[str]:
    found = connection.execute("select to_regclass('supabase_migrations.schema_migrations') is not null").fetchone()
    if found is None or not found[0]:
        return set()
    return {row[0] for row in connection.execute("select version from supabase_migrations.schema_migrations")}


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
