"""Writes that nobody waits for, and a store that is left alone: without a store, and without a clock of their own."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from memory.sessions.outbox import Breaker, Outbox
from memory.sessions.timing import Timing
from memory.stores.protocol import StoreError, StoreRefused
from tests.memory.stores.contract import ALICE

# -- the breaker


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, rest=5.0, clock=clock)


def asked(breaker: Breaker, error: BaseException | None = None) -> bool:
    """Was the store asked? It answers, or fails like this."""
    reached = False
    try:
        with breaker.call():
            reached = True
            if error:
                raise error
    except BaseException as raised:
        assert isinstance(raised, StoreError) or raised is error
    return reached


def test_while_the_store_answers_everybody_may_ask(breaker: Breaker) -> None:
    assert all(asked(breaker) for _ in range(10))
    assert (breaker.open, breaker.wait) == (False, 0)


def test_after_some_failures_in_a_row_nobody_asks_for_a_moment(breaker: Breaker, clock: Clock) -> None:
    assert [asked(breaker, StoreError("down")) for _ in range(6)] == [True] * 3 + [False] * 3
    assert (breaker.open, breaker.wait) == (True, 5.0)
    clock.now += 4.9
    assert not asked(breaker)
    with pytest.raises(StoreError, match="left alone"), breaker.call():
        pass


def test_failures_that_are_not_in_a_row_do_not_count(breaker: Breaker) -> None:
    for _ in range(5):
        assert [asked(breaker, StoreError("down")) for _ in range(2)] == [True, True]
        assert asked(breaker)
    assert not breaker.open


def test_a_refusal_is_an_answer(breaker: Breaker) -> None:
    assert all(asked(breaker, StoreRefused("no")) for _ in range(10))
    assert not breaker.open


def test_failures_with_a_refusal_between_them_are_not_in_a_row(breaker: Breaker) -> None:
    for _ in range(5):
        assert [asked(breaker, StoreError("down")) for _ in range(2)] == [True, True]
        assert asked(breaker, StoreRefused("no"))
    assert not breaker.open


def test_after_the_rest_one_probe_goes_through_and_closes_it(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        asked(breaker, StoreError("down"))
    clock.now += 5.0
    with breaker.call():
        assert not asked(breaker), "one at a time"
    assert not breaker.open
    assert asked(breaker)


def test_a_probe_that_fails_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        asked(breaker, StoreError("down"))
    for _ in range(3):
        clock.now += 5.0
        assert asked(breaker, StoreError("still down"))
        assert not asked(breaker)
        assert breaker.wait == 5.0


def test_a_probe_that_was_cancelled_lets_the_next_one_go(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        asked(breaker, StoreError("down"))
    clock.now += 5.0
    assert asked(breaker, asyncio.CancelledError())
    assert asked(breaker)
    assert not breaker.open


def test_who_has_no_time_left_may_probe_at_once(breaker: Breaker) -> None:
    for _ in range(3):
        asked(breaker, StoreError("down"))
    breaker.let_probe()
    assert asked(breaker)
    assert not breaker.open


# -- the outbox


class Shelf:
    """What was written, by a store that can be down."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.tried = 0
        self.down: StoreError | None = None
        self.tried_again = asyncio.Event()

    def write(self, text: str) -> Callable[[], Awaitable[None]]:
        async def write() -> None:
            self.tried += 1
            self.tried_again.set()
            await asyncio.sleep(0)
            if self.down:
                raise self.down
            self.written.append(text)

        return write


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    outbox = Outbox(ALICE, Breaker(), Timing(first_pause=0.001, longest_pause=0.01), capacity=100)
    yield outbox
    await outbox.aclose()


async def test_a_write_is_made_at_once(outbox: Outbox, shelf: Shelf) -> None:
    outbox.put("a turn", shelf.write("hello"))
    async with asyncio.timeout(5):
        await shelf.tried_again.wait()
        await outbox.settled()
    assert shelf.written == ["hello"]


async def test_writes_are_made_in_their_order(outbox: Outbox, shelf: Shelf) -> None:
    for i in range(50):
        outbox.put("a turn", shelf.write(str(i)))
    assert len(outbox) == 50
    assert await outbox.flush(5) == 0
    assert shelf.written == [str(i) for i in range(50)]


async def test_an_outage_loses_and_reorders_nothing(outbox: Outbox, shelf: Shelf) -> None:
    shelf.down = StoreError("down")
    for i in range(20):
        outbox.put("a turn", shelf.write(str(i)))
    async with asyncio.timeout(5):
        while shelf.tried < 5:
            shelf.tried_again.clear()
            await shelf.tried_again.wait()
    assert len(outbox) == 20
    assert shelf.written == []
    shelf.down = None
    outbox.put("a turn", shelf.write("20"))
    async with asyncio.timeout(5):
        await outbox.settled()
    assert shelf.written == [str(i) for i in range(21)]


async def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise all workers come back to a store that just got up in the same moment."""
    outbox = Outbox(ALICE, Breaker())
    pauses: list[float] = []
    monkeypatch.setattr(asyncio, "timeout", lambda seconds: pauses.append(seconds) or _Over())
    for failures in (1, 2, 3, 4, 5, 6, 10, 40):
        for _ in range(2):
            await outbox._pause(failures)
    longest = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses[::2], longest, strict=True))
    assert len(set(pauses)) == len(pauses)


class _Over:
    """A time limit that is over already."""

    async def __aenter__(self) -> None:
        raise TimeoutError

    async def __aexit__(self, *_: object) -> None: ...


async def test_what_the_store_refuses_does_not_hold_up_the_rest(
    outbox: Outbox, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused() -> None:
        raise StoreRefused("a row that no table takes")

    async def broken() -> None:
        raise KeyError("something the person said")

    outbox.put("a turn", refused)
    outbox.put("a statement", broken)
    outbox.put("a turn", shelf.write("the rest"))
    assert await outbox.flush(5) == 0
    assert shelf.written == ["the rest"]
    lost = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert lost == [
        f"[MEMORY LOST] a turn of user {ALICE}: a row that no table takes",
        f"[MEMORY LOST] a statement of user {ALICE}: KeyError",
    ]


async def test_what_does_not_fit_is_turned_away_loudly_and_what_was_taken_stays(
    outbox: Outbox, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.down = StoreError("down")
    taken = [outbox.put("a turn", shelf.write(str(i))) for i in range(103)]
    assert taken == [True] * 100 + [False] * 3
    assert len(outbox) == 100
    assert caplog.text.count("[MEMORY LOST]") == 3
    shelf.down = None
    assert await outbox.flush(5) == 0
    assert shelf.written == [str(i) for i in range(100)]


async def test_a_flush_ends_in_time_and_says_what_is_left(outbox: Outbox, shelf: Shelf) -> None:
    shelf.down = StoreError("down")
    for i in range(3):
        outbox.put("a turn", shelf.write(str(i)))
    async with asyncio.timeout(5):
        assert await outbox.flush(0.05) == 3
    shelf.down = None
    assert await outbox.flush(5) == 0, "and they were not given up"


async def test_a_flush_waits_neither_for_a_pause_nor_for_the_breaker(shelf: Shelf) -> None:
    """The process is about to end: what is not tried now never will be."""
    breaker = Breaker(failures=1, rest=3600.0)
    outbox = Outbox(ALICE, breaker, Timing(first_pause=3600.0, longest_pause=3600.0))
    shelf.down = StoreError("down")

    async def write() -> None:
        with breaker.call():
            await shelf.write("at last")()

    outbox.put("a turn", write)
    await shelf.tried_again.wait()
    while not breaker.open:  # noqa: ASYNC110 - it says so to nobody
        await asyncio.sleep(0)
    shelf.down = None
    async with asyncio.timeout(5):
        assert await outbox.flush(4) == 0
    assert shelf.written == ["at last"]


async def test_what_is_dropped_is_never_written(outbox: Outbox, shelf: Shelf) -> None:
    gate = asyncio.Event()
    outbox.put("a turn", gate.wait)
    outbox.put("a turn", shelf.write("hers"))
    outbox.drop()
    assert len(outbox) == 0
    outbox.put("a turn", shelf.write("hers, later"))
    gate.set()
    assert await outbox.flush(5) == 0
    assert shelf.written == ["hers, later"]


async def test_in_the_quiet_nothing_is_being_written(outbox: Outbox, shelf: Shelf) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await gate.wait()
        shelf.written.append("slow")

    outbox.put("a turn", slow)
    outbox.put("a turn", shelf.write("next"))
    await begun.wait()
    asyncio.get_running_loop().call_soon(gate.set)
    async with outbox.writing:
        assert shelf.written == ["slow"]
        for _ in range(20):
            await asyncio.sleep(0)
        assert shelf.written == ["slow"]
        outbox.drop()
    assert await outbox.flush(5) == 0
    assert shelf.written == ["slow"]


async def test_another_thread_may_drop_too(outbox: Outbox, shelf: Shelf) -> None:
    gate = asyncio.Event()
    outbox.put("a turn", gate.wait)
    outbox.put("a turn", shelf.write("hers"))
    thread = threading.Thread(target=outbox.drop)
    thread.start()
    await asyncio.to_thread(thread.join)
    gate.set()
    assert await outbox.flush(5) == 0
    assert shelf.written == []


async def test_closing_tells_what_is_lost_and_leaves_no_task(
    outbox: Outbox, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.down = StoreError("down")
    outbox.put("a turn", shelf.write("lost"))
    await shelf.tried_again.wait()
    before = asyncio.all_tasks()
    await outbox.aclose()
    await outbox.aclose()
    assert len(before - asyncio.all_tasks()) == 1
    assert caplog.text.count("[MEMORY LOST] a turn of user") == 1
    assert len(outbox) == 0


async def test_with_nothing_to_write_there_is_no_task(outbox: Outbox, shelf: Shelf) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        outbox.put("a turn", shelf.write("hello"))
        assert len(asyncio.all_tasks()) == len(before) + 1
        await outbox.flush(5)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


async def test_a_write_does_not_run_as_whoever_put_another(outbox: Outbox) -> None:
    """One task makes everybody's writes; it must not carry the first one's user through them."""
    whose = contextvars.ContextVar("whose", default="nobody")
    seen: list[str] = []

    async def look() -> None:
        seen.append(whose.get())

    whose.set("alice")
    outbox.put("a turn", look)
    assert await outbox.flush(5) == 0
    assert seen == ["nobody"]
