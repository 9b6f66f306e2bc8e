"""A project whose database is older than the worker: a call goes on there as it did, and says once what it lacks."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from identity import set_session_user
from memory.manager import MemoryManager
from memory.operate.migrate import MIGRATIONS, migrations
from memory.stores.supabase import SupabaseStore
from tests.memory.sessions.test_embedding_queue import ANSWER, LIFE, QUESTION, SOON, Remote, call, settled, told, until
from tests.stack.fetch import needed
from tests.stack.postgres import obtain, shared
from tests.stack.postgrest import PostgREST
from tests.stack.postgrest import obtain as obtain_postgrest
from tests.supabase.test_answers import store_at

NEWER = ("vectors", "person_version", "curation")


@pytest.fixture
def rest(tmp_path: Path) -> PostgREST:
    needed(obtain)
    postgres = shared()
    dsn = postgres.fresh_database()
    for file in reversed(migrations()):
        if file.name in NEWER:
            with psycopg.connect(dsn) as owner:
                owner.execute((MIGRATIONS / "rollback" / file.path.name).read_bytes())
    return PostgREST(postgres.as_authenticator(dsn), tmp_path, needed(obtain_postgrest))


async def test_a_call_goes_on_with_a_database_that_is_not_migrated_yet(
    rest: PostgREST, caplog: pytest.LogCaptureFixture
) -> None:
    def open_store() -> SupabaseStore:
        return store_at(rest.url, SUPABASE_SECRET_KEY=rest.secret_key)

    with rest:
        manager = MemoryManager(open_store, 5, timing=SOON, open_embedder=Remote)
        set_session_user("alice@example.com")
        await told(manager, *LIFE)
        for _ in range(2):
            async with call(manager) as live:
                await until(settled(manager, live))
                for _ in range(3):
                    await live.catch_up()
                assert [memory.value for memory in await manager.arecall(QUESTION)] == [ANSWER]
                await manager.astore("FACT", "cat", "Tilda")
        assert await manager.aforget("FACT", "cat")
        await manager.aclose()
    lacking = [record.message for record in caplog.records if "memory migrate" in record.message]
    assert sorted(message.partition(";")[0].partition(",")[0] for message in lacking) == [
        "[MEMORY FAILED] vectors are kept in this process alone",
        "[MEMORY FAILED] what changes elsewhere is seen when the next session opens: memories_since: refused with"
        " PGRST202: the database lacks it",
    ]
