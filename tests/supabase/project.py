"""One real Supabase project for all tests of this process: Postgres, PostgREST and the gateway's rule about keys."""

from __future__ import annotations

import atexit
import functools
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from memory.operate.files import PUBLIC, Schemas
from memory.operate.migrate import migrate
from memory.stores.supabase import SupabaseStore
from memory.stores.supabase_keys import Access, access
from tests.memory.stores.contract import Backend
from tests.stack.fetch import needed
from tests.stack.postgres import obtain, shared
from tests.stack.postgrest import PostgREST
from tests.stack.postgrest import obtain as obtain_postgrest

PATIENCE = 20.0
"""For what has no deadline to keep, in seconds: the machine may be busy."""


class Project:
    """`rest` has the address and the keys, `dsn` is the database as its owner."""

    def __init__(self, schemas: Schemas = PUBLIC) -> None:
        """In a schema of one's own there is an app beside ours, with tables of our names."""
        needed(obtain)
        self.postgres = shared()
        self.schemas = schemas
        self.dsn = self.postgres.fresh_database("neighbours" if schemas.own else "supabase", migrated=not schemas.own)
        if schemas.own:
            migrate(self.dsn, schemas=schemas)
        self._logs = Path(tempfile.mkdtemp(prefix="rapport-project-"))
        shown = ",".join({"public": 0, schemas.exposed: 0})
        self.rest = PostgREST(self.postgres.as_authenticator(self.dsn), self._logs, needed(obtain_postgrest), shown)
        self.rest.start()

    def stop(self) -> None:
        self.rest.stop()
        shutil.rmtree(self._logs, ignore_errors=True)

    def environment(self, *names: str, role: str = "authenticated") -> dict[str, str]:
        """What a worker would have in its environment, of these variables."""
        every = {
            "SUPABASE_SECRET_KEY": self.rest.secret_key,
            "SUPABASE_SERVICE_ROLE_KEY": self.rest.service_role_key,
            "SUPABASE_PUBLISHABLE_KEY": self.rest.publishable_key,
            "SUPABASE_ANON_KEY": self.rest.anon_key,
            "SUPABASE_JWT_SECRET": self.rest.jwt_secret,
            "SUPABASE_SIGNING_JWK": self.rest.signing_jwk,
        }
        where = {"SUPABASE_URL": self.rest.url, "SUPABASE_ROLE": role, "RAPPORT_SCHEMA": self.schemas.exposed}
        return where | {name: every[name] for name in names}

    def access(self, *names: str, role: str = "authenticated", url: str | None = None) -> Access:
        environment = self.environment(*names)
        keys = {name: environment[name] for name in names}
        found = access(url=url or self.rest.url, keys=keys, role=role, schema=self.schemas.exposed)
        assert found
        return found

    def store(self, *names: str, role: str = "authenticated", patience: float = PATIENCE) -> SupabaseStore:
        return SupabaseStore(self.access(*names, role=role), patience, first_try=patience)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the database itself says, past every policy."""
        with psycopg.connect(self.postgres.as_superuser(self.dsn)) as database:
            return database.execute(query.encode()).fetchall()

    def empty(self) -> None:
        with psycopg.connect(self.postgres.as_superuser(self.dsn), autocommit=True) as database:
            database.execute(self.schemas.placed("truncate public.profiles, public.leases cascade").encode())


def project(schema: str = "public") -> Project:
    """Skips the test that asks where the stack cannot be had."""
    return _project(schema)


@functools.cache
def _project(schema: str) -> Project:
    made = Project(Schemas(schema))
    atexit.register(made.stop)
    return made


def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


@contextmanager
def _backend(*names: str, role: str = "authenticated", schema: str = "public") -> Iterator[Backend]:
    here = project(schema)
    here.empty()
    yield Backend(
        open=lambda: here.store(*names, role=role),
        broken=lambda: SupabaseStore(here.access(*names, role=role, url=nowhere()), patience=0.2),
    )


@contextmanager
def with_secret_key(_: Path) -> Iterator[Backend]:
    with _backend("SUPABASE_SECRET_KEY") as backend:
        yield backend


@contextmanager
def with_tokens(_: Path) -> Iterator[Backend]:
    """Everything that concerns one person runs under a token of theirs, with a voice agent's rights."""
    with _backend("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET", role="voice_agent") as backend:
        yield backend


@contextmanager
def in_a_schema_of_its_own(_: Path) -> Iterator[Backend]:
    keys = ("SUPABASE_SECRET_KEY", "SUPABASE_SIGNING_JWK")
    with _backend(*keys, role="voice_agent", schema="rapport_voice") as backend:
        yield backend
