"""The store in the embedded file, beside what is remembered: safe for several services and workers at once."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from apps.core import Connection, Link, Revocation
from apps.stores.protocol import StoreFailed

T = TypeVar("T")

BUSY_SECONDS = 5.0
REVOCATION_SECONDS = 60
"""For one try to give something back, before another process may try. Each try waits twice as long, a day at most."""
MAX_REVOCATION_TRIES = 40
"""Of an app that has not answered for a month."""

# As in sql/, with times as seconds since 1970. These tables name no profile: a person may have apps and be remembered
# by nothing.
_SCHEMA = """
create table if not exists connections (
    id text primary key,
    user_id text not null,
    app text not null,
    status text not null default 'active' check (status in ('active', 'expired')),
    scopes text,
    connected_at real not null,
    used_at real not null,
    unique (user_id, app)
) strict;
create table if not exists connection_secrets (
    connection_id text primary key references connections (id) on update cascade on delete cascade,
    user_id text not null,
    sealed blob not null,
    version integer not null default 1,
    refreshing_until real,
    ends_at real
) strict;
create table if not exists connection_links (
    token_hash text primary key,
    user_id text not null,
    who text not null,
    app text not null,
    created_at real not null,
    expires_at real not null,
    started_at real,
    state_hash text unique,
    browser_hash text,
    answered_at real,
    signed_in_at real,
    ended_at real,
    sealed blob,
    tries integer not null default 0
) strict;
create index if not exists connection_links_of_person on connection_links (user_id, created_at);
create index if not exists connection_links_of_browser on connection_links (browser_hash);
create table if not exists oauth_clients (issuer text primary key, sealed blob not null) strict;
create table if not exists revocations (
    id integer primary key,
    row_name text not null,
    sealed blob not null,
    tries integer not null default 0,
    next_at real not null default 0
) strict;
create trigger if not exists connection_secret_goes after delete on connection_secrets begin
    insert into revocations (row_name, sealed) values (old.connection_id || '|' || old.user_id, old.sealed);
end;
create trigger if not exists connection_link_goes after delete on connection_links when old.sealed is not null begin
    insert into revocations (row_name, sealed) values ('link ' || old.token_hash || '|' || old.user_id, old.sealed);
end;
"""
_LINK = (
    "token_hash, user_id, who, app, expires_at, started_at, browser_hash, answered_at, signed_in_at, ended_at,"
    " sealed, tries"
)
_CONNECTION = "c.id, c.user_id, c.app, c.status, c.scopes, s.sealed, s.version"
_OF_CONNECTION = f"select {_CONNECTION} from connections c join connection_secrets s on s.connection_id = c.id"  # noqa: S608


class SqliteStore:
    """`Store` on a SQLite file, which is opened and made at its first use, and never used on the event loop."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "rapport-apps-store")
        self._db: sqlite3.Connection | None = None

    # -- links

    async def put_link(self, link: Link, *, an_hour: int) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            now, person = self._clock(), str(link.person)
            count = "select count(*) from connection_links where user_id = ? and created_at > ?"
            if db.execute(count, (person, now - 3600)).fetchone()[0] >= an_hour:
                return False
            _end(db, "user_id = ? and app = ? and ended_at is null", person, link.app, now=now)
            db.execute(
                "insert into connection_links (token_hash, user_id, who, app, created_at, expires_at)"
                " values (?, ?, ?, ?, ?, ?)",
                (link.token_hash, person, link.who, link.app, now, link.expires_at),
            )
            return True

        return await self._run(run)

    async def link(self, token_hash: str) -> Link | None:
        return await self._link("token_hash = ?", token_hash)

    async def start_link(self, token_hash: str, *, state_hash: str, browser_hash: str, sealed: bytes) -> bool:
        now = self._clock()
        return await self._changed(
            "update connection_links set started_at = ?, state_hash = ?, browser_hash = ?, sealed = ?"
            " where token_hash = ? and started_at is null and ended_at is null and expires_at > ?",
            *(now, state_hash, browser_hash, sealed, token_hash, now),
        )

    async def link_of_state(self, state_hash: str) -> Link | None:
        return await self._link("state_hash = ?", state_hash)

    async def link_of_browser(self, browser_hash: str) -> Link | None:
        return await self._link("browser_hash = ? and ended_at is null order by started_at desc", browser_hash)

    async def answer_link(self, token_hash: str) -> bool:
        now = self._clock()
        return await self._changed(
            "update connection_links set answered_at = ? where token_hash = ? and started_at is not null"
            " and answered_at is null and ended_at is null and expires_at > ?",
            *(now, token_hash, now),
        )

    async def sign_in(self, token_hash: str, *, sealed: bytes, seconds: float) -> bool:
        now = self._clock()
        return await self._changed(
            "update connection_links set signed_in_at = ?, sealed = ?, expires_at = max(expires_at, ?)"
            " where token_hash = ? and answered_at is not null and signed_in_at is null and ended_at is null",
            *(now, sealed, now + seconds, token_hash),
        )

    async def try_digits(self, person: UUID) -> Link | None:
        statement = (
            f"update connection_links set tries = tries + 1 where token_hash = ("  # noqa: S608
            "select token_hash from connection_links where user_id = ? and signed_in_at is not null"
            " and ended_at is null and expires_at > ? order by signed_in_at desc limit 1"
            f") returning {_LINK}"
        )
        row = await self._run(lambda db: db.execute(statement, (str(person), self._clock())).fetchone())
        return _link_of(row) if row else None

    async def end_link(self, token_hash: str) -> None:
        await self._run(lambda db: _end(db, "token_hash = ? and ended_at is null", token_hash, now=self._clock()))

    async def connect(self, token_hash: str, connection: Connection, *, ends_at: float | None) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            now = self._clock()
            ended = db.execute(
                "update connection_links set ended_at = ?, sealed = null"
                " where token_hash = ? and signed_in_at is not null and ended_at is null and expires_at > ?",
                (now, token_hash, now),
            )
            if ended.rowcount != 1:
                return False
            db.execute(
                "insert into connections (id, user_id, app, scopes, connected_at, used_at) values (?, ?, ?, ?, ?, ?)"
                " on conflict (user_id, app) do update set id = excluded.id, status = 'active',"
                " scopes = excluded.scopes, connected_at = excluded.connected_at, used_at = excluded.used_at",
                (str(connection.id), str(connection.person), connection.app, connection.scopes, now, now),
            )
            db.execute(
                "insert into connection_secrets (connection_id, user_id, sealed, ends_at) values (?, ?, ?, ?)"
                " on conflict (connection_id) do update set sealed = excluded.sealed, version = version + 1,"
                " refreshing_until = null, ends_at = excluded.ends_at",
                (str(connection.id), str(connection.person), connection.sealed, ends_at),
            )
            return True

        return await self._run(run)

    # -- connections

    async def connections(self, person: UUID) -> list[Connection]:
        return await self._connections("c.user_id = ? order by c.app", str(person))

    async def connection(self, person: UUID, app: str) -> Connection | None:
        found = await self._connections("c.user_id = ? and c.app = ?", str(person), app)
        return found[0] if found else None

    async def take_refresh(self, connection: Connection, *, seconds: float) -> bool:
        now = self._clock()
        return await self._changed(
            "update connection_secrets set refreshing_until = ? where connection_id = ? and version = ?"
            " and (refreshing_until is null or refreshing_until <= ?)",
            *(now + seconds, str(connection.id), connection.version, now),
        )

    async def put_refresh(self, connection: Connection, *, sealed: bytes, ends_at: float | None) -> bool:
        return await self._changed(
            "update connection_secrets set sealed = ?, ends_at = ?, version = version + 1, refreshing_until = null"
            " where connection_id = ? and version = ?",
            *(sealed, ends_at, str(connection.id), connection.version),
        )

    async def drop_refresh(self, connection: Connection) -> None:
        await self._changed(
            "update connection_secrets set refreshing_until = null where connection_id = ? and version = ?",
            *(str(connection.id), connection.version),
        )

    async def expire(self, connection: Connection, *, scopes: str | None = None) -> None:
        await self._changed(
            "update connections set status = 'expired', scopes = coalesce(?, scopes) where id = ?",
            *(scopes, str(connection.id)),
        )

    async def touch(self, connection: Connection) -> None:
        await self._changed("update connections set used_at = ? where id = ?", self._clock(), str(connection.id))

    async def disconnect(self, person: UUID, app: str) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            _end(db, "user_id = ? and app = ? and ended_at is null", str(person), app, now=self._clock())
            gone = db.execute("delete from connections where user_id = ? and app = ?", (str(person), app))
            return gone.rowcount == 1

        return await self._run(run)

    # -- us as a client of apps

    async def client(self, issuer: str) -> bytes | None:
        statement = "select sealed from oauth_clients where issuer = ?"
        row = await self._run(lambda db: db.execute(statement, (issuer,)).fetchone())
        return row[0] if row else None

    async def put_client(self, issuer: str, sealed: bytes) -> None:
        await self._changed(
            "insert into oauth_clients (issuer, sealed) values (?, ?)"
            " on conflict (issuer) do update set sealed = excluded.sealed",
            *(issuer, sealed),
        )

    async def forget_client(self, issuer: str) -> None:
        await self._changed("delete from oauth_clients where issuer = ?", issuer)

    # -- the queue, and what time does

    async def take_revocations(self, *, limit: int) -> list[Revocation]:
        def run(db: sqlite3.Connection) -> list[Revocation]:
            now = self._clock()
            db.execute("delete from revocations where tries >= ?", (MAX_REVOCATION_TRIES,))
            rows = db.execute(
                "update revocations set tries = tries + 1, next_at = ? + min(?, ? * (1 << min(tries, 11)))"
                " where id in (select id from revocations where next_at <= ? order by id limit ?)"
                " returning id, row_name, sealed, tries",
                (now, 86_400, REVOCATION_SECONDS, now, limit),
            ).fetchall()
            return [Revocation(str(id_), *rest) for id_, *rest in sorted(rows)]

        return await self._run(run)

    async def revoked(self, revocation: Revocation) -> None:
        await self._changed("delete from revocations where id = ?", int(revocation.id))

    async def sweep(self, *, unused_seconds: float) -> list[Connection]:
        def run(db: sqlite3.Connection) -> list[Connection]:
            now = self._clock()
            _end(db, "ended_at is null and expires_at <= ?", now, now=now)
            db.execute("delete from connection_links where created_at < ? and ended_at is not null", (now - 3600,))
            db.execute("delete from connections where used_at < ?", (now - unused_seconds,))
            return _connections(db, "s.ends_at <= ? limit 100", now)

        return await self._run(run)

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    # --

    async def _link(self, where: str, *values: Any) -> Link | None:
        statement = f"select {_LINK} from connection_links where {where} limit 1"  # noqa: S608 - a constant of ours
        row = await self._run(lambda db: db.execute(statement, values).fetchone())
        return _link_of(row) if row else None

    async def _connections(self, where: str, *values: Any) -> list[Connection]:
        return await self._run(lambda db: _connections(db, where, *values))

    async def _changed(self, statement: str, *values: Any) -> bool:
        return await self._run(lambda db: db.execute(statement, values).rowcount == 1)

    async def _run(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """What it returns, in one transaction, which is done whether or not its caller goes on waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, run)

    def _transaction(self, run: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db = self._db = self._db or self._open()
            db.execute("begin immediate")
            try:
                result = run(db)
                db.execute("commit")
            except BaseException:
                db.execute("rollback")
                raise
            return result
        except (sqlite3.Error, OSError) as error:
            # these name tables and columns, and no value
            raise StoreFailed(f"the embedded store at {self._path} failed: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.execute("pragma foreign_keys = on")
            db.execute("pragma secure_delete = on")
            _use_write_ahead_log(db)
            db.executescript(f"begin immediate; {_SCHEMA} commit;")
        except BaseException:
            db.close()
            raise
        return db

    def _close(self) -> None:
        db, self._db = self._db, None
        if db:
            db.close()


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    """SQLite does not apply its busy timeout to the switch, which the file then keeps."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _end(db: sqlite3.Connection, where: str, *values: Any, now: float) -> None:
    """What is sealed in these links goes into the queue, and stands there alone."""
    db.execute(
        "insert into revocations (row_name, sealed) select 'link ' || token_hash || '|' || user_id, sealed"  # noqa: S608
        f" from connection_links where sealed is not null and {where}",
        values,
    )
    db.execute(f"update connection_links set ended_at = ?, sealed = null where {where}", (now, *values))  # noqa: S608


def _link_of(row: tuple[Any, ...]) -> Link:
    token_hash, person, *rest = row
    return Link(token_hash, UUID(person), *rest)


def _connections(db: sqlite3.Connection, where: str, *values: Any) -> list[Connection]:
    rows = db.execute(f"{_OF_CONNECTION} where {where}", values).fetchall()
    return [Connection(UUID(id_), UUID(person), *rest) for id_, person, *rest in rows]
