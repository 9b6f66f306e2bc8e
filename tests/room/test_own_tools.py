"""A deployment's character and tools in the shipped worker, and the example of docs/character.md as it stands there."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from functools import partial
from pathlib import Path

import pytest
from dotenv import dotenv_values

from call.assistant import prompts
from call.assistant.character import CharacterSettings
from identity import livekit_identity_to_uuid
from room.dispatch import leave
from room.participant import RoomSettings
from tests.conftest import ROOT
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.worker import until, working

ALICE, BOB = "alice@example.com", "bob@example.com"


def mind(request: Request) -> str | Call:
    """Calls the tool that the person names, and says what it answered."""
    if request.tool_has_answered:
        return request.everything.rpartition('"output": "')[2].partition('"')[0]
    match request.words.split():
        case ["keep", badge, place]:
            return Call("keep_badge", {"badge": badge, "place": place})
        case ["hang"]:
            return Call("hang")
        case _:
            return f"You said {request.words}"


@pytest.fixture
def product(product: Product, monkeypatch: pytest.MonkeyPatch) -> Product:
    product.mind = mind
    product.set(character=CharacterSettings(tools_module="tests.room.own_tools", tool_deadline=0.5))
    monkeypatch.setattr("agent.memory_manager", product.services.memory)
    monkeypatch.setattr("call.job.leave", partial(leave, seconds=0.1))  # there is no server to ask
    return product


def kept(product: Product, person: str) -> tuple[str | None, str | None]:
    return product.named(person).get("badge"), product.named(person).get("pass")


def told(badge: str, person: str) -> str:
    return f"{badge} of {', '.join([str(livekit_identity_to_uuid(person))] * 3)}"


async def test_two_people_in_one_room_have_tools_of_their_own(product: Product, room: EdgeRoom) -> None:
    product.set(room=RoomSettings.model_validate({"room_policy": "everyone", "reconnect_grace": 0}))
    async with working(product.server) as worker:
        await product.all_greeted(worker, room, ALICE, BOB)
        room.text(ALICE, "keep red lobby")
        room.text(BOB, "keep blue lobby")
        for person, badge in ((ALICE, "red"), (BOB, "blue")):
            await until(lambda: ("assistant", told(badge, person)) in product.transcript(person), person)  # noqa: B023
        room.close()
        await worker.idle()
    assert kept(product, ALICE) == ("red", "red in a thread")
    assert kept(product, BOB) == ("blue", "blue in a thread")


async def test_two_people_in_two_rooms_of_one_process_too_by_voice(product: Product, server: Edge) -> None:
    people = {ALICE: ("green", server.room("one")), BOB: ("grey", server.room("two"))}

    async def live(person: str, badge: str, room: EdgeRoom) -> None:
        room.join(person)
        await worker.job(room.name)
        await product.greeted(room)
        await product.say(room, person, f"keep {badge} hall")
        await until(lambda: ("assistant", told(badge, person)) in product.transcript(person), person)
        room.close()

    async with working(product.server) as worker:
        await asyncio.gather(*(live(person, badge, room) for person, (badge, room) in people.items()))
        await worker.idle()
    assert kept(product, ALICE) == ("green", "green in a thread")
    assert kept(product, BOB) == ("grey", "grey in a thread")


async def test_a_tool_that_hangs_hangs_no_call_and_no_end(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "hang")
        await until(lambda: ("assistant", prompts.TOOL_FAILED) in product.transcript(ALICE), "the tool to be given up")
        await product.chat(room, ALICE, "I live in Oslo.")
        room.text(ALICE, "hang")
        await until(lambda: product.turns(room)[-1] == "hang", "the tool to be called again")
        room.close()
        await worker.idle()
    assert product.endings(ALICE) == ["left"]
    assert product.memories(ALICE) == ["I live in Oslo."]


async def test_the_example_of_the_documentation_works_as_it_stands_there(
    product: Product, server: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"`([\w./]+)` [^`]*?:\n\n```\w+\n(.*?)```", (ROOT / "docs/character.md").read_text(), re.DOTALL)
    files = dict(blocks)
    assert list(files) == ["shop/character.txt", "shop/tools.py", ".env"]
    (tmp_path / "shop").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in dotenv_values(stream=io.StringIO(files[".env"])).items():
        monkeypatch.setenv(name, value or "")
    product.set(character=CharacterSettings())
    product.mind = lambda request: (
        Call("repair_status", {"ticket": 8}) if "bicycle" in request.words and not request.tool_has_answered
        else Call("repair_status", {"ticket": 9}) if "nine" in request.words and not request.tool_has_answered
        else Call("customer_number") if "number" in request.words and not request.tool_has_answered
        else mind(request)
    )  # fmt: skip
    first, second = server.room("the first call"), server.room("the second call")
    try:
        async with working(product.server) as worker:
            await product.call(worker, first, ALICE, "is my bicycle ready", "is nine ready", "what is my number")
            await worker.idle()
            await product.call(worker, second, ALICE)
            await worker.idle()
    finally:
        for name in ("shop", "shop.tools"):
            sys.modules.pop(name, None)
    [greeting, again] = [product.requests(room)[0].instructions for room in (first, second)]
    assert greeting.startswith("You are Ada, who answers for Quarter Bikes") and prompts.MEMORY_RULES in greeting
    assert "Hello, this is Ada of Quarter Bikes." in greeting
    assert "Welcome back to Quarter Bikes." in again
    said = [text for role, text in product.transcript(ALICE) if role == "assistant"]
    number = f"QB-{livekit_identity_to_uuid(ALICE)}"[:11]
    assert [text for text in said if not text.startswith("You said")] == [
        "ready since Tuesday", "there is no ticket 9; ask them to read it out again", number
    ]  # fmt: skip
    assert product.named(ALICE)["repair_ticket"] == "their bicycle is here, ticket 8"
