"""The store on a Supabase project, with its privileged key.

What must happen once is one SQL function (`sql/`), the rest one request for a table.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp

from apps.core import Connection, Link, Revocation
from apps.stores.protocol import StoreFailed

T = TypeVar("T")

CONNECTIONS = 16
_SECONDS = 3.0
_TRIES = 3
_CONNECTION = "*,connection_secrets(sealed,version)"


class SupabaseStore:
    """`Store` on a project. Belongs to the event loop in which it is first used.

    Only what never reached the project is repeated: who hears True is the one caller.
    """

    def __init__(self, url: str, key: str, schema: str = "public") -> None:
        """`schema` is where our functions and tables are."""
        self._url = f"{url.rstrip('/')}/rest/v1"
        self._here = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
        self._headers = {"apikey": key, "authorization": f"Bearer {key}"}
        self._headers |= {"accept-profile": schema, "content-profile": schema}
        self._http: aiohttp.ClientSession | None = None

    # -- links

    async def put_link(self, link: Link, *, an_hour: int) -> bool:
        return await self._call(
            "put_link",
            p_token_hash=link.token_hash,
            p_user_id=str(link.person),
            p_who=link.who,
            p_app=link.app,
            p_expires_at=_iso(link.expires_at),
            p_an_hour=an_hour,
        )

    async def link(self, token_hash: str) -> Link | None:
        return await self._link(token_hash=f"eq.{token_hash}")

    async def start_link(self, token_hash: str, *, state_hash: str, browser_hash: str, sealed: bytes) -> bool:
        return await self._call(
            "start_link",
            p_token_hash=token_hash,
            p_state_hash=state_hash,
            p_browser_hash=browser_hash,
            p_sealed=_hex(sealed),
        )

    async def link_of_state(self, state_hash: str) -> Link | None:
        return await self._link(state_hash=f"eq.{state_hash}")

    async def link_of_browser(self, browser_hash: str) -> Link | None:
        return await self._link(browser_hash=f"eq.{browser_hash}", ended_at="is.null", order="started_at.desc")

    async def answer_link(self, token_hash: str) -> bool:
        return await self._call("answer_link", p_token_hash=token_hash)

    async def sign_in(self, token_hash: str, *, sealed: bytes, seconds: float) -> bool:
        return await self._call("sign_in_link", p_token_hash=token_hash, p_sealed=_hex(sealed), p_seconds=seconds)

    async def try_digits(self, person: UUID) -> Link | None:
        row = await self._call("try_digits", p_person=str(person))
        return _read(_link_of, row) if row else None

    async def end_link(self, token_hash: str) -> None:
        await self._call("end_link", p_token_hash=token_hash)

    async def connect(self, token_hash: str, connection: Connection, *, ends_at: float | None) -> bool:
        return await self._call(
            "connect_app",
            p_token_hash=token_hash,
            p_connection_id=str(connection.id),
            p_scopes=connection.scopes,
            p_sealed=_hex(connection.sealed),
            p_ends_at=_iso(ends_at),
        )

    # -- connections

    async def connections(self, person: UUID) -> list[Connection]:
        return await self._connections(user_id=f"eq.{person}", order="app.asc")

    async def connection(self, person: UUID, app: str) -> Connection | None:
        found = await self._connections(user_id=f"eq.{person}", app=f"eq.{app}")
        return found[0] if found else None

    async def take_refresh(self, connection: Connection, *, seconds: float) -> bool:
        return await self._call("take_refresh", **_version(connection), p_seconds=seconds)

    async def put_refresh(self, connection: Connection, *, sealed: bytes, ends_at: float | None) -> bool:
        return await self._call("put_refresh", **_version(connection), p_sealed=_hex(sealed), p_ends_at=_iso(ends_at))

    async def drop_refresh(self, connection: Connection) -> None:
        where = {"connection_id": f"eq.{connection.id}", "version": f"eq.{connection.version}"}
        await self._ask("PATCH", "connection_secrets", where, {"refreshing_until": None})

    async def expire(self, connection: Connection, *, scopes: str | None = None) -> None:
        changes = {"status": "expired"} | ({"scopes": scopes} if scopes else {})
        await self._ask("PATCH", "connections", {"id": f"eq.{connection.id}"}, changes)

    async def touch(self, connection: Connection) -> None:
        await self._ask("PATCH", "connections", {"id": f"eq.{connection.id}"}, {"used_at": "now"})

    async def disconnect(self, person: UUID, app: str) -> bool:
        return await self._call("disconnect_app", p_person=str(person), p_app=app)

    # -- us as a client of apps

    async def client(self, issuer: str) -> bytes | None:
        rows = await self._rows("oauth_clients", {"issuer": f"eq.{issuer}", "select": "sealed"})
        return _bytes(rows[0]["sealed"]) if rows else None

    async def put_client(self, issuer: str, sealed: bytes) -> None:
        row = {"issuer": issuer, "sealed": _hex(sealed)}
        await self._ask("POST", "oauth_clients", {}, row, prefer="resolution=merge-duplicates")

    async def forget_client(self, issuer: str) -> None:
        await self._ask("DELETE", "oauth_clients", {"issuer": f"eq.{issuer}"})

    # -- the queue, and what time does

    async def take_revocations(self, *, limit: int) -> list[Revocation]:
        rows = await self._call("take_revocations", p_limit=limit)
        return _read(lambda rows: [_revocation_of(row) for row in rows], rows)

    async def revoked(self, revocation: Revocation) -> None:
        await self._ask("DELETE", "revocations", {"id": f"eq.{revocation.id}"})

    async def sweep(self, *, unused_seconds: float) -> list[Connection]:
        rows = await self._call("sweep_connections", p_unused_seconds=unused_seconds)
        return _read(lambda rows: [_connection_of(row) for row in rows], rows)

    async def aclose(self) -> None:
        http, self._http = self._http, None
        if http:
            await http.close()

    # --

    async def _link(self, **where: str) -> Link | None:
        rows = await self._rows("connection_links", {**where, "limit": "1"})
        return _read(_link_of, rows[0]) if rows else None

    async def _connections(self, **where: str) -> list[Connection]:
        rows = await self._rows("connections", {**where, "select": _CONNECTION})
        return _read(lambda rows: [_connection_of(row) for row in rows], rows)

    async def _rows(self, table: str, where: Mapping[str, str]) -> list[dict[str, Any]]:
        return await self._ask("GET", table, where)

    async def _call(self, function: str, **arguments: Any) -> Any:
        return await self._ask("POST", f"rpc/{function}", {}, arguments)

    async def _ask(
        self, method: str, path: str, where: Mapping[str, str], body: Any = None, *, prefer: str = "return=minimal"
    ) -> Any:
        for left in reversed(range(_TRIES)):
            try:
                async with self._open().request(
                    method, f"{self._url}/{path}", params=where, json=body, headers={"prefer": prefer}
                ) as answer:
                    return await _answer(path, answer)
            except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError) as error:
                # a server that closes an idle connection does so before it reads a request
                if not left:
                    raise StoreFailed(f"{path}: the project cannot be reached ({type(error).__name__})") from None
                await asyncio.sleep(0.1)
            except (aiohttp.ClientError, TimeoutError) as error:
                # from None: its text may hold the address, and that a hash
                raise StoreFailed(f"{path}: the project does not answer ({type(error).__name__})") from None
        raise AssertionError  # the last try has returned or raised

    def _open(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=_SECONDS, connect=1),
                headers=self._headers,
                trust_env=not self._here,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http


async def _answer(path: str, answer: aiohttp.ClientResponse) -> Any:
    if answer.status >= 300:
        try:
            code = str((await answer.json(content_type=None)).get("code") or answer.status)
        except (ValueError, AttributeError):
            code = str(answer.status)
        hint = ": run `python -m memory migrate`" if code in ("PGRST202", "PGRST205", "42P01", "42883") else ""
        raise StoreFailed(f"{path}: refused with {code}{hint}")
    return json.loads(text) if (text := await answer.text()) else None


def _read(parse: Callable[[Any], T], found: Any) -> T:
    try:
        return parse(found)
    except (KeyError, TypeError, ValueError, AttributeError):
        # from None: these quote values
        raise StoreFailed("the project's answer has another shape than ours: run `python -m memory migrate`") from None


def _link_of(row: Mapping[str, Any]) -> Link:
    return Link(
        row["token_hash"],
        UUID(row["user_id"]),
        row["who"],
        row["app"],
        _seconds(row["expires_at"]) or 0.0,
        _seconds(row["started_at"]),
        row["browser_hash"],
        _seconds(row["answered_at"]),
        _seconds(row["signed_in_at"]),
        _seconds(row["ended_at"]),
        _bytes(row["sealed"]),
        row["tries"],
    )


def _connection_of(row: Mapping[str, Any]) -> Connection:
    secret = cast("Mapping[str, Any]", row["connection_secrets"])
    return Connection(
        UUID(row["id"]),
        UUID(row["user_id"]),
        row["app"],
        row["status"],
        row["scopes"],
        _bytes(secret["sealed"]),
        int(secret["version"]),
    )


def _revocation_of(row: Mapping[str, Any]) -> Revocation:
    return Revocation(row["id"], row["row_name"], _bytes(row["sealed"]) or b"", int(row["tries"]))


def _version(connection: Connection) -> dict[str, Any]:
    return {"p_connection_id": str(connection.id), "p_version": connection.version}


def _hex(sealed: bytes | None) -> str | None:
    return None if sealed is None else f"\\x{sealed.hex()}"


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text.removeprefix("\\x"))


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
