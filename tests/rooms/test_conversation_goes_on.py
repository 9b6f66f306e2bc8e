"""One conversation, not one per job: it is taken up again after a goodbye, and after the death of a worker."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from livekit import api

from tests.room.models import INSTRUCTIONS, bare
from tests.rooms.person import DEPARTURE_SECONDS, Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked, Models
from tests.stack.process import until
from tests.stack.worker import AGENT_NAME, HASTY_UNHEARD, Worker

Fresh = Callable[[str], str]
Start = Callable[..., Worker]
Turns = list[tuple[str, str]]

RESUMED = "You were in the middle of a conversation with this person"
WORKER_SECONDS = 30.0
"""How long a person may be alone after the death of a worker. LiveKit needs 21 to notice that the agent is gone."""
SWEPT_SECONDS = 120.0
"""A session is given up after 60; then the sweep, which another worker may have to take over first."""
DEATHS = 50
LATEST_DEATH = 8.0
"""In seconds after a worker has taken the job: before its agent is there, in the greeting, in some turn."""


class Reception:
    """Where rooms are opened, as an application does that knows which conversation a person comes for."""

    def __init__(self, server: LiveKitServer, livekit: api.LiveKitAPI) -> None:
        self._server = server
        self._livekit = livekit

    async def open(self, room: str, thread: str, agent: str = AGENT_NAME) -> None:
        dispatch = api.RoomAgentDispatch(agent_name=agent, metadata=json.dumps({"thread_id": thread}))
        await self._livekit.room.create_room(
            api.CreateRoomRequest(name=room, departure_timeout=DEPARTURE_SECONDS, agents=[dispatch])
        )

    def person(self, identity: str, room: str, agent: str | None = None) -> Person:
        """Who asks for no agent, unless one is named: it comes with a room that was opened."""
        return Person(self._server, identity, room, agent=agent, microphone=False)


@pytest.fixture
async def reception(livekit_server: LiveKitServer) -> AsyncIterator[Reception]:
    async with api.LiveKitAPI(livekit_server.url, livekit_server.key, livekit_server.secret) as livekit:
        yield Reception(livekit_server, livekit)


@pytest.fixture
def start(livekit_server: LiveKitServer, models: Models, tmp_path: Path, fresh: Fresh) -> Iterator[Start]:
    """Start a worker; all of them share one store, as those of a deployment do."""
    workers: list[Worker] = []
    numbers = count()

    def start(**environment: str) -> Worker:
        worker = Worker(
            livekit_server,
            models.base_url,
            tmp_path / "home",
            tmp_path / f"worker-{next(numbers)}.log",
            environment={"LIVEKIT_AGENT_NAME": fresh("twin"), **HASTY_UNHEARD, **environment},
        )
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.stop()


def told(asked: Asked) -> Turns:
    """The conversation as the model sees it when it is asked the first time: without instructions and memories."""
    messages: list[dict[str, Any]] = asked.of("chat")[0].body["messages"]
    said = [(each["role"], bare(str(each["content"]))) for each in messages if each["role"] in ("user", "assistant")]
    return [(role, text) for role, text in said if text]


def instructions(asked: Asked) -> str:
    messages: list[dict[str, Any]] = asked.of("chat")[0].body["messages"]
    texts = [str(each["content"]) for each in messages]
    return "\n".join([texts[0], *(told for text in texts[1:] for told in INSTRUCTIONS.findall(text))])


async def chat(person: Person, *words: str) -> list[str]:
    """The greeting, and the answers to these words."""
    answers = [await person.answer()]
    for each in words:
        await person.type(each)
        answers.append(await person.answer())
    return [each.text for each in answers]


async def over(worker: Worker, person: Person, sessions: int = 1) -> None:
    """Wait until so many sessions of this person have ended."""
    await until(lambda: [*map(bool, worker.endings(person.identity))] == [True] * sessions, "the session to end")


# --- the same person again, another thread, another person ----------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("thread", ["the room's", "one that the dispatch names"])
async def test_who_comes_back_to_their_thread_goes_on_where_they_stopped(
    worker: Worker, models: Models, reception: Reception, fresh: Fresh, thread: str
) -> None:
    named = thread != "the room's"
    identity, rooms = fresh("alice"), [fresh("monday"), fresh("tuesday") if named else fresh("monday")]
    seen: list[Asked] = []
    greetings: list[str] = []
    for number, room in enumerate(rooms):
        if named:
            await reception.open(room, "trip")
        seen.append(Asked(models))
        async with reception.person(identity, room, agent=None if named else AGENT_NAME) as person:
            words = ("i want to see Porto", "my cat is called Tilda") if number == 0 else ()
            greetings.append((await chat(person, *words))[0])
        await over(worker, person, number + 1)

    told_first, told_then = told(seen[0]), told(seen[1])
    assert told_first == []
    assert told_then == worker.transcript(identity)[: len(told_then)]
    assert [text for role, text in told_then if role == "user"] == ["i want to see Porto", "my cat is called Tilda"]
    assert told_then[-1] == ("assistant", "Got it, your cat is called Tilda.")
    assert RESUMED in instructions(seen[1])
    assert instructions(seen[1]).count("You are Rapport, a voice assistant") == 1
    assert "I am Rapport" in greetings[0]
    assert "Welcome back" in greetings[1]
    assert worker.conversations(identity) == ["trip" if named else rooms[0]]
    assert worker.endings(identity) == ["left", "left"]


@pytest.mark.thorough
async def test_another_thread_is_another_conversation(
    worker: Worker, models: Models, reception: Reception, fresh: Fresh
) -> None:
    identity = fresh("alice")
    asked = Asked(models)
    for number, thread in enumerate(("trip", "work")):
        await reception.open(fresh(thread), thread)
        asked = Asked(models)
        async with reception.person(identity, fresh(thread)) as alice:
            greeting, *_ = await chat(alice, *["i want to see Porto"][number:])
        await over(worker, alice, number + 1)

    assert told(asked) == []
    assert RESUMED not in instructions(asked)
    assert "- i want to see Porto\n</earlier_conversation>" in asked.conversations[0]
    assert "I am Rapport" not in greeting
    assert worker.conversations(identity) == ["trip", "work"]


@pytest.mark.thorough
async def test_another_person_on_a_thread_of_the_same_name_finds_nothing_of_it(
    worker: Worker, models: Models, reception: Reception, fresh: Fresh
) -> None:
    asked = Asked(models)
    for name, word in (("alice", "Porto"), ("bob", "Rome")):
        await reception.open(fresh(f"of {name}"), "trip")
        asked = Asked(models)
        async with reception.person(fresh(name), fresh(f"of {name}")) as person:
            answers = await chat(person, f"i want to see {word}", "what do you know about me")
        await over(worker, person)

    assert "I am Rapport" in answers[0]
    assert told(asked) == []
    assert len(asked.conversations) >= 3
    assert all("Porto" not in conversation for conversation in asked.conversations)
    assert all("Porto" not in text for _, text in worker.transcript(fresh("bob")))
    assert worker.conversations(fresh("alice")) == worker.conversations(fresh("bob")) == ["trip"]


# --- the worker dies ------------------------------------------------------------------------------------------------


@pytest.mark.thorough
async def test_when_a_worker_dies_the_conversation_goes_on_at_another(
    models: Models, start: Start, reception: Reception, fresh: Fresh
) -> None:
    """The worst case: the one that dies is also the one that looks after the rooms, so that another must take over."""
    first = start()
    room = fresh("kitchen")
    async with reception.person(fresh("alice"), room, first.name) as alice:
        await chat(alice, "my favorite color is blue", "my cat is called Tilda")
        agent = (await alice.meet()).identity
        second = start()
        kept = first.transcript(alice.identity)
        first.kill()
        killed, asked = time.monotonic(), Asked(models)
        await alice.until(lambda: agent not in [who.identity for who in alice.agents], "the dead agent to go", 30)
        await alice.until(lambda: alice.agents, "another agent", WORKER_SECONDS + 10)
        took = time.monotonic() - killed
        greeting, answer = await chat(alice, "what is my cat called")
    print(f"\nanother agent came {took:.1f} s after the worker died")  # noqa: T201

    assert took < WORKER_SECONDS
    assert told(asked) == kept
    assert RESUMED in instructions(asked)
    assert "Welcome back" in greeting
    assert answer == "Your cat is called Tilda."
    await second.logs("[SESSION END]")
    # the second greeting may have been cut off by the question
    assert second.transcript(alice.identity) == [
        *kept,
        ("assistant", greeting),
        ("user", "what is my cat called"),
        ("assistant", answer),
    ]
    assert second.conversations(alice.identity) == [room]


@pytest.mark.soak
async def test_a_session_whose_worker_died_is_ended_by_another_in_the_store_and_in_numbers(
    start: Start, reception: Reception, fresh: Fresh, tmp_path: Path, unused_tcp_port: int
) -> None:
    first = start()
    async with reception.person(fresh("alice"), fresh("kitchen"), first.name) as alice:
        await alice.answer()
        second = start(PROMETHEUS_PORT=str(unused_tcp_port), PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "numbers"))
        first.kill()
    assert second.endings(alice.identity) == [None]
    _a_minute_passes(second)
    await second.logs("[SESSION SWEPT]", seconds=SWEPT_SECONDS)

    assert second.endings(alice.identity) == ["worker died"]
    assert 'rapport_sessions_ended_total{reason="worker died"} 1.0' in _numbers(unused_tcp_port)


def _a_minute_passes(worker: Worker) -> None:
    """For the sessions: nobody has heard of them since."""
    seen = (datetime.now(UTC) - timedelta(minutes=1, seconds=1)).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(worker.home / "rapport.db", timeout=5)) as db, db:
        db.execute("update sessions set seen_at = ? where ended_at is null", (seen,))


def _numbers(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


# --- the full count -------------------------------------------------------------------------------------------------


@dataclass
class Tale:
    """One conversation, in two rooms: its worker dies at some moment in the first, and it goes on in the second.

    In place of the second room the server would take 21 s to notice that the agent is gone, and the sweep would send
    another one (see above); the person who does not wait and comes in anew is the case that leaves no time.
    """

    identity: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    typed: list[str] = field(default_factory=list[str])
    confirmed: list[str] = field(default_factory=list[str])
    """What the agent has answered, and the answers."""

    async def tell(self, person: Person, gone: asyncio.Event) -> None:
        """Type something that was never typed before, until the agent has confirmed it or is `gone`."""
        number = next(self.numbers)
        text = f"my lucky number is {number}"
        self.typed.append(text)
        await person.type(text)

        def answers() -> list[str]:
            return [each.text for each in person.transcripts if each.text.endswith(f"lucky number is {number}.")]

        await self.either(person.until(answers, f"an answer to {text!r}", 30), gone)
        if answers():
            self.confirmed += [text, answers()[0]]

    async def either(self, what: Coroutine[Any, Any, None], gone: asyncio.Event) -> None:
        """Wait for it, or until the agent is `gone`."""
        happens, dead = asyncio.create_task(what), asyncio.create_task(gone.wait())
        await asyncio.wait((happens, dead), return_when=asyncio.FIRST_COMPLETED)
        dead.cancel()
        if not happens.done():
            happens.cancel()
        else:
            await happens

    def lost(self, kept: Counter[str]) -> list[str]:
        return [text for text in self.confirmed if not kept[text]]


@pytest.mark.soak
async def test_fifty_workers_that_die_lose_and_double_no_turn(
    models: Models, start: Start, reception: Reception, fresh: Fresh
) -> None:
    dice = random.Random(50)  # noqa: S311
    workers = [start(), start()]
    agent = workers[0].name
    lost: list[str] = []
    doubled: list[str] = []
    moments: Counter[int] = Counter()
    people: list[str] = []
    for run in range(DEATHS):
        tale = Tale(fresh(f"alice{run}"))
        rooms = [fresh(f"kitchen{run}"), fresh(f"office{run}")]
        people.append(tale.identity)
        await reception.open(rooms[0], "tale", agent)
        async with reception.person(tale.identity, rooms[0]) as alice:
            gone = asyncio.Event()
            death = asyncio.create_task(_a_worker_dies(workers, rooms[0], dice.uniform(0, LATEST_DEATH), gone))
            await tale.either(alice.until(lambda: alice.agents, "an agent", 30), gone)
            while not gone.is_set():
                await tale.tell(alice, gone)
            dead = await death
        # until they miss the worker, for some tenths of a second, its jobs go on: what they still write counts too
        await until(lambda: not any(map(_runs, dead.jobs(rooms[0]))), "its jobs to end")  # noqa: B023
        moments[len(tale.confirmed) // 2] += 1
        workers.remove(dead)
        another = asyncio.create_task(asyncio.to_thread(start))
        kept, asked = workers[0].transcript(tale.identity), Asked(models)
        await reception.open(rooms[1], "tale", agent)
        async with reception.person(tale.identity, rooms[1]) as alice:
            await alice.meet()
            await until(lambda: asked.of("chat"), "the model to be asked for a greeting")  # noqa: B023
            await tale.tell(alice, asyncio.Event())
        workers.append(await another)
        await until(lambda: tale.confirmed[-1] in _texts(workers[0], tale.identity), "the last turn to be kept", 10)  # noqa: B023

        lost += tale.lost(_texts(workers[0], tale.identity))
        texts = _texts(workers[0], tale.identity)
        words = [text for role, text in workers[0].transcript(tale.identity) if role == "user"]
        doubled += [text for text, times in texts.items() if times > 1 and "lucky number" in text]
        assert words == [text for text in tale.typed if text in texts], "in their order"
        assert told(asked) == kept[-12:]
        assert workers[0].conversations(tale.identity) == ["tale"]
        assert [each.value for each in workers[0].kept(tale.identity)] == [tale.typed[-1]]
    print(f"\n{len(people)} deaths, by how much was confirmed before: {dict(sorted(moments.items()))}")  # noqa: T201

    await until(lambda: not workers[0].living(), "the sessions of the dead to be swept", SWEPT_SECONDS)
    reasons = Counter(reason for each in people for reason in workers[0].endings(each))
    print(f"how the sessions ended: {dict(reasons)}")  # noqa: T201
    assert [lost, doubled] == [[], []]


async def _a_worker_dies(workers: list[Worker], room: str, after: float, gone: asyncio.Event) -> Worker:
    """So many seconds after it has taken the job; which one."""

    def busy() -> list[Worker]:
        return [each for each in workers if each.jobs(room)]

    await until(busy, "a worker to take the job")
    await asyncio.sleep(after)
    [worker] = busy()
    worker.kill()
    gone.set()
    return worker


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _texts(worker: Worker, identity: str) -> Counter[str]:
    return Counter(text for _, text in worker.transcript(identity))
