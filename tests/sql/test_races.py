"""Many at once: each asks on a connection of its own, and all start together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.sql.asking import Asking, Database, memory, turn

AtOnce = Callable[[Callable[[Asking, int], Any]], list[Any]]


@pytest.fixture(scope="module", params=[16, pytest.param(100, marks=pytest.mark.soak)])
def callers(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def rounds(callers: int) -> range:
    return range(20 if callers == 100 else 3)


@pytest.fixture(scope="module")
def at_once(standing: Database, callers: int) -> Iterator[AtOnce]:
    """Ask with all of them at the same moment; their answers. A failure of one is a failure of the test."""
    gate = Barrier(callers)
    with ExitStack() as stack, ThreadPoolExecutor(callers) as threads:
        askings = [stack.enter_context(standing.asking("service_role")) for _ in range(callers)]

        def one(ask: Callable[[Asking, int], Any], number: int) -> Any:
            gate.wait(30)
            return ask(askings[number], number)

        yield lambda ask: list(threads.map(lambda number: one(ask, number), range(callers)))


def test_exactly_one_makes_the_profile(at_once: AtOnce, rounds: range) -> None:
    for _ in rounds:
        user = uuid4()
        answers = at_once(lambda asking, _, user=user: asking.call("ensure_profile", user, "a@example.com"))

        assert [answer["created"] for answer in answers].count(True) == 1
        assert len({answer["created_at"] for answer in answers}) == 1


def test_exactly_one_gets_the_first_greeting(at_once: AtOnce, rounds: range) -> None:
    for _ in rounds:
        user = uuid4()
        at_once(lambda asking, _, user=user: asking.call("ensure_profile", user))
        greetings = at_once(lambda asking, _, user=user: asking.call("complete_first_login", user))

        assert greetings.count(True) == 1
        assert greetings.count(False) == len(greetings) - 1


def test_all_are_in_one_session_of_one_conversation(at_once: AtOnce, rounds: range, callers: int) -> None:
    for _ in rounds:
        user = uuid4()
        started = at_once(lambda asking, number, user=user: asking.start(user, job=f"job-{number}"))

        assert len({answer["session_id"] for answer in started}) == 1
        assert len({answer["conversation_id"] for answer in started}) == 1
        assert [answer["resumed"] for answer in started].count(False) == 1
        assert [answer["created"] for answer in started].count(True) == 1

        session = UUID(started[0]["session_id"])
        ended = at_once(
            lambda asking, number, user=user, session=session: asking.call(
                "end_session", user, session, f"job-{number}", "left"
            )
        )
        assert ended.count(True) == 1
        assert len(ended) == callers


def test_one_job_that_tries_again_and_again_is_in_one_session(at_once: AtOnce, rounds: range) -> None:
    for _ in rounds:
        user = uuid4()
        started = at_once(lambda asking, _, user=user: asking.start(user, job="job-1", resume=0.0))

        assert len({(answer["session_id"], answer["resumed"]) for answer in started}) == 1


def test_one_holds_the_lease(at_once: AtOnce, rounds: range) -> None:
    for _ in rounds:
        name = str(uuid4())
        taken = at_once(lambda asking, number, name=name: asking.call("take_lease", name, str(number), 60.0))

        assert taken.count(True) == 1


def test_a_lease_that_has_run_out_goes_to_one(at_once: AtOnce, rounds: range) -> None:
    for _ in rounds:
        name = str(uuid4())
        at_once(lambda asking, number, name=name: number or asking.call("take_lease", name, "before", 0.0))
        taken = at_once(lambda asking, number, name=name: asking.call("take_lease", name, str(number), 60.0))

        assert taken.count(True) == 1


def test_statements_of_one_moment_are_all_kept(
    at_once: AtOnce, rounds: range, callers: int, standing: Database
) -> None:
    for _ in rounds:
        user = uuid4()
        kept = at_once(
            lambda asking, number, user=user: asking.call(
                "remember", user, [memory(f"{number}", "user_input_1", "FACT", source=f"turn-{number}")]
            )
        )

        assert sorted(one["key"] for [one] in kept) == sorted(f"user_input_{n + 1}" for n in range(callers))


def test_of_values_for_one_key_one_holds_and_the_others_are_past(at_once: AtOnce, rounds: range, callers: int) -> None:
    for _ in rounds:
        user = uuid4()
        items = [[memory(f"{number}", "b"), memory(f"{number}", "a")] for number in range(callers)]
        for item in items[::2]:
            item.reverse()  # in either order: nobody may wait for each other
        at_once(lambda asking, number, user=user, items=items: asking.call("remember", user, items[number]))

        export = at_once(lambda asking, _, user=user: asking.call("export_user", user))[0]
        assert len(export["memories"]) == 2
        assert len(export["past"]) == 2 * (callers - 1)


def test_turns_of_two_devices_are_all_written_and_counted_without_a_gap(
    at_once: AtOnce, rounds: range, callers: int, standing: Database
) -> None:
    for _ in rounds:
        user = uuid4()
        with standing.asking("service_role") as asking:
            conversation = asking.start(user)["conversation_id"]
        new = at_once(
            lambda asking, number, user=user, conversation=conversation: asking.call(
                "append_turns", user, conversation, [turn(f"{number}"), turn("same", id="same")]
            )
        )

        assert sum(new) == callers + 1
        with standing.owner() as owner:
            numbers = owner.rows("select seq from public.messages where user_id = %s order by seq", [user])
        assert [seq for (seq,) in numbers] == list(range(1, callers + 2))


def test_erasing_while_everybody_writes_leaves_nothing_half(at_once: AtOnce, rounds: range, standing: Database) -> None:
    """Whoever comes too late is told so (40001: call again), or finds nothing; nobody waits for each other."""
    for _ in rounds:
        user = uuid4()
        with standing.asking("service_role") as asking:
            started = asking.start(user)

        def ask(asking: Asking, number: int, user: UUID = user, started: dict[str, Any] = started) -> None:
            try:
                match number % 5:
                    case 0:
                        asking.call("erase_user", user)
                    case 1:
                        asking.call("append_turns", user, started["conversation_id"], [turn()])
                    case 2:
                        asking.call("end_session", user, started["session_id"], "job-1", "left")
                    case 3:
                        asking.start(user, job=f"job-{number}")
                    case _:
                        asking.call("remember", user, [memory()])
            except psycopg.errors.SerializationFailure:
                pass

        at_once(ask)
        with standing.asking("service_role") as asking:
            left = asking.call("export_user", user)
            assert left["profile"] or not any(left.values())
            asking.call("erase_user", user)
            assert not any(asking.call("export_user", user).values())
