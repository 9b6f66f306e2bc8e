"""One real Postgres for the tests of SQL: a fresh database for each that asks, and who may be asking.

They run in plain `make test` wherever the stack can be had, and are marked `stack`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sql.asking import Database
from tests.stack.fetch import needed
from tests.stack.postgres import Postgres, obtain, shared
from tests.stack.postgrest import PostgREST
from tests.stack.postgrest import obtain as obtain_postgrest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stack: on a real Postgres and PostgREST, fetched once; skipped without them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("stack")


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    needed(obtain)
    return shared()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """A new Supabase project's database with our migrations, for one test."""
    dsn = postgres.fresh_database()
    yield Database(postgres, dsn)
    postgres.drop_database(dsn)


@pytest.fixture(scope="module")
def standing(postgres: Postgres) -> Iterator[Database]:
    """The same for all tests of a module that only add people of their own."""
    dsn = postgres.fresh_database()
    yield Database(postgres, dsn)
    postgres.drop_database(dsn)


@pytest.fixture(scope="module")
def rest(standing: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgREST]:
    """PostgREST on the module's database."""
    executable = needed(obtain_postgrest)
    schemas = ",".join({"public": 0, standing.schemas.exposed: 0})
    with PostgREST(standing.as_authenticator, tmp_path_factory.mktemp("postgrest"), executable, schemas) as rest:
        yield rest
