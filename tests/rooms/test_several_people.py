"""Several people in one room: who is heard, who hears, and whose memory it is, by the policy of the room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest

from tests.offline.listening import heard_words
from tests.rooms.person import Person, together
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked, Models
from tests.stack.worker import Worker

COLORS = ["blue", "red", "green"]
VOICES = ["rms", "awb", "rms"]

Fresh = Callable[[str], str]
WorkerWith = Callable[..., contextlib.AbstractContextManager[Worker]]


@pytest.fixture(scope="module")
def worker_with(
    livekit_server: LiveKitServer, models: Models, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerWith]:
    """A worker of its own with these variables in its environment; it must not have complained when it ends."""

    @contextlib.contextmanager
    def start(**environment: str) -> Iterator[Worker]:
        folder = tmp_path_factory.mktemp("worker")
        name = f"rapport-{folder.name}"
        with Worker(
            livekit_server,
            models.base_url,
            folder / "home",
            folder / "worker.log",
            environment={"LIVEKIT_AGENT_NAME": name, **environment},
        ) as worker:
            worker.name = name
            yield worker
            assert worker.complaints == []

    yield start


@pytest.fixture(scope="module")
def everyone(worker_with: WorkerWith) -> Iterator[Worker]:
    with worker_with(ROOM_POLICY="everyone") as worker:
        yield worker


@pytest.mark.thorough
async def test_three_people_in_one_room_each_have_a_memory_a_voice_and_a_transcript(
    livekit_server: LiveKitServer, everyone: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    async with _three_people(livekit_server, everyone, fresh) as people:
        for person, color in zip(people, COLORS, strict=True):
            await person.type(f"my favorite color is {color}", to=[person.agents[0].identity])
        told = await asyncio.gather(*(person.answer() for person in people))
        for person in people:
            await everyone.keeps(person.identity, 1)
        answers = []
        for person, voice in zip(people, VOICES, strict=True):
            await person.say(speech / f"ask_color.{voice}.wav")
            answers.append(await person.answer())

        alice, bob, _ = people
        await alice.leave()
        await bob.say(speech / "ask_color.rms.wav")
        answers.append(await bob.answer())

    colors = [*COLORS, COLORS[1]]
    assert [color in answer.text for answer, color in zip(answers, colors, strict=True)] == [True] * 4
    assert [heard_words(answer.audio, COLORS) for answer in answers] == colors
    assert all("I am Rapport" not in answer.text for answer in told)
    for person, color in zip(people, COLORS, strict=True):
        others = set(COLORS) - {color}
        assert {each.of for each in person.transcripts} == {person.identity, _agent_of(person)}
        assert not others & set(" ".join(each.text for each in person.transcripts).replace(".", " ").split())
        assert len({track for of, track in person.offered if of == _agent_of(person)}) == 1
        assert [each.value for each in everyone.kept(person.identity)] == [f"my favorite color is {color}"]
    for conversation in asked.conversations:
        assert len({color for color in COLORS if f"my favorite color is {color}" in conversation}) <= 1
    assert len(everyone.logged("[SESSION INIT] Identity")) == 3


@pytest.mark.soak
async def test_who_is_gone_for_good_and_comes_again_is_welcomed_back_while_the_others_go_on(
    livekit_server: LiveKitServer, worker_with: WorkerWith, fresh: Fresh
) -> None:
    with worker_with(ROOM_POLICY="everyone", RECONNECT_GRACE="0") as worker:
        async with _three_people(livekit_server, worker, fresh, microphone=False) as (alice, bob, _):
            await alice.type("my favorite color is blue")
            await alice.answer()
            await alice.leave()
            await worker.logs("[SESSION END]")
            await bob.type("my favorite color is red")
            await bob.answer()
            await alice.come_back()
            welcome = await alice.answer()
            await alice.type("what is my favorite color")
            answer = await alice.answer()
    assert "I am Rapport" not in welcome.text
    assert "blue" in answer.text
    assert [each.value for each in worker.kept(bob.identity)] == ["my favorite color is red"]


@pytest.mark.thorough
async def test_an_audience_hears_and_reads_the_agent_and_is_not_heard(
    livekit_server: LiveKitServer, worker_with: WorkerWith, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    with worker_with(ROOM_POLICY="audience") as worker:
        room = fresh("stage")
        async with (
            Person(livekit_server, fresh("alice"), room, agent=worker.name) as alice,
            Person(livekit_server, fresh("bob"), room, agent=None) as bob,
        ):
            await alice.answer()
            await bob.meet()
            await bob.type("my favorite color is red")
            await bob.say(speech / "books.rms.wav")
            await alice.type("my favorite color is green")
            await alice.answer()
            before = bob.agent_audio.seconds if bob.agent_audio else 0.0
            await alice.say(speech / "ask_color.rms.wav")
            answer = await alice.answer()
            await bob.until(lambda: bob.agent_audio and bob.agent_audio.quiet_for > 0.4, "the agent's silence", 10)
            heard = bob.agent_audio
    assert "green" in answer.text
    assert heard is not None
    assert heard_words(heard.wav(before), COLORS) == "green"
    assert answer.text in [each.text for each in bob.transcripts]
    assert asked.heard == ["what is my favorite color"]
    assert worker.kept(bob.identity) == []
    assert "red" not in worker.store_text().split()


@contextlib.asynccontextmanager
async def _three_people(
    server: LiveKitServer, worker: Worker, fresh: Fresh, *, microphone: bool = True
) -> AsyncGenerator[list[Person]]:
    """Alice, bob and carol come into one room at once, and are greeted."""
    people = [
        Person(server, fresh(name), fresh("table"), agent=worker.name, microphone=microphone, departure_seconds=5)
        for name in ("alice", "bob", "carol")
    ]
    async with together(*people):
        await asyncio.gather(*(person.answer(seconds=60) for person in people))
        yield people


def _agent_of(person: Person) -> str:
    return next(each.of for each in person.transcripts if each.of.startswith("agent-"))
