"""What `tests/memory/test_contract.py` cannot see of the functions: second tries, locks, and how they sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.sql.asking import SAID_AT, Asking, Database, memory, turn


@pytest.fixture
def worker(standing: Database) -> Iterator[Asking]:
    with standing.asking("service_role") as asking:
        yield asking


@pytest.fixture
def alice() -> UUID:
    return uuid4()


# -- profiles


def test_who_comes_back_costs_no_write(worker: Asking, alice: UUID) -> None:
    worker.call("ensure_profile", alice, "alice@example.com")

    def version() -> list[Any]:
        return worker.rows("select xmin, xmax, ctid from public.profiles where id = %s", [alice])

    before = version()
    assert worker.call("ensure_profile", alice, "other@example.com")["created"] is False
    assert version() == before


def test_without_a_user_there_is_no_profile(worker: Asking) -> None:
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        worker.call("ensure_profile", None)


# -- memories


def test_two_memories_of_one_moment_do_not_replace_each_other(worker: Asking, alice: UUID) -> None:
    items = [memory(text, "user_input_99", "FACT", source=text) for text in ("one", "two", "three")]

    kept = worker.call("remember", alice, items)

    assert [(item["key"], item["value"]) for item in kept] == [
        ("user_input_99", "one"),
        ("user_input_100", "two"),
        ("user_input_101", "three"),
    ]


def test_a_second_try_of_a_statement_adds_nothing(worker: Asking, alice: UUID) -> None:
    items = [memory("one", "user_input_7", "FACT", source="turn-1"), memory("two", "user_input_7", "FACT")]

    worker.call("remember", alice, items)
    first = worker.call("list_memories", alice)
    worker.call("remember", alice, items)

    assert worker.call("list_memories", alice) == first
    assert len(first) == 2


def test_all_are_kept_or_none(worker: Asking, alice: UUID) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        worker.call("remember", alice, [memory("kept?", "first"), memory("x" * 4001, "second")])

    assert worker.call("list_memories", alice) == []


def test_what_is_replaced_goes_into_the_past_and_what_is_repeated_does_not(worker: Asking, alice: UUID) -> None:
    later, latest = "2026-11-21T13:00:00.000000+00:00", "2026-11-21T14:00:00.000000+00:00"
    worker.call("remember", alice, [memory("blue")])
    worker.call("remember", alice, [memory("blue", said_at=later)])
    worker.call("remember", alice, [memory("green", said_at=latest)])

    [past] = worker.call("list_past", alice)

    assert (past["value"], past["said_at"], past["until"]) == ("blue", later, latest)


def test_who_forgets_a_memory_forgets_its_past(worker: Asking, alice: UUID) -> None:
    worker.call("remember", alice, [memory("blue"), memory("Ada", "name", "FACT")])
    worker.call("remember", alice, [memory("green"), memory("Eve", "name", "FACT")])

    assert worker.call("forget", alice, "PREFERENCE", "favorite_color") is True

    assert [past["value"] for past in worker.call("list_past", alice)] == ["Ada"]
    assert worker.call("forget", alice, "PREFERENCE", "favorite_color") is False


def test_what_has_expired_is_as_if_it_had_never_been_told(worker: Asking, alice: UUID) -> None:
    worker.call("remember", alice, [memory("blue", expires_at="2026-11-21T12:00:01+00:00")])

    assert worker.call("retrieve", alice, "PREFERENCE", "favorite_color") is None
    assert worker.call("list_memories", alice) == []
    worker.call("remember", alice, [memory("green")])
    assert worker.call("list_past", alice) == []


def test_one_turn_may_state_several_things_but_once(worker: Asking, alice: UUID) -> None:
    items = [memory("Ada", "name", "FACT", source="turn-1"), memory("Rome", "city", "FACT", source="turn-1")]

    assert len(worker.call("remember", alice, items)) == 2
    assert worker.call("remember", alice, items) == []


def test_a_memory_cannot_change_its_person_or_its_key(worker: Asking, standing: Database, alice: UUID) -> None:
    worker.call("remember", alice, [memory()])
    for column in ("user_id", "key", "category"):
        with standing.asking("voice_agent", alice) as person, pytest.raises(psycopg.errors.InsufficientPrivilege):
            person.changed(f"update public.memories set {column} = {column}")


# -- conversations


def test_a_second_try_of_the_same_job_finds_what_the_first_made(worker: Asking, alice: UUID) -> None:
    first, second = (worker.start(alice, resume=0.0) for _ in range(2))

    same = ("session_id", "conversation_id", "resumed", "turns", "summary")
    assert [first[name] for name in same] == [second[name] for name in same]
    assert first["resumed"] is False


def test_a_second_device_joins_the_living_session(worker: Asking, alice: UUID) -> None:
    first = worker.start(alice)
    worker.call("append_turns", alice, first["conversation_id"], [turn("I am at the door")])

    second = worker.start(alice, job="job-2")

    assert (second["session_id"], second["resumed"]) == (first["session_id"], True)
    assert [said["text"] for said in second["turns"]] == ["I am at the door"]


def test_a_session_ends_with_its_last_job_and_once(worker: Asking, alice: UUID) -> None:
    session = worker.start(alice)["session_id"]
    worker.start(alice, job="job-2")

    assert worker.call("end_session", alice, session, "job-1", "left") is False
    assert worker.call("end_session", alice, session, "job-1", "left") is False, "its second try"
    assert worker.call("touch_session", alice, session) is True
    assert worker.call("end_session", alice, session, "job-2", "left") is True
    assert worker.call("end_session", alice, session, "job-2", "left") is False
    assert worker.call("touch_session", alice, session) is False


def test_whoever_comes_back_in_time_is_in_the_same_conversation_but_a_new_session(worker: Asking, alice: UUID) -> None:
    first = worker.start(alice)
    worker.call("end_session", alice, first["session_id"], "job-1", "left")

    back = worker.start(alice, job="job-2")

    assert (back["conversation_id"], back["resumed"]) == (first["conversation_id"], True)
    assert back["session_id"] != first["session_id"]


def test_another_thread_is_another_conversation(worker: Asking, alice: UUID) -> None:
    assert worker.start(alice)["conversation_id"] != worker.start(alice, thread="car")["conversation_id"]


def test_who_is_too_late_gets_the_summary_of_before(worker: Asking, alice: UUID) -> None:
    first = worker.start(alice)
    assert worker.call("summarise", alice, first["conversation_id"], "We spoke of boats.") is True

    late = worker.start(alice, job="job-2", resume=0.0)

    assert (late["resumed"], late["turns"], late["summary"]) == (False, [], "We spoke of boats.")


def test_who_was_silent_for_long_but_there_has_not_left(worker: Asking, standing: Database, alice: UUID) -> None:
    first = worker.start(alice)
    with standing.superuser() as superuser:
        superuser.changed(
            "update public.conversations set active_at = now() - interval '1 day' where user_id = %s", [alice]
        )
    worker.call("touch_session", alice, first["session_id"])

    assert worker.start(alice, job="job-2")["session_id"] == first["session_id"]


def test_a_turn_is_written_once_and_corrected_later(worker: Asking, alice: UUID) -> None:
    conversation = worker.start(alice)["conversation_id"]
    one, two = turn("one"), turn("two")

    assert worker.call("append_turns", alice, conversation, [one, two]) == 2
    assert worker.call("append_turns", alice, conversation, [two, one]) == 0
    assert (
        worker.call("append_turns", alice, conversation, [two | {"text": "tw", "interrupted": True}, turn("three")])
        == 1
    )

    turns = worker.start(alice, job="job-2")["turns"]
    assert [(said["text"], said["interrupted"]) for said in turns] == [("one", False), ("tw", True), ("three", False)]


def test_only_the_last_turns_are_given_oldest_first(worker: Asking, alice: UUID) -> None:
    conversation = worker.start(alice)["conversation_id"]
    worker.call("append_turns", alice, conversation, [turn(str(number)) for number in range(30)])

    assert [said["text"] for said in worker.start(alice, job="job-2")["turns"]] == [str(n) for n in range(10, 30)]


# -- a person's rights


@pytest.fixture
def life(worker: Asking, alice: UUID) -> dict[str, Any]:
    """An export of somebody with something in every table."""
    session = worker.start(alice)
    worker.call("append_turns", alice, session["conversation_id"], [turn("hello"), turn("hi", role="assistant")])
    worker.call("summarise", alice, session["conversation_id"], "Hellos.")
    worker.call("end_session", alice, session["session_id"], "job-1", "left")
    worker.start(alice, thread="car", job="job-2")
    worker.call("complete_first_login", alice)
    for value in ("blue", "green", "red"):
        worker.call("remember", alice, [memory(value, source=value, conversation_id=session["conversation_id"])])
    worker.call("remember", alice, [memory("in May", "trip", "PLAN", expires_at="2099-05-31T00:00:00+00:00")])
    document: dict[str, Any] = worker.call("export_user", alice)
    assert {name for name, part in document.items() if part} == set(document), "something is empty"
    return document


def test_an_export_brought_back_is_the_same_export(worker: Asking, alice: UUID, life: dict[str, Any]) -> None:
    erased = worker.call("erase_user", alice)
    assert erased == {
        "profiles": 1, "memories": 2, "memory_history": 2, "conversations": 2, "sessions": 2, "messages": 2
    }  # fmt: skip
    assert worker.call("export_user", alice)["profile"] is None

    for _ in range(2):
        worker.call("import_user", alice, life)
        assert worker.call("export_user", alice) == life


def test_what_stands_there_already_is_kept(worker: Asking, alice: UUID, life: dict[str, Any]) -> None:
    worker.call("remember", alice, [memory("violet")])
    now = worker.call("export_user", alice)

    worker.call("import_user", alice, life)

    assert worker.call("export_user", alice) == now


def test_a_conversation_goes_on_after_it_was_brought_back(worker: Asking, alice: UUID, life: dict[str, Any]) -> None:
    worker.call("erase_user", alice)
    worker.call("import_user", alice, life)
    conversation = life["conversations"][0]["id"]

    assert worker.call("append_turns", alice, conversation, [turn("and another")]) == 1
    assert [said["text"] for said in worker.call("export_user", alice)["turns"]][-1] == "and another"


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {},
        {"profile": None},
        {"memories": 1},
        {"memories": [{"category": "FACT"}]},
        {"memories": [memory(category="no category")]},
        {"memories": [memory(said_at="yesterdayish")]},
        {"past": [memory(until=SAID_AT, conversation_id=str(uuid4()))]},
        {"profile": {"id": str(uuid4()), "email": None, "is_first_login": True, "created_at": SAID_AT}},
        {"sessions": [{"id": str(uuid4()), "conversation_id": str(uuid4()), "room": "r", "jobs": []}]},
        {"turns": [turn() | {"conversation_id": str(uuid4())}]},
    ],
    ids=lambda broken: next(iter(broken), "nothing") if isinstance(broken, dict) else "a list",
)
def test_what_is_no_export_of_this_person_changes_nothing(
    worker: Asking, alice: UUID, life: dict[str, Any], broken: Any
) -> None:
    worker.call("erase_user", alice)
    document = life | broken if broken and isinstance(broken, dict) else broken

    with pytest.raises(psycopg.Error) as refused:
        worker.call("import_user", alice, document)

    assert (refused.value.sqlstate or "")[:2] in ("22", "23")
    assert worker.call("export_user", alice)["profile"] is None


# -- the deployment


def test_sessions_that_nobody_touched_are_ended_once(worker: Asking, standing: Database, alice: UUID) -> None:
    dead, living = worker.start(alice)["session_id"], worker.start(alice, thread="car")["session_id"]
    with standing.superuser() as superuser:
        superuser.changed("update public.sessions set seen_at = '2020-01-01' where id = %s", [dead])

    [ended] = worker.call("end_abandoned", "2021-01-01T00:00:00Z", "worker lost")

    assert (ended["id"], ended["end_reason"], ended["thread"]) == (dead, "worker lost", "kitchen")
    assert worker.call("end_abandoned", "2021-01-01T00:00:00Z", "worker lost") == []
    listed = {session["id"] for session in worker.call("list_sessions", True, 1000)}
    assert living in listed
    assert dead not in listed
    assert dead in {session["id"] for session in worker.call("list_sessions", False, 1000)}


def test_a_lease_has_one_holder_until_it_runs_out(worker: Asking) -> None:
    name = str(uuid4())

    assert worker.call("take_lease", name, "one", 60.0) is True
    assert worker.call("take_lease", name, "two", 60.0) is False
    assert worker.call("take_lease", name, "one", 0.0) is True, "the holder may let go"
    assert worker.call("take_lease", name, "two", 60.0) is True


def test_purge_takes_old_turns_and_what_has_expired(database: Database) -> None:
    alice = uuid4()
    with database.asking("service_role") as worker:
        conversation = worker.start(alice)["conversation_id"]
        old, new = turn("old", said_at="2020-01-01T00:00:00Z"), turn("new")
        worker.call("append_turns", alice, conversation, [old, new])
        worker.call("remember", alice, [memory("before", "a"), memory("holds", "b")])
        worker.call("remember", alice, [memory("between", "a", expires_at="2020-01-01T00:00:00Z")])
        worker.call("remember", alice, [memory("after", "a", expires_at="2020-01-01T00:00:00Z")])

        assert worker.call("purge", "2021-01-01T00:00:00Z") == {"messages": 1, "memories": 1, "memory_history": 1}
        assert [said["text"] for said in worker.call("export_user", alice)["turns"]] == ["new"]
        assert [kept["value"] for kept in worker.call("list_memories", alice)] == ["holds"]


def test_the_description_names_no_row(worker: Asking, alice: UUID, life: dict[str, Any]) -> None:
    told = worker.call("describe_schema")

    assert str(alice) not in str(told)
    assert told["anon_may_call"] == told["anon_may_use"] == told["profile_foreign_keys"] == []
    assert set(told["row_security"].values()) == {True}
    assert len(told["row_security"]) == 12
    assert told["voice_agent"] is True
    assert told["functions"]["forget"] == "p_user_id uuid, p_category text, p_key text -> boolean"
