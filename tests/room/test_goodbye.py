"""The agent ends a call whose person says goodbye, once they have heard its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from call.assistant import prompts
from room.dispatch import leave
from room.participant import RoomSettings
from tests.room.console import console
from tests.room.edge import EdgeRoom
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.worker import until, working

ALICE, BOB, CONSOLE = "alice@example.com", "bob@example.com", "console@localhost"


def mind(request: Request, at_goodbye: Callable[[], None] = lambda: None) -> str | Call:
    if "bye" not in request.words:
        return f"You said {request.words}"
    if not request.tool_has_answered:
        return Call("end_call")
    at_goodbye()
    return "Goodbye!"


@pytest.fixture
def product(product: Product, monkeypatch: pytest.MonkeyPatch) -> Product:
    product.mind = mind
    monkeypatch.setattr("call.job.leave", partial(leave, seconds=0.1))  # there is no server to ask
    return product


async def test_who_says_goodbye_hears_one_and_the_call_is_over(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.say(room, ALICE, "bye for now")
        await worker.idle()  # by itself
    assert room.closed
    assert prompts.ANSWERED_GOODBYE in product.requests(room)[-1].everything
    assert product.transcript(ALICE)[-2:] == [("user", "bye for now"), ("assistant", "Goodbye!")]
    assert product.endings(ALICE) == ["goodbye"]
    [report] = [r.getMessage() for r in log.records if r.getMessage().startswith("[SESSION REPORT]")]
    assert json.loads(report.removeprefix("[SESSION REPORT] "))["ended"] == "goodbye"


async def test_who_goes_on_before_it_is_heard_stays(product: Product, room: EdgeRoom) -> None:
    interruptions = iter(["Wait, I live in Oslo."])

    def interrupt() -> None:
        if words := next(interruptions, ""):
            room.text(ALICE, words)

    product.mind = partial(mind, at_goodbye=interrupt)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.text(ALICE, "bye")
        await until(lambda: product.turns(room)[-1] == "Wait, I live in Oslo.", "the interruption to be answered")
        await product.answered(room)
        await product.chat(room, ALICE, "What else?")
        assert not room.closed
        room.text(ALICE, "bye")
        await worker.idle()
    assert product.endings(ALICE) == ["goodbye"]
    assert ("assistant", "You said Wait, I live in Oslo.") in product.transcript(ALICE)


async def test_of_several_people_each_has_a_goodbye_of_their_own(product: Product, room: EdgeRoom) -> None:
    product.set(room=RoomSettings.model_validate({"room_policy": "everyone", "reconnect_grace": 0}))
    async with working(product.server) as worker:
        await product.all_greeted(worker, room, ALICE, BOB)
        room.text(BOB, "bye")
        await until(lambda: product.endings(BOB) == ["goodbye"], "bob's call to end")
        room.text(ALICE, "I live in Oslo.")
        await until(lambda: ("assistant", "You said I live in Oslo.") in product.transcript(ALICE), "an answer")
        room.text(ALICE, "bye")
        await worker.idle()
    assert product.endings(ALICE) == ["goodbye"]


async def test_a_console_is_told_that_the_agent_has_hung_up(product: Product, server: object) -> None:
    with console() as terminal:
        async with working(product.server) as worker:
            await worker.console_job()
            await until(lambda: terminal.connected and product.sessions, "the console's session")
            await until(lambda: product.sessions["console-room"].quiet and product.models["console-room"].requests)
            terminal.type("bye")
            await until(lambda: {"event": "end"} in terminal.told, "the end")
            await worker.idle()
    assert product.endings(CONSOLE) == ["goodbye"]
