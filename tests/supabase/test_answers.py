"""Whatever comes back instead of an answer: which error it is, and that none of them gives anything away.

The first part meets servers that answer wrongly; the second a real project in which something is missing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from memory.records import Category
from memory.stores.protocol import StoreError, StoreRefused
from memory.stores.supabase import CONNECTIONS, CallRefused, StoreUnavailable, SupabaseStore
from memory.stores.supabase_keys import StoreMisconfigured, access
from tests.memory.stores.contract import ALICE, BOB, NOON, said, started, turn
from tests.stack.fetch import needed
from tests.stack.postgres import Kind, Postgres, obtain, shared
from tests.stack.postgrest import PostgREST
from tests.stack.postgrest import obtain as obtain_postgrest
from tests.stack.process import until
from tests.supabase.answering import PAGE, Answer, Behaviour, Hangs, HangsUp, Late, answer, answering, error
from tests.supabase.keys import JWT_SECRET, SECRET_KEY
from tests.supabase.project import PATIENCE, Project, nowhere

ROW = "locker-4711"
MEMORIES = answer(200, "[]")


def store_at(url: str, patience: float = PATIENCE, first_try: float = PATIENCE, **keys: str) -> SupabaseStore:
    found = access(url=url, keys=keys or {"SUPABASE_SECRET_KEY": SECRET_KEY}, role="authenticated")
    assert found
    return SupabaseStore(found, patience, first_try)


async def failure(store: SupabaseStore) -> StoreError:
    with pytest.raises(StoreError) as failed:
        await store.remember(ALICE, [said(ROW, source="turn-1")])
    await store.aclose()
    return failed.value


# -- which error it is

ANSWERS: dict[str, tuple[Answer, type[StoreError], str]] = {
    # nobody of ours is there
    "200 with a web page": (answer(200, PAGE, "text/html"), StoreUnavailable, "proxy"),
    "200 with a web page that says it is JSON": (answer(200, PAGE), StoreUnavailable, "JSON"),
    "200 with nothing": (answer(200, "", ""), StoreUnavailable, "JSON"),
    "200 with another shape": (answer(200, '{"kept": "locker-4711"}'), StoreMisconfigured, "migrate"),
    "200 with other records": (answer(200, '[{"value": "locker-4711"}]'), StoreMisconfigured, "migrate"),
    "200 with an unknown category": (
        answer(200, '[{"category": "locker-4711", "key": "", "value": "", "said_at": "2026-11-21T12:00:00+00:00"}]'),
        StoreMisconfigured,
        "migrate",
    ),
    "a redirect": (
        answer(301, "", Location="https://elsewhere.example/rest/v1/rpc/remember"),
        StoreMisconfigured,
        "SUPABASE_URL",
    ),
    "404 of another program": (answer(404, PAGE, "text/html"), StoreMisconfigured, "SUPABASE_URL"),
    "404 of a gateway": (answer(404, '{"error": "requested path is invalid"}'), StoreMisconfigured, "SUPABASE_URL"),
    # somebody before the database
    "401 of a gateway": (error(401, None, "Invalid API key"), StoreMisconfigured, "SUPABASE_SECRET_KEY"),
    "401 with a web page": (answer(401, PAGE, "text/html"), StoreMisconfigured, "SUPABASE_SECRET_KEY"),
    "403 with nothing": (answer(403, ""), StoreMisconfigured, "SUPABASE_SECRET_KEY"),
    "429": (answer(429, PAGE, "text/html"), StoreUnavailable, "just now"),
    "500 with a list": (answer(500, '["locker-4711"]'), StoreUnavailable, "just now"),
    "502 with a web page": (answer(502, PAGE, "text/html"), StoreUnavailable, "just now"),
    "503 with an empty code": (error(503, ""), StoreUnavailable, "just now"),
    "504 with nothing": (answer(504, ""), StoreUnavailable, "just now"),
    # the database, as PostgREST 12 and 14 say it
    **{
        f"{status} {code}": (error(status, code), StoreUnavailable, code)
        for status, code in [
            *((503, "PGRST000"), (503, "PGRST001"), (503, "PGRST002"), (504, "PGRST003"), (503, "53300")),
            *((503, "57P01"), (500, "57P03"), (500, "08006"), (500, "40001"), (500, "40P01"), (500, "55P03")),
        ]
    },
    "a statement's time is over": (error(500, "57014"), StoreUnavailable, "too long"),
    **{
        f"{status} {code}": (error(status, code), StoreMisconfigured, "migrate")
        for status, code in [
            *((404, "PGRST202"), (404, "PGRST205"), (400, "PGRST204"), (300, "PGRST203")),
            *((404, "42P01"), (404, "42883"), (400, "42703")),
        ]
    },
    **{
        f"{status} {code}": (error(status, code), StoreMisconfigured, "SUPABASE_SECRET_KEY")
        for status, code in [(401, "PGRST301"), (401, "PGRST302"), (401, "PGRST303"), (500, "PGRST300")]
    },
    "no grants": (error(403, "42501", "permission denied for table memories"), StoreMisconfigured, "grants"),
    "the old foreign key": (
        error(409, "23503", 'insert or update violates foreign key constraint "profiles_id_fkey"'),
        StoreMisconfigured,
        "auth.users",
    ),
    **{
        f"{status} {code}": (error(status, code), CallRefused, code)
        for status, code in [
            *((403, "42501"), (400, "22P02"), (400, "22P05"), (400, "23502"), (409, "23503"), (409, "23505")),
            *((400, "23514"), (400, "P0001"), (400, "PGRST102")),
        ]
    },
}


@pytest.mark.parametrize(("given", "kind", "told"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_is_none_is_the_right_error(
    given: Answer, kind: type[StoreError], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with answering(given) as server:
            failed = await failure(store_at(server.url))
    assert type(failed) is kind or (kind is StoreMisconfigured and isinstance(failed, kind))
    assert told in str(failed)
    assert str(failed).startswith("remember")
    for text in (str(failed), repr(failed), repr(failed.__cause__), caplog.text):
        assert ROW not in text
        assert SECRET_KEY[7:] not in text


async def test_what_the_database_will_never_do_is_told_apart_from_what_it_cannot_do_now() -> None:
    assert issubclass(CallRefused, StoreRefused)
    assert not issubclass(StoreUnavailable, StoreRefused)
    assert not issubclass(StoreMisconfigured, StoreRefused)


async def test_what_cannot_be_written_as_text_is_refused_and_nothing_is_sent() -> None:
    async with answering(MEMORIES) as server:
        store = store_at(server.url)
        with pytest.raises(StoreRefused) as failed:
            await store.remember(ALICE, [said(f"{ROW}\ud800")])
        assert ROW not in str(failed.value)
        assert failed.value.__cause__ is None
        assert failed.value.__suppress_context__
        assert server.requests == 0
        await store.aclose()


# -- repeating what fails in passing


def first(then: Answer, *failing: Answer) -> Behaviour:
    return lambda n: failing[n] if n < len(failing) else then


@pytest.mark.parametrize(
    "failing",
    [
        answer(503, PAGE, "text/html"),
        error(503, "PGRST001"),
        error(500, "40001"),
        answer(200, PAGE, "text/html"),
        HangsUp(),
    ],
    ids=["503", "PGRST001", "a lost race", "web page", "hangs up"],
)
async def test_what_fails_in_passing_is_done_again(failing: Answer) -> None:
    async with answering(first(MEMORIES, failing, failing)) as server:
        store = store_at(server.url)
        assert await store.memories(ALICE) == []
        assert server.requests == 3
        await store.aclose()


@pytest.mark.parametrize(
    "failing",
    [answer(401, ""), error(404, "PGRST202"), error(400, "22P02"), error(500, "57014"), answer(301, "")],
    ids=["401", "PGRST202", "22P02", "57014", "301"],
)
async def test_what_would_fail_again_is_not(failing: Answer) -> None:
    async with answering(failing) as server:
        await failure(store_at(server.url))
        assert server.requests == 1


async def test_it_is_not_tried_for_ever() -> None:
    async with answering(answer(503, "")) as server:
        await failure(store_at(server.url))
        assert server.requests == 4


async def test_a_connection_that_died_in_silence_costs_a_part_of_the_time() -> None:
    async with answering(first(MEMORIES, MEMORIES, Hangs())) as server:
        store = store_at(server.url, first_try=0.3)
        await store.memories(ALICE)
        assert await store.memories(ALICE) == []
        assert server.requests == 3
        await store.aclose()


async def test_connections_that_the_server_closed_meanwhile_are_replaced() -> None:
    async with answering(MEMORIES) as server:
        store = store_at(server.url)
        for _ in range(5):
            assert await store.memories(ALICE) == []
            server.hang_up()
        await store.aclose()


@pytest.mark.parametrize("given", [Hangs(), answer(503, ""), HangsUp()], ids=["black hole", "503", "hangs up"])
@pytest.mark.parametrize("first_try", [0.1, 5.0])
async def test_nobody_waits_longer_than_they_have_patience(given: Answer, first_try: float) -> None:
    async with answering(given) as server:
        before = time.monotonic()
        failed = await failure(store_at(server.url, 0.5, first_try))
        assert isinstance(failed, StoreUnavailable)
        assert time.monotonic() - before < 0.9


async def test_a_store_that_needs_seconds_is_still_a_store() -> None:
    async with answering(Late(1.0, MEMORIES)) as server:
        store = store_at(server.url, patience=10, first_try=0.2)
        assert await store.memories(ALICE) == []
        assert server.requests == 2
        await store.aclose()


async def test_nobody_listening_is_known_at_once_and_said() -> None:
    before = time.monotonic()
    failed = await failure(store_at(nowhere()))
    assert isinstance(failed, StoreUnavailable)
    assert time.monotonic() - before < 2.0
    assert "connection failed" in str(failed)


async def test_a_caller_who_gives_up_leaves_nothing_open() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    store = store_at(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await store.memories(ALICE)
    await store.aclose()
    await asyncio.wait_for(gone.wait(), 5)
    listening.close()


async def test_no_more_connections_than_one_loop_has_use_for_and_waiting_for_one_is_not_taken_for_a_dead_one() -> None:
    async with answering(Late(0.1, MEMORIES)) as server:  # the last one waits for longer than a first try may take
        store = store_at(server.url, first_try=1.0)
        await store.memories(ALICE)
        await asyncio.gather(*(store.memories(ALICE) for _ in range(100)))
        assert server.most <= CONNECTIONS
        assert server.requests == 101
        await store.aclose()


# -- what a request says


async def test_a_request_names_the_key_and_the_function_and_nothing_of_the_person_in_its_address() -> None:
    async with answering(MEMORIES) as server:
        store = store_at(server.url)
        await store.remember(ALICE, [said(ROW)])
        await store.aclose()
    head = server.heads[0]
    assert head.startswith("POST /rest/v1/rpc/remember HTTP/1.1\r\n")
    assert f"authorization: Bearer {SECRET_KEY}".lower() in head.lower()
    assert ROW not in head
    assert str(ALICE) not in head


async def test_nothing_is_opened_before_the_first_call_and_closing_is_safe_at_any_time() -> None:
    async with answering(MEMORIES) as server:
        store = store_at(server.url)
        await store.aclose()
        assert server.most == 0
        await store.memories(ALICE)
        assert len(server.connections) == 1
        await store.aclose()
        await store.aclose()
        await until(lambda: not server.connections, "the connection is closed", 5)


# -- a real project in which something is wrong


class Broken:
    """A project of its own, to break."""

    def __init__(self, kind: Kind, folder: Path, *, migrated: bool) -> None:
        self.postgres: Postgres = shared()
        self.dsn = self.postgres.fresh_database(kind, migrated=migrated)
        self.rest = PostgREST(self.postgres.as_authenticator(self.dsn), folder, needed(obtain_postgrest))

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as database:
            database.execute(statement.encode())

    def cancel_who_waits(self) -> bool:
        waiting = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = %s"
        with psycopg.connect(self.postgres.as_superuser(self.dsn)) as database:
            return bool(database.execute(waiting, (database.info.dbname,)).fetchall())

    def store(self, **changes: str) -> SupabaseStore:
        return store_at(self.rest.url, **({"SUPABASE_SECRET_KEY": self.rest.secret_key} | changes))


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    needed(obtain)
    broken = Broken("supabase", tmp_path_factory.mktemp("broken"), migrated=True)
    with broken.rest:
        yield broken


@pytest.fixture
async def stranger(project: Project) -> AsyncIterator[SupabaseStore]:
    store = project.store("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_JWT_SECRET")
    yield store
    await store.aclose()


async def test_a_key_of_another_project_is_named_and_not_shown(breakable: Broken) -> None:
    store = breakable.store(SUPABASE_SECRET_KEY=SECRET_KEY)
    with pytest.raises(StoreMisconfigured, match=r"SUPABASE_SECRET_KEY \(sb_sec…\)"):
        await store.memories(ALICE)
    await store.aclose()


async def test_a_signing_secret_of_another_project_is_named(breakable: Broken) -> None:
    store = breakable.store(SUPABASE_JWT_SECRET=JWT_SECRET)
    assert (await store.ensure_profile(ALICE, None))[0].id == ALICE
    with pytest.raises(StoreMisconfigured, match="SUPABASE_JWT_SECRET"):
        await store.memories(ALICE)
    await store.aclose()


async def test_a_role_that_the_project_does_not_have_is_an_error(project: Project) -> None:
    store = project.store("SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET", role="nobody_knows_this_role")
    with pytest.raises(StoreError):
        await store.memories(ALICE)
    await store.aclose()


async def test_a_database_without_migrations_says_what_to_run(tmp_path: Path) -> None:
    needed(obtain)
    empty = Broken("quickstart", tmp_path, migrated=False)
    with empty.rest:
        store = empty.store()
        with pytest.raises(StoreMisconfigured, match="python -m memory migrate"):
            await store.ensure_profile(ALICE, None)
        await store.aclose()


async def test_a_function_that_may_not_be_called_says_what_to_run(breakable: Broken) -> None:
    breakable.execute("revoke execute on function public.list_past(uuid) from service_role")
    store = breakable.store()
    with pytest.raises(StoreMisconfigured, match="grants too little"):
        await store.past(ALICE)
    await store.aclose()


async def test_the_old_foreign_key_says_what_to_run(breakable: Broken) -> None:
    breakable.execute(
        "alter table public.profiles add constraint profiles_id_fkey foreign key (id) references auth.users not valid"
    )
    store = breakable.store()
    with pytest.raises(StoreMisconfigured, match=r"auth\.users"):
        await store.ensure_profile(BOB, None)
    await store.aclose()
    breakable.execute("alter table public.profiles drop constraint profiles_id_fkey")


async def test_a_call_that_takes_the_database_too_long_is_not_repeated(breakable: Broken) -> None:
    store = breakable.store()
    await store.ensure_profile(ALICE, None)
    with psycopg.connect(breakable.dsn) as other:
        other.execute("select from public.profiles where id = %s for update", (ALICE,))
        remembering = asyncio.create_task(store.remember(ALICE, [said(ROW)]))
        await until(breakable.cancel_who_waits, "the call waits for the row")  # 57014, as its own timeout would be
        with pytest.raises(StoreUnavailable, match="took too long") as failed:
            await remembering
    assert failed.value.passing is False
    assert await store.remember(ALICE, [said(ROW)]) == [said(ROW)]
    await store.aclose()


async def test_a_value_that_breaks_a_rule_is_refused_without_being_quoted(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    store = project.store("SUPABASE_SECRET_KEY")
    with caplog.at_level(logging.DEBUG):
        for broken in (said(ROW * 1000), said(f"{ROW}\0"), said(ROW, "")):
            with pytest.raises(StoreRefused) as failed:
                await store.remember(ALICE, [broken])
            assert ROW not in str(failed.value)
    assert ROW not in caplog.text
    await store.aclose()


# -- the database itself refuses what is another person's


async def test_each_call_is_made_as_the_person_it_concerns_however_many_run_at_once(project: Project) -> None:
    store = project.store("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_JWT_SECRET")
    for user, value in ((ALICE, "blue"), (BOB, "red")):
        await store.remember(user, [said(value)])
    found = await asyncio.gather(*(store.memories((ALICE, BOB)[n % 2]) for n in range(100)))
    assert [memories[0].value for memories in found] == ["blue", "red"] * 50
    await store.aclose()


async def test_a_token_of_one_person_neither_reads_nor_writes_for_another(
    project: Project, stranger: SupabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = project.store("SUPABASE_SECRET_KEY")
    session = await started(owner)
    await owner.remember(ALICE, [said("blue")])
    await owner.append_turns(ALICE, session.conversation, [turn("hello")])
    before = project.rows("select * from public.memories")
    # as if our own code took one person for another
    assert stranger._tokens
    his = stranger._tokens.token(BOB)
    monkeypatch.setattr(stranger._tokens, "token", lambda _: his)
    assert await stranger.memories(ALICE) == []
    assert await stranger.retrieve(ALICE, Category.PREFERENCE, "favorite_color") is None
    assert await stranger.forget(ALICE, Category.PREFERENCE, "favorite_color") is False
    assert await stranger.append_turns(ALICE, session.conversation, [turn("injected")]) == 0
    assert await stranger.touch_session(ALICE, session.id) is False
    assert sum((await stranger.erase(ALICE)).values()) == 0
    for write in (stranger.ensure_profile(ALICE, None), stranger.remember(ALICE, [said("red")]), started(stranger)):
        with pytest.raises(StoreRefused):
            await write
    assert project.rows("select * from public.memories") == before
    assert project.rows("select count(*) from public.messages") == [(1,)]
    await owner.aclose()


async def test_with_a_public_key_only_one_persons_affairs_are_possible(stranger: SupabaseStore) -> None:
    profile, created = await stranger.ensure_profile(ALICE, "alice@example.com")
    assert (profile.email, created) == ("alice@example.com", True)
    for everybodys in (
        stranger.sessions(living=True, limit=1),
        stranger.end_abandoned(NOON, "died"),
        stranger.take_lease("sweeper", "worker-1", 1),
        stranger.purge(NOON),
    ):
        with pytest.raises(StoreMisconfigured, match="SUPABASE_SECRET_KEY"):
            await everybodys


@pytest.mark.parametrize("key", ["SUPABASE_JWT_SECRET", "SUPABASE_SIGNING_JWK"])
@pytest.mark.parametrize("ahead", [-7200, -60, 60, 7200])
async def test_a_worker_whose_clock_is_wrong_is_let_in(project: Project, key: str, ahead: int) -> None:
    store = project.store("SUPABASE_PUBLISHABLE_KEY", key)
    store._clock._clock = lambda: time.time() + ahead
    kept = await store.remember(ALICE, [said()])
    assert kept == [said()]
    assert await store.memories(ALICE) == [said()]
    await store.aclose()
