"""What a job may do with a person's apps: see the tools that are allowed, and call one, in time and never twice."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator, SchemaError
from mcp.client.auth import utils as helpers
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, INVALID_REQUEST, PARSE_ERROR, CallToolResult, TextContent, Tool

from apps.core import (
    CALL_SECONDS,
    LIST_SECONDS,
    MAX_DESCRIPTION_CHARACTERS,
    MAX_RESULT_CHARACTERS,
    MAX_SCHEMA_CHARACTERS,
    MAX_TOOLS,
    Connection,
    Refused,
    may_repeat,
    what_is_told,
)
from apps.providers.protocol import Endpoint, Grant
from apps.providers.reach import Attempt, attempt
from apps.settings import App
from apps.stores.protocol import Store
from apps.tokens import RECONNECT, Grants
from apps.warm import Session, Sessions

log = logging.getLogger("rapport.apps")

_NOT_THE_APPS = (CONNECTION_CLOSED, PARSE_ERROR, INVALID_REQUEST)
"""Errors that the SDK makes of an answer that it cannot read."""


class Calling:
    def __init__(self, store: Store, apps: Mapping[str, App], grants: Grants, sessions: Sessions) -> None:
        self._store = store
        self._apps = apps
        self._grants = grants
        self._sessions = sessions

    async def tools(self, person: UUID) -> dict[str, Any]:
        """All that this person may use now, and the connected apps that did not say what they can do."""
        connections = await self._store.connections(person)
        asked = [each for each in connections if each.status == "active" and each.app in self._apps]
        told = await asyncio.gather(*(self._tools_of(each) for each in asked))
        return {
            "tools": [tool for found in told for tool in found or ()],
            "silent": [each.app for each, found in zip(asked, told, strict=True) if found is None],
        }

    async def _tools_of(self, connection: Connection) -> list[dict[str, Any]] | None:
        try:
            async with asyncio.timeout(LIST_SECONDS):
                session = await self._session(connection)
                found = await session.tools()
        except Refused as refused:
            return [] if refused.code in ("reconnect", "not_connected") else None
        except TimeoutError:
            self._sessions.drop(connection.row)
            return None
        return list(described(connection.app, self._apps[connection.app], found))

    async def call(self, person: UUID, app: str, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What the app says. Raises `Refused`, within `CALL_SECONDS`."""
        listed = self._listed(app)
        if tool not in (*listed.reads, *listed.writes):
            raise Refused("no_such_tool", "This app has no such tool that may be used.")
        told = Attempt()
        """Of the call itself, and of nothing that comes before it."""
        writes = tool in listed.writes
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._call(person, app, tool, arguments, told)
        except TimeoutError:
            raise what_is_told(told.outcome, writes=writes) from None

    async def _call(
        self, person: UUID, app: str, tool: str, arguments: dict[str, Any], told: Attempt
    ) -> dict[str, Any]:
        """Twice at most, and only what was certainly not done, or changes nothing."""
        connection = await self._store.connection(person, app)
        if connection is None:
            raise Refused("not_connected", "This app is not connected.")
        writes = tool in self._apps[app].writes
        for last in (False, True):
            session = await self._session(connection)
            try:
                offered = next((each for each in await session.tools() if each.name == tool), None)
                if offered is None:
                    raise Refused("no_such_tool", "The app has no such tool any more.")
                writes = is_write(self._apps[app], offered)
                told.begin()
                attempt.set(told)
                result = await session.call(tool, arguments)
            except Refused:
                raise
            except asyncio.CancelledError:
                self._sessions.drop(connection.row, session)  # it may be frozen: the next call has another one
                raise
            except Exception as error:
                if told.refused:
                    raise told.refused from None
                if isinstance(error, MCPError) and told.answered and error.code not in _NOT_THE_APPS:
                    return {"text": error.message[:MAX_RESULT_CHARACTERS], "error": True}
                self._sessions.drop(connection.row, session)
                log.info("[APPS] a call of %s failed: %s, %s", app, told, type(error).__name__)
                if last or not may_repeat(told.outcome, writes=writes):
                    raise what_is_told(told.outcome, writes=writes) from None
                continue
            await self._store.touch(connection)
            return {"text": text_of(result), "error": bool(result.is_error)}
        raise AssertionError  # the last one has returned or raised

    async def _session(self, connection: Connection) -> Session:
        """Open, or opening, with a token that is good."""
        current, grant = await self._grants.good(connection)
        return self._sessions.get(current.row, _Held(self._grants, current, grant))

    def _listed(self, app: str) -> App:
        if app not in self._apps:
            raise Refused("no_such_app", "There is no such app here.")
        return self._apps[app]


class _Held:
    """The grant that a session uses, and what follows when its app does not take it."""

    def __init__(self, grants: Grants, connection: Connection, grant: Grant) -> None:
        self._grants = grants
        self._connection = connection
        self._grant = grant

    def endpoint(self) -> Endpoint:
        return self._grants.provider(self._connection.app).endpoint(self._connection.person, self._grant)

    async def renew(self, refused: Endpoint) -> Endpoint:
        if (newer := self.endpoint()) != refused:
            return newer  # another request of this session was refused before, and has renewed it
        self._connection, self._grant = await self._grants.good(self._connection, refused=self._grant)
        return self.endpoint()

    async def reject(self, scopes: str | None) -> Refused:
        wanted = helpers.union_scopes(self._grant.get("scope"), scopes) if scopes else None
        await self._grants.expire(self._connection, scopes=wanted)
        return RECONNECT


def described(app: str, listed: App, found: Iterable[Tool]) -> Iterable[dict[str, Any]]:
    """Those that are allowed, each name once, in the operator's order."""
    by_name: dict[str, Tool] = {}
    for tool in found:
        by_name.setdefault(tool.name, tool)
    allowed = [by_name[name] for name in (*listed.reads, *listed.writes) if name in by_name]
    for tool in allowed[:MAX_TOOLS]:
        if not usable(tool.input_schema):
            log.warning("[APPS] %s of %s is not offered: its schema is none, or too long", tool.name, app)
            continue
        yield {
            "app": app,
            "tool": tool.name,
            "description": (tool.description or "")[:MAX_DESCRIPTION_CHARACTERS],
            "parameters": tool.input_schema,
            "writes": is_write(listed, tool),
        }


def usable(schema: dict[str, Any]) -> bool:
    """One that is none makes a model's server refuse all that the person says."""
    if schema.get("type") != "object" or len(json.dumps(schema)) > MAX_SCHEMA_CHARACTERS:
        return False
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return False
    return True


def is_write(listed: App, tool: Tool) -> bool:
    """What the app says of itself makes it stricter, and never laxer."""
    return tool.name in listed.writes or bool(tool.annotations and tool.annotations.read_only_hint is False)


def text_of(result: CallToolResult) -> str:
    parts = [part.text if isinstance(part, TextContent) else f"[{part.type}]" for part in result.content]
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    return "\n".join(parts)[:MAX_RESULT_CHARACTERS]
