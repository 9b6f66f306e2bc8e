"""Row-level security under attack, laid out by who is asking: the person, another person, anonymous, the worker.

Each attack is tried in SQL under the role and the claims of a token, and through a real PostgREST with the token.
Tables, views and functions come from the catalog: a new one that nobody thought of fails here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from memory.operate.files import Schemas
from memory.operate.migrate import migrate
from tests.sql.asking import SAID_AT, Asking, Database, memory, turn
from tests.stack.postgres import Postgres
from tests.stack.postgrest import PostgREST

SECRET = "the-secret-of-alice"
PEOPLE = ("authenticated", "voice_agent")
NOT_ALLOWED = "42501"

TABLES = {
    "public.profiles": "id",
    "public.memories": "user_id",
    "public.memory_history": "user_id",
    "public.conversations": "user_id",
    "public.sessions": "user_id",
    "public.messages": "user_id",
    "public.leases": None,
    "rapport.migrations": None,
    "public.connections": "user_id",
    "public.connection_secrets": None,
    "public.connection_links": None,
    "public.oauth_clients": None,
    "public.revocations": None,
    "rapport.profile_documents": "user_id",
    "rapport.memory_documents": "user_id",
    "rapport.past_documents": "user_id",
    "rapport.turn_documents": "user_id",
    "rapport.session_documents": "user_id",
}
"""Every table and view with the column that says whose row it is; None where no person's rows are."""

NOBODYS = {
    "leases": "name",
    "connection_secrets": "sealed",
    "connection_links": "who",
    "oauth_clients": "issuer",
    "revocations": "row_name",
}
"""A column of each table in which no person's rows are."""
EXPOSED = [name.removeprefix("public.") for name in TABLES if name.startswith("public.")]


@dataclass(frozen=True)
class Life:
    """A person with something in every table."""

    user: UUID
    export: dict[str, Any]

    @property
    def conversation(self) -> str:
        return self.export["conversations"][0]["id"]

    @property
    def session(self) -> str:
        return self.export["sessions"][0]["id"]


def live(worker: Asking, secret: str, user: UUID | None = None) -> Life:
    user = user or uuid4()
    worker.call("ensure_profile", user, f"{secret}@example.com")
    started = worker.start(user, thread=secret, job=secret)
    worker.call("append_turns", user, started["conversation_id"], [turn(secret, id=secret)])
    worker.call("summarise", user, started["conversation_id"], secret)
    for value in (f"{secret}-before", secret):
        item = memory(value, secret, source=value, conversation_id=started["conversation_id"])
        worker.call("remember", user, [item])
    return Life(user, worker.call("export_user", user))


@pytest.fixture(scope="module", params=["public", pytest.param("rapport_voice", marks=pytest.mark.soak)])
def standing(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Database]:
    """Ours in `public`, and with full counts in a schema of its own beside an app that has tables of our names."""
    schemas = Schemas(request.param)
    database = Database(
        postgres, postgres.fresh_database("neighbours" if schemas.own else "supabase", migrated=False), schemas
    )
    migrate(database.dsn, schemas=schemas)
    yield database
    postgres.drop_database(database.dsn)


def connected(worker: Asking, secret: str) -> Life:
    """A person who has an app too: the service has connected it."""
    user = live(worker, secret).user
    assert worker.call("put_link", secret, user, secret, secret, "2099-01-01T00:00:00Z", 5)
    assert worker.call("start_link", secret, secret, secret, b"kept")
    assert worker.call("answer_link", secret)
    assert worker.call("sign_in_link", secret, b"granted", 300.0)
    assert worker.call("connect_app", secret, uuid4(), secret, b"granted", None)
    return Life(user, worker.call("export_user", user))


@pytest.fixture(scope="module")
def worker(standing: Database) -> Iterator[Asking]:
    with standing.asking("service_role") as worker:
        yield worker


@pytest.fixture(scope="module")
def victim(worker: Asking) -> Life:
    return connected(worker, SECRET)


@pytest.fixture
def alice(worker: Asking, victim: Life) -> Iterator[Life]:
    """The victim. Whatever a test does as somebody else, her rows stay as they are."""
    yield victim
    assert worker.call("export_user", victim.user) == victim.export


@pytest.fixture(scope="module")
def bob(worker: Asking) -> Life:
    """The attacker. Tests leave him what he has."""
    return connected(worker, "bob")


@pytest.fixture(scope="module", params=PEOPLE)
def role(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def as_bob(standing: Database, bob: Life, role: str) -> Iterator[Asking]:
    with standing.asking(role, bob.user) as asking:
        yield asking


# -- the calls, each against somebody


@dataclass(frozen=True)
class Call:
    """One function with the arguments of somebody who wants another's data, and what becomes of it."""

    arguments: Callable[[UUID, Life], dict[str, Any]]
    """From the user id in it and the victim."""
    by_another: Any
    """What another person's token gets: an answer that tells nothing, or an SQLSTATE."""


EMPTY: dict[str, Any] = {"profile": None, "memories": [], "past": [], "conversations": [], "sessions": [], "turns": []}
NO_ROWS = dict.fromkeys(["profiles", "memories", "memory_history", "conversations", "sessions", "messages"], 0)

PERSONS = {
    "ensure_profile": Call(lambda user, _: {"p_user_id": user, "p_email": "bob@example.com"}, NOT_ALLOWED),
    "complete_first_login": Call(lambda user, _: {"p_user_id": user}, False),
    "remember": Call(lambda user, _: {"p_user_id": user, "p_items": [memory("planted")]}, NOT_ALLOWED),
    "retrieve": Call(lambda user, _: {"p_user_id": user, "p_category": "PREFERENCE", "p_key": SECRET}, None),
    "list_memories": Call(lambda user, _: {"p_user_id": user}, []),
    "list_past": Call(lambda user, _: {"p_user_id": user}, []),
    "forget": Call(lambda user, _: {"p_user_id": user, "p_category": "PREFERENCE", "p_key": SECRET}, False),
    "memory_vectors": Call(lambda user, _: {"p_user_id": user, "p_model": "e5"}, []),
    "put_vectors": Call(
        lambda user, _: {
            "p_user_id": user,
            "p_model": "planted",
            "p_vectors": [{"category": "PREFERENCE", "key": SECRET, "said_at": SAID_AT, "vector": "AAAA"}],
        },
        0,
    ),
    "memories_since": Call(
        lambda user, _: {"p_user_id": user, "p_version": -1}, {"version": 0, "count": 0, "memories": []}
    ),
    "mentions": Call(lambda user, _: {"p_user_id": user, "p_words": [SECRET], "p_skip": 0, "p_limit": 9}, []),
    "redact": Call(
        lambda user, her: {
            "p_user_id": user,
            "p_texts": [
                {"conversation_id": her.conversation, "turn": each, "text": SECRET, "words": "planted"}
                for each in (None, SECRET)
            ],
            "p_memories": [{"category": "PREFERENCE", "key": SECRET, "value": SECRET, "words": "planted"}],
            "p_gone": [{"category": "PREFERENCE", "key": SECRET}],
        },
        0,
    ),
    "uncurated": Call(lambda user, _: {"p_user_id": user, "p_limit": 10}, []),
    "curate": Call(
        lambda user, her: {
            "p_user_id": user,
            "p_seen": her.export["memories"],
            "p_facts": [memory | {"key": "planted"} for memory in her.export["memories"]],
            "p_ended": [memory | {"until": memory["said_at"]} for memory in her.export["memories"]],
        },
        {"seen": [], "facts": [], "ended": []},
    ),
    "start_session": Call(
        lambda user, _: {
            "p_user_id": user,
            "p_email": None,
            "p_thread": SECRET,
            "p_job": SECRET,
            "p_room": "room",
            "p_resume_seconds": 1e6,
            "p_turns": 100,
        },
        NOT_ALLOWED,
    ),
    "append_turns": Call(
        lambda user, her: {"p_user_id": user, "p_conversation_id": her.conversation, "p_turns": [turn("planted")]}, 0
    ),
    "touch_session": Call(lambda user, her: {"p_user_id": user, "p_session_id": her.session}, False),
    "end_session": Call(
        lambda user, her: {"p_user_id": user, "p_session_id": her.session, "p_job": SECRET, "p_reason": "planted"},
        False,
    ),
    "summarise": Call(
        lambda user, her: {"p_user_id": user, "p_conversation_id": her.conversation, "p_summary": "planted"}, False
    ),
    "export_user": Call(lambda user, _: {"p_user_id": user}, EMPTY),
    "import_user": Call(lambda user, her: {"p_user_id": user, "p_document": _with_one_more(user, her)}, NOT_ALLOWED),
    "erase_user": Call(lambda user, _: {"p_user_id": user}, NO_ROWS),
}
WORKERS = {
    "list_sessions": Call(lambda _, __: {"p_living": False, "p_limit": 100}, NOT_ALLOWED),
    "end_abandoned": Call(lambda _, __: {"p_unseen_since": "2099-01-01T00:00:00Z", "p_reason": "planted"}, NOT_ALLOWED),
    "take_lease": Call(lambda _, __: {"p_name": "lease", "p_holder": "bob", "p_seconds": 60.0}, NOT_ALLOWED),
    "purge": Call(lambda _, __: {"p_turns_before": "2099-01-01T00:00:00Z"}, NOT_ALLOWED),
    "describe_schema": Call(lambda _, __: {}, NOT_ALLOWED),
    "put_link": Call(
        lambda user, _: {
            "p_token_hash": "planted",
            "p_user_id": user,
            "p_who": "bob",
            "p_app": "planted",
            "p_expires_at": "2099-01-01T00:00:00Z",
            "p_an_hour": 5,
        },
        NOT_ALLOWED,
    ),
    "start_link": Call(
        lambda _, __: {
            "p_token_hash": SECRET,
            "p_state_hash": "planted",
            "p_browser_hash": "planted",
            "p_sealed": "\\x00",
        },
        NOT_ALLOWED,
    ),
    "answer_link": Call(lambda _, __: {"p_token_hash": SECRET}, NOT_ALLOWED),
    "sign_in_link": Call(lambda _, __: {"p_token_hash": SECRET, "p_sealed": "\\x00", "p_seconds": 300.0}, NOT_ALLOWED),
    "try_digits": Call(lambda user, _: {"p_person": str(user)}, NOT_ALLOWED),
    "end_link": Call(lambda _, __: {"p_token_hash": SECRET}, NOT_ALLOWED),
    "connect_app": Call(
        lambda _, __: {
            "p_token_hash": SECRET,
            "p_connection_id": uuid4(),
            "p_scopes": None,
            "p_sealed": "\\x00",
            "p_ends_at": None,
        },
        NOT_ALLOWED,
    ),
    "disconnect_app": Call(lambda user, _: {"p_person": str(user), "p_app": SECRET}, NOT_ALLOWED),
    "take_refresh": Call(lambda _, __: {"p_connection_id": uuid4(), "p_version": 1, "p_seconds": 4.0}, NOT_ALLOWED),
    "put_refresh": Call(
        lambda _, __: {"p_connection_id": uuid4(), "p_version": 1, "p_sealed": "\\x00", "p_ends_at": None}, NOT_ALLOWED
    ),
    "take_revocations": Call(lambda _, __: {"p_limit": 9}, NOT_ALLOWED),
    "sweep_connections": Call(lambda _, __: {"p_unused_seconds": 0.0}, NOT_ALLOWED),
}
INTERNAL = {
    "hold_profile": Call(lambda user, _: {"p_user_id": user, "p_email": "bob@example.com"}, NOT_ALLOWED),
    "hold_conversation_of": Call(lambda user, her: {"p_user_id": user, "p_session_id": her.session}, None),
    "folded": Call(lambda _, __: {"p_text": "Où"}, "ou"),
    "memory_replaced": Call(lambda _, __: {}, NOT_ALLOWED),
    "memory_late": Call(lambda _, __: {}, NOT_ALLOWED),
    "memory_reworded": Call(lambda _, __: {}, NOT_ALLOWED),
    "memory_uncurated": Call(lambda _, __: {}, NOT_ALLOWED),
    "memory_versioned": Call(lambda _, __: {}, NOT_ALLOWED),
    "memory_counted": Call(lambda _, __: {}, NOT_ALLOWED),
    "memory_gone": Call(lambda _, __: {}, NOT_ALLOWED),
    "give_back": Call(lambda _, __: {}, NOT_ALLOWED),
}
CALLS = PERSONS | WORKERS
EVERYTHING = CALLS | INTERNAL


def _with_one_more(user: UUID, her: Life) -> dict[str, Any]:
    profile = her.export["profile"] | {"id": str(user)}
    return her.export | {"profile": profile, "memories": [*her.export["memories"], memory("planted", "planted")]}


def answer(asking: Asking, name: str, arguments: dict[str, Any]) -> Any:
    """What the function says, or the SQLSTATE with which it refuses. What it says to a refusal betrays nobody."""
    schema = asking.schemas.hidden if name in INTERNAL else asking.schemas.exposed
    given = {key: Jsonb(value) if isinstance(value, (dict, list)) else value for key, value in arguments.items()}
    named = sql.SQL(", ").join(sql.SQL("{} => {}").format(sql.Identifier(key), sql.Placeholder(key)) for key in given)
    try:
        with asking.connection.transaction():
            statement = sql.SQL("select {}({})").format(sql.Identifier(schema, name), named)
            [[said]] = asking.connection.execute(statement, given).fetchall()
            return said
    except psycopg.Error as refused:
        assert SECRET not in str(refused)
        return refused.sqlstate


def state(asking: Asking, statement: str, arguments: list[Any] | None = None) -> str | int:
    """The SQLSTATE with which a statement is refused, or how many rows it gave or changed. It is not committed."""
    try:
        with asking.connection.transaction(force_rollback=True):
            return asking.execute(statement, arguments).rowcount
    except psycopg.Error as refused:
        assert SECRET not in str(refused)
        return refused.sqlstate or ""


# -- nothing is forgotten


def test_every_table_and_view_is_in_these_tests(standing: Database) -> None:
    with standing.owner() as owner:
        found = owner.rows(
            "select relnamespace::regnamespace::text || '.' || relname from pg_class"
            " where relnamespace::regnamespace::text in ('public', 'rapport') and relkind not in ('i', 'I', 't', 'c')"
        )
    assert {name for (name,) in found} == {standing.schemas.placed(name) for name in TABLES}


def test_every_function_is_in_these_tests(standing: Database) -> None:
    with standing.owner() as owner:
        found = owner.rows(
            "select proname, array(select name from unnest(proargnames) name where starts_with(name, 'p_'))"
            " from pg_proc where pronamespace::regnamespace::text in ('public', 'rapport')"
        )
    someone = Life(uuid4(), EMPTY | {"profile": {}, "conversations": [{"id": ""}], "sessions": [{"id": ""}]})
    assert {name: set(parameters or ()) for name, parameters in found} == {
        name: set(call.arguments(someone.user, someone)) for name, call in EVERYTHING.items()
    }


def test_no_function_runs_with_the_rights_of_its_owner(standing: Database) -> None:
    with standing.owner() as owner:
        assert owner.rows(
            "select proname from pg_proc where pronamespace::regnamespace::text in ('public', 'rapport')"
            " and (prosecdef or not proconfig @> array['search_path=\"\"'])"
        ) == []  # fmt: skip


def test_every_table_has_row_level_security_and_no_view_runs_with_the_rights_of_its_owner(standing: Database) -> None:
    with standing.owner() as owner:
        assert owner.rows(
            "select relname from pg_class where relnamespace::regnamespace::text in ('public', 'rapport')"
            " and (relkind = 'r' and not relrowsecurity"
            "      or relkind in ('v', 'm') and not coalesce(reloptions, '{}') @> array['security_invoker=true'])"
        ) == []  # fmt: skip


def test_every_foreign_key_between_our_tables_carries_the_person(standing: Database) -> None:
    with standing.owner() as owner:
        keys = owner.rows(
            "select conname, (select array_agg(attname) from pg_attribute"
            " where attrelid = conrelid and attnum = any (conkey))"
            " from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace"
        )
    assert len(keys) >= 6
    assert [name for name, columns in keys if "user_id" not in columns] == []


# -- another person


@pytest.mark.parametrize("name", EVERYTHING)
def test_another_persons_token_gets_nothing_from(as_bob: Asking, alice: Life, name: str) -> None:
    call = EVERYTHING[name]

    assert answer(as_bob, name, call.arguments(alice.user, alice)) == call.by_another


@pytest.mark.parametrize("name", EVERYTHING)
def test_it_cannot_even_tell_whether_the_person_exists_by(as_bob: Asking, alice: Life, name: str) -> None:
    call = EVERYTHING[name]

    existing, nobody = (answer(as_bob, name, call.arguments(user, alice)) for user in (alice.user, uuid4()))

    assert existing == nobody


def test_nor_by_naming_her_conversation_and_session_under_its_own_id(
    standing: Database, worker: Asking, alice: Life, role: str
) -> None:
    mallory = live(worker, "mallory")
    with standing.asking(role, mallory.user) as asking:
        said = {
            name: answer(asking, name, PERSONS[name].arguments(mallory.user, alice))
            for name in ("append_turns", "touch_session", "end_session", "summarise", "retrieve", "forget", "redact")
        }
        assert said == {name: PERSONS[name].by_another for name in said}
        assert asking.call("export_user", mallory.user) == mallory.export


def test_her_export_cannot_be_brought_in_under_another_id(
    standing: Database, worker: Asking, alice: Life, role: str
) -> None:
    mallory = live(worker, "mallory")
    with standing.asking(role, mallory.user) as asking:
        assert answer(asking, "import_user", {"p_user_id": mallory.user, "p_document": alice.export}) == "22023"
        theirs = _with_one_more(mallory.user, alice)
        assert answer(asking, "import_user", {"p_user_id": mallory.user, "p_document": theirs}) == "23505"
        assert asking.call("export_user", mallory.user) == mallory.export


@pytest.mark.parametrize("table", [table for table, whose in TABLES.items() if whose])
def test_another_person_reads_and_counts_only_their_own_rows_of(
    as_bob: Asking, standing: Database, alice: Life, bob: Life, table: str
) -> None:
    whose = TABLES[table]
    with standing.owner() as owner:
        hers, his = (
            owner.rows(f"select count(*) from {table} where {whose} = %s", [person.user])[0][0]
            for person in (alice, bob)
        )
    assert hers
    assert his

    assert as_bob.rows(f"select count(*), bool_and({whose} = %s) from {table}", [bob.user]) == [(his, True)]
    assert as_bob.rows(f"select * from {table} where {whose} = %s", [alice.user]) == []
    assert SECRET not in str(as_bob.rows(f"select * from {table}"))


def test_statistics_tell_another_person_nothing(as_bob: Asking, standing: Database, alice: Life) -> None:
    with standing.owner() as owner:
        owner.changed("analyze public.memories, public.messages, public.profiles, public.conversations")

    assert as_bob.rows("select * from pg_stats where schemaname = 'public'") == []


@pytest.mark.parametrize(("table", "whose"), [item for item in TABLES.items() if item[0].startswith("public.")])
def test_another_person_cannot_add_a_row_of_hers_to(
    as_bob: Asking, standing: Database, alice: Life, table: str, whose: str | None
) -> None:
    for change in ({}, {"key": "planted", "id": str(uuid4()), "seq": 99, "name": "planted", "source": None}):
        row = _a_row(standing, table, whose, alice) | ({} if table == "public.profiles" else change)
        assert state(
            as_bob, f"insert into {table} select * from jsonb_populate_record(null::{table}, %s)", [Jsonb(row)]
        ) == (NOT_ALLOWED)


@pytest.mark.parametrize("table", ["public.memories", "public.memory_history", "public.sessions", "public.messages"])
def test_another_person_cannot_hang_a_row_of_theirs_under_hers_in(
    as_bob: Asking, standing: Database, alice: Life, bob: Life, table: str
) -> None:
    row = _a_row(standing, table, "user_id", alice) | {
        "user_id": str(bob.user),
        "conversation_id": alice.conversation,
        "id": str(uuid4()),
        "seq": 99,
    }

    refused = state(as_bob, f"insert into {table} select * from jsonb_populate_record(null::{table}, %s)", [Jsonb(row)])

    assert refused == "23503"


@pytest.mark.parametrize(("table", "whose"), TABLES.items())
def test_another_person_cannot_change_her_rows_of(
    as_bob: Asking, standing: Database, alice: Life, table: str, whose: str | None
) -> None:
    schema, name = standing.schemas.placed(table).split(".")
    with standing.owner() as owner:
        columns = owner.rows(
            "select column_name from information_schema.columns where (table_schema, table_name) = (%s, %s)",
            [schema, name],
        )
    condition, given = (f"where {whose} = %s", [alice.user]) if whose else ("", [])

    refused = (NOT_ALLOWED, "55000", "0A000", "42809")  # not allowed, no view or column to change, no table
    for (column,) in columns:
        assert state(as_bob, f"update {table} set {column} = {column} {condition}", given) in (0, *refused), column
    assert state(as_bob, f"delete from {table} {condition}", given) in (0, *refused)
    assert state(as_bob, f"truncate {table} cascade") in refused


@pytest.mark.parametrize(
    ("table", "whose"), [item for item in TABLES.items() if item[1] and item[0].startswith("public.")]
)
def test_another_person_cannot_move_their_rows_to_her_in(as_bob: Asking, alice: Life, table: str, whose: str) -> None:
    assert state(as_bob, f"update {table} set {whose} = %s", [alice.user]) == NOT_ALLOWED


def _a_row(standing: Database, table: str, whose: str | None, person: Life) -> dict[str, Any]:
    if whose is None:
        return {"name": "planted", "holder": "bob", "until": SAID_AT}
    with standing.owner() as owner:
        [[row]] = owner.rows(f"select to_jsonb(t) from {table} t where {whose} = %s limit 1", [person.user])
        return row


# -- another person, through PostgREST


class Through:
    """Requests with one key and, perhaps, one token."""

    def __init__(self, rest: PostgREST, client: httpx.Client, key: str, token: str | None, schema: str) -> None:
        self._base = f"{rest.url}/rest/v1"
        self._client = client
        self._headers = {"apikey": key} | ({"Authorization": f"Bearer {token}"} if token else {})
        if schema != "public":
            self._headers |= {"Accept-Profile": schema, "Content-Profile": schema}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        content = None if body is None else json.dumps(body, default=str)
        headers = self._headers | {"Content-Type": "application/json"} | headers
        return self._client.request(method, f"{self._base}/{path}", content=content, headers=headers)

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """The answer, or the SQLSTATE."""
        answered = self.ask("POST", f"rpc/{name}", arguments)
        if answered.status_code == 204:
            return None
        return answered.json() if answered.is_success else answered.json()["code"]


Connect = Callable[..., Through]


@pytest.fixture(scope="module")
def connect(rest: PostgREST, standing: Database) -> Iterator[Connect]:
    with httpx.Client(timeout=10) as client:
        yield lambda key, token=None: Through(rest, client, key, token, standing.schemas.exposed)


@pytest.fixture(params=["publishable", "secret"])
def bob_outside(request: pytest.FixtureRequest, rest: PostgREST, connect: Connect, bob: Life, role: str) -> Through:
    """His token counts, whichever key comes with it."""
    key = rest.publishable_key if request.param == "publishable" else rest.secret_key
    return connect(key, rest.token(bob.user, role))


@pytest.mark.parametrize("name", CALLS)
def test_through_postgrest_another_persons_token_gets_nothing_from(
    bob_outside: Through, alice: Life, name: str
) -> None:
    call = CALLS[name]

    assert bob_outside.call(name, call.arguments(alice.user, alice)) == call.by_another


@pytest.mark.parametrize("table", EXPOSED)
def test_through_postgrest_another_person_reaches_no_row_of(
    bob_outside: Through, standing: Database, alice: Life, bob: Life, table: str
) -> None:
    whose = TABLES[f"public.{table}"]
    if whose is None:
        for method in ("GET", "POST", "PATCH", "DELETE"):
            planted = {NOBODYS[table]: "planted"}
            assert bob_outside.ask(method, table, planted).json()["code"] == NOT_ALLOWED
        return

    read = bob_outside.ask("GET", table, Prefer="count=exact")
    assert {row[whose] for row in read.json()} == {str(bob.user)}
    assert read.headers["content-range"].endswith(f"/{len(read.json())}")
    hers = f"{table}?{whose}=eq.{alice.user}"
    assert bob_outside.ask("GET", hers).json() == []
    assert SECRET not in read.text
    assert bob_outside.ask("HEAD", hers, Prefer="count=exact").headers["content-range"] == "*/0"

    row = _a_row(standing, f"public.{table}", whose, alice)
    assert bob_outside.ask("POST", table, row).json()["code"] == NOT_ALLOWED
    upsert = bob_outside.ask("POST", table, row, Prefer="resolution=merge-duplicates")
    assert upsert.json()["code"] == NOT_ALLOWED
    given = "Prefer", "return=representation"
    gone = bob_outside.ask("DELETE", hers, **dict([given]))
    assert gone.json() == []
    moved = bob_outside.ask("PATCH", f"{table}?{whose}=eq.{bob.user}", {whose: str(alice.user)})
    assert moved.json()["code"] == NOT_ALLOWED


@pytest.mark.parametrize("name", [*INTERNAL, *(name for name in TABLES if name.startswith("rapport."))])
def test_what_is_internal_cannot_be_reached_through_postgrest(
    bob_outside: Through, rest: PostgREST, connect: Connect, standing: Database, name: str
) -> None:
    for asking in (bob_outside, connect(rest.secret_key)):
        path = name.removeprefix("rapport.")
        assert (
            asking.ask("POST" if name in INTERNAL else "GET", f"rpc/{path}" if name in INTERNAL else path).status_code
            == 404
        )
        for hidden in ("rapport", standing.schemas.hidden):
            assert asking.ask("GET", path, **{"Accept-Profile": hidden}).status_code == 406


def test_a_row_of_hers_cannot_be_reached_by_embedding(bob_outside: Through, alice: Life, bob: Life) -> None:
    for path in (
        "profiles?select=*,memories(*),conversations(*,messages(*),sessions(*))",
        "messages?select=*,conversations(*,profiles(*))",
        f"conversations?select=*,messages(*)&messages.user_id=eq.{alice.user}",
    ):
        read = bob_outside.ask("GET", path)
        assert read.status_code == 200, read.text
        assert SECRET not in read.text
        assert str(alice.user) not in read.text


# -- tokens that are nobody's


def forged(rest: PostgREST, alice: Life) -> dict[str, str]:
    claims = {"role": "authenticated", "sub": str(alice.user), "aud": "authenticated", "exp": 4102444800}
    body = {"service_role": claims | {"role": "service_role"}}["service_role"]
    return {
        "expired": rest.token(alice.user, seconds=-3600),
        "signed with another secret": jwt.encode(claims, "x" * 64, algorithm="HS256"),
        "signed with the key as it is printed": jwt.encode(claims, rest.anon_key, algorithm="HS256"),
        "unsigned": jwt.encode(body, None, algorithm="none"),
        "of a role that nobody may take": rest.token(alice.user, "postgres"),
        "of the authenticator": rest.token(alice.user, "supabase_admin"),
        "not a token": "alice",
    }


@pytest.mark.parametrize(
    "kind",
    [
        "expired",
        "signed with another secret",
        "signed with the key as it is printed",
        "unsigned",
        "of a role that nobody may take",
        "of the authenticator",
        "not a token",
    ],
)
def test_a_token_is_refused_that_is(rest: PostgREST, connect: Connect, alice: Life, kind: str) -> None:
    for key in (rest.publishable_key, rest.secret_key):
        asking = connect(key, forged(rest, alice)[kind])
        for answered in (
            asking.ask("GET", "memories"),
            asking.ask("POST", "rpc/export_user", {"p_user_id": alice.user}),
        ):
            assert answered.status_code in (400, 401, 403)
            assert SECRET not in answered.text


@pytest.mark.parametrize("sub", [None, "", "alice@example.com", "0"])
def test_a_token_without_a_user_id_has_no_rows(
    rest: PostgREST, connect: Connect, alice: Life, role: str, sub: str | None
) -> None:
    asking = connect(rest.publishable_key, rest.token("", role, sub=sub))

    read, called = asking.ask("GET", "memories"), asking.call("export_user", {"p_user_id": alice.user})

    assert read.json() == [] if read.is_success else read.json()["code"] in ("22P02", "PGRST301", "PGRST303")
    assert called in (EMPTY, "22P02", "PGRST301", "PGRST303")


def test_a_key_that_does_not_exist_opens_nothing(connect: Connect, alice: Life) -> None:
    for key in ("sb_secret_guessed", "", "anon"):
        assert connect(key).ask("GET", "memories").status_code == 401


# -- anonymous


@pytest.fixture
def as_anybody(standing: Database) -> Iterator[Asking]:
    with standing.asking("anon") as asking:
        yield asking


@pytest.mark.parametrize("name", EVERYTHING)
def test_anonymous_may_not_call(as_anybody: Asking, alice: Life, name: str) -> None:
    assert answer(as_anybody, name, EVERYTHING[name].arguments(alice.user, alice)) == NOT_ALLOWED


@pytest.mark.parametrize("table", TABLES)
def test_anonymous_may_not_touch(as_anybody: Asking, standing: Database, alice: Life, table: str) -> None:
    for statement in (
        f"select from {table}",
        f"insert into {table} default values",
        f"delete from {table}",
        f"truncate {table}",
    ):
        assert state(as_anybody, statement) in (NOT_ALLOWED, "42809")
    with standing.owner() as owner:
        assert owner.rows(
            "select has_any_column_privilege('anon', %s, 'select, insert, update, references')", [table]
        ) == [(False,)]


@pytest.mark.parametrize("key", ["anon_key", "publishable_key"])
def test_through_postgrest_anonymous_gets_nothing_at_all(
    rest: PostgREST, connect: Connect, alice: Life, key: str
) -> None:
    anybody = connect(getattr(rest, key))

    for name, call in CALLS.items():
        assert anybody.call(name, call.arguments(alice.user, alice)) == NOT_ALLOWED, name
    for table in EXPOSED:
        for method in ("GET", "POST", "PATCH", "DELETE"):
            assert anybody.ask(method, table, {}).status_code == 401, (method, table)
    assert set(anybody.ask("GET", "").json()["paths"]) == {"/"}, "it is told of tables and functions"


def test_the_key_alone_is_nobody(standing: Database, role: str, alice: Life) -> None:
    """A role without claims, as on a connection where somebody forgot to set them."""
    with standing.asking(role) as asking:
        for table in TABLES:
            assert state(asking, f"select from {table}") in (0, NOT_ALLOWED)
        assert answer(asking, "export_user", {"p_user_id": alice.user}) == EMPTY
        assert answer(asking, "ensure_profile", {"p_user_id": alice.user}) == NOT_ALLOWED


# -- the person


@pytest.mark.parametrize("name", [*WORKERS, "memory_replaced", "memory_late"])
def test_a_person_may_not_call_what_is_the_workers(as_bob: Asking, bob: Life, name: str) -> None:
    assert answer(as_bob, name, EVERYTHING[name].arguments(bob.user, bob)) == NOT_ALLOWED


def test_a_persons_own_token_is_enough_for_their_whole_life(
    standing: Database, rest: PostgREST, connect: Connect, role: str
) -> None:
    user = uuid4()
    with standing.asking(role, user) as asking:
        inside = live(asking, "my-own", user)
    outside = connect(rest.publishable_key, rest.token(inside.user, role))
    with standing.asking(role, inside.user) as asking:
        assert asking.call("export_user", inside.user) == inside.export
    assert outside.call("export_user", {"p_user_id": inside.user}) == inside.export
    assert outside.call("complete_first_login", {"p_user_id": inside.user}) is True
    assert (
        outside.call(
            "end_session",
            {"p_user_id": inside.user, "p_session_id": inside.session, "p_job": "my-own", "p_reason": "left"},
        )
        is True
    )
    assert outside.call("forget", {"p_user_id": inside.user, "p_category": "PREFERENCE", "p_key": "my-own"}) is True
    document = outside.call("export_user", {"p_user_id": inside.user})
    assert outside.call("erase_user", {"p_user_id": inside.user})["conversations"] == 1
    assert outside.call("import_user", {"p_user_id": inside.user, "p_document": document}) is None
    assert outside.call("export_user", {"p_user_id": inside.user}) == document
    assert outside.call("erase_user", {"p_user_id": inside.user})["profiles"] == 1


def test_voice_agent_has_nothing_else_of_the_project(database: Database) -> None:
    with database.owner() as owner:
        owner.changed("create table public.payments (id int)")
        owner.changed("grant select on public.payments to authenticated")
    with database.asking("voice_agent", uuid4()) as person:
        assert state(person, "select from public.payments") == NOT_ALLOWED
        assert state(person, "select from auth.users") == NOT_ALLOWED
        assert state(person, "create table public.mine (id int)") == NOT_ALLOWED
        assert state(person, "create table rapport.mine (id int)") == NOT_ALLOWED


# -- the worker


def test_the_workers_key_does_everything_for_everybody(rest: PostgREST, connect: Connect, standing: Database) -> None:
    with standing.asking("service_role") as asking:
        person = live(asking, "anybody")
    for key in (rest.secret_key, rest.service_role_key):
        worker = connect(key)
        assert worker.call("export_user", {"p_user_id": person.user}) == person.export
        assert str(person.user) in str(worker.call("list_sessions", {"p_living": True, "p_limit": 1000}))
        assert worker.call("describe_schema", {})["anon_may_call"] == []
        for table in EXPOSED:
            assert worker.ask("GET", table).status_code == 200
    assert connect(rest.secret_key).call("erase_user", {"p_user_id": person.user})["profiles"] == 1
