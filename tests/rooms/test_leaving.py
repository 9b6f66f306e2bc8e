"""People leave, drop out and come back, and workers are told to go: whoever is there is heard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms.elsewhere import PersonElsewhere
from tests.rooms.person import Answer, Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.process import until
from tests.stack.worker import HASTY_UNHEARD, Worker

GRACE_SECONDS = 20
"""How long a room outlives its last person where nobody says otherwise."""

# a second belongs to every run, the others to the long one
ABSENCES = [1, pytest.param(5, marks=pytest.mark.soak), pytest.param(25, marks=pytest.mark.soak)]

Fresh = Callable[[str], str]


@pytest.fixture
def on_the_train(livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, tmp_path: Path) -> PersonElsewhere:
    """Alice, in a process of her own."""
    log = tmp_path / "alice.log"
    return PersonElsewhere(livekit_server, fresh("alice"), fresh("train"), log=log, departure_seconds=GRACE_SECONDS)


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", ABSENCES)
async def test_who_left_and_is_back_is_heard(
    seconds: int, livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, speech: Path
) -> None:
    alice = Person(livekit_server, fresh("alice"), fresh("kitchen"), departure_seconds=GRACE_SECONDS)
    async with alice:
        await tell_a_color(alice)
        await alice.leave()
        await asyncio.sleep(seconds)
        await alice.come_back()
        await alice.meet()
        if seconds > GRACE_SECONDS:
            assert "I am Rapport" not in (await alice.answer()).text
        await alice.say(speech / "ask_color.rms.wav")
        answer = await color(alice)

    assert "green" in answer.text
    assert len(worker.logged(f"Identity: {alice.identity}")) == (1 if seconds < GRACE_SECONDS else 2)


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", ABSENCES)
async def test_whose_client_died_and_is_back_is_heard(
    seconds: int, on_the_train: PersonElsewhere, worker: Worker, speech: Path
) -> None:
    async with on_the_train as alice:
        await tell_a_color(alice)
        await alice.drop()
        await asyncio.sleep(seconds)
        await alice.come_back()
        await alice.meet()
        await alice.say(speech / "ask_color.rms.wav")
        answer = await color(alice)

    assert "green" in answer.text
    assert len(worker.logged(f"Identity: {alice.identity}")) == 1


@pytest.mark.thorough
async def test_who_reloads_the_page_and_is_there_twice_for_a_moment_is_heard(
    livekit_server: LiveKitServer, worker: Worker, fresh: Fresh, speech: Path
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen")) as before:
        await tell_a_color(before)
        async with Person(livekit_server, before.identity, fresh("kitchen")) as alice:
            await before.until(lambda: not before.here, "the end of the first page", 20)
            await alice.meet()
            await alice.say(speech / "ask_color.rms.wav")
            answer = await color(alice)

    assert "DUPLICATE_IDENTITY" in "\n".join(before.story)
    assert "green" in answer.text
    assert len(worker.logged(f"Identity: {alice.identity}")) == 1


@pytest.mark.thorough
async def test_a_worker_that_is_told_to_go_finishes_its_call_and_another_takes_the_next_room(
    livekit_server: LiveKitServer, models: Models, fresh: Fresh, speech: Path, tmp_path: Path
) -> None:
    name = fresh("drained")  # nobody else's worker shall take these rooms
    one, other = (
        Worker(
            livekit_server,
            models.base_url,
            tmp_path / "home",
            tmp_path / f"{which}.log",
            environment={"LIVEKIT_AGENT_NAME": name, **HASTY_UNHEARD},
        )
        for which in ("one", "other")
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(one)
        async with Person(livekit_server, fresh("alice"), fresh("kitchen"), agent=name) as alice:
            await tell_a_color(alice)
            stack.enter_context(other)
            os.kill(one.program.pid, signal.SIGTERM)
            await one.logs("draining worker")
            async with Person(livekit_server, fresh("bob"), fresh("garage"), agent=name, microphone=False) as bob:
                await bob.answer()
                await alice.say(speech / "ask_color.rms.wav")
                answer = await color(alice)
                still_there = one.program.exit_code is None
                await alice.leave()
                await until(lambda: one.program.exit_code is not None, "the first worker ends")
                await bob.type("my cat is called Tilda")
                bobs = await bob.answer()

    assert "green" in answer.text
    assert still_there
    assert one.program.exit_code == 0
    assert len(one.logged("[SESSION END]")) == 1
    assert one.logged(f"Identity: {bob.identity}") == []
    assert len(other.logged(f"Identity: {bob.identity}")) == 1
    assert "Tilda" in bobs.text


async def tell_a_color(alice: Person | PersonElsewhere) -> None:
    await alice.answer()
    await alice.type("my favorite color is green")
    await color(alice)


async def color(alice: Person | PersonElsewhere) -> Answer:
    """The next answer with the color; before it the agent may have asked for patience."""
    while "green" not in (answer := await alice.answer()).text:
        pass
    return answer
