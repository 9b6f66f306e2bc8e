"""Who is asking: a person with a token of their own, anonymous, the worker, the owner of the database."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from memory.operate.files import PUBLIC, Schemas
from tests.stack.postgres import Postgres

SAID_AT = "2026-11-21T12:00:00.123456+00:00"


def memory(
    value: str = "blue", key: str = "favorite_color", category: str = "PREFERENCE", **more: object
) -> dict[str, Any]:
    return {"category": category, "key": key, "value": value, "said_at": SAID_AT} | more


def turn(text: str = "hello", **more: object) -> dict[str, Any]:
    return {"id": str(uuid4()), "role": "user", "text": text, "said_at": SAID_AT, "interrupted": False} | more


class Asking:
    """One connection under one role; each call is a transaction of its own."""

    def __init__(self, connection: psycopg.Connection, schemas: Schemas = PUBLIC) -> None:
        """What is asked is written for `public`, and asked where ours is."""
        self.connection = connection
        self.schemas = schemas

    def execute(self, statement: str, arguments: Sequence[object] | None = None) -> psycopg.Cursor:
        given = arguments and [self.schemas.placed(one) if isinstance(one, str) else one for one in arguments]
        return self.connection.execute(self.schemas.placed(statement).encode(), given)

    def call(self, function: str, *arguments: object) -> Any:
        """What a function of ours answers. Lists and dicts go in as JSON."""
        given = [Jsonb(value) if isinstance(value, (dict, list)) else value for value in arguments]
        statement = sql.SQL("select {}({})").format(
            sql.Identifier(self.schemas.exposed, function), sql.SQL(", ").join([sql.Placeholder()] * len(given))
        )
        [[answer]] = self.connection.execute(statement, given).fetchall()
        return answer

    def rows(self, statement: str, arguments: Sequence[object] = ()) -> list[Any]:
        return self.execute(statement, arguments or None).fetchall()

    def changed(self, statement: str, arguments: Sequence[object] = ()) -> int:
        """How many rows it changed."""
        return self.execute(statement, arguments or None).rowcount

    def start(self, user: UUID, thread: str = "kitchen", job: str = "job-1", resume: float = 1800.0) -> dict[str, Any]:
        return self.call("start_session", user, None, thread, job, "room", resume, 20)


@dataclass(frozen=True)
class Database:
    postgres: Postgres
    dsn: str
    """As its owner, who is no superuser."""
    schemas: Schemas = PUBLIC

    @property
    def as_authenticator(self) -> str:
        return self.postgres.as_authenticator(self.dsn)

    @contextmanager
    def asking(self, role: str, user: UUID | str | None = None) -> Generator[Asking]:
        """As PostgREST asks: the authenticator becomes the role, with the claims of its token."""
        with psycopg.connect(self.as_authenticator, autocommit=True, prepare_threshold=None) as connection:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            claims = json.dumps({"role": role} | ({"sub": str(user)} if user else {}))
            connection.execute("select set_config('request.jwt.claims', %s, false)", [claims])
            yield Asking(connection, self.schemas)

    @contextmanager
    def owner(self) -> Generator[Asking]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            yield Asking(connection, self.schemas)

    @contextmanager
    def superuser(self) -> Generator[Asking]:
        with psycopg.connect(self.postgres.as_superuser(self.dsn), autocommit=True) as connection:
            yield Asking(connection, self.schemas)
