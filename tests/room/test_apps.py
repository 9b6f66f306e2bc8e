"""Each person's own apps in the shipped worker: who has them, where a link goes, and what they cost a call."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import jwt
import pytest
from aiohttp import web
from livekit import rtc
from livekit.agents import AgentSession, llm

from call.apps import AppsSettings
from identity import livekit_identity_to_uuid
from room.dispatch import leave
from room.link import METHOD
from room.participant import RoomSettings
from tests.apps.scripted_service import SECRET, ScriptedService, hang
from tests.apps.talking import answered, obey
from tests.room.console import console
from tests.room.edge import Edge, EdgeRoom
from tests.room.product import Product
from tests.room.worker import Worker, until, working
from voice.failure import HOLD_ON

ALICE, BOB, PHONE = "alice@example.com", "bob@example.com", "sip_+15551234"
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP

Set = Callable[..., None]


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedService]:
    async with ScriptedService().listening() as it:
        yield it


@pytest.fixture
def apps(product: Product, scripted: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Switch them on, with these settings."""
    monkeypatch.setattr("call.job.leave", partial(leave, seconds=0.1))  # there is no server to ask
    product.mind = obey

    def switch(**settings: Any) -> None:
        product.set(apps=AppsSettings.model_validate({"apps_url": scripted.url, "apps_secret": SECRET, **settings}))

    return switch


def tools_of(session: AgentSession[None]) -> set[str]:
    return {*llm.ToolContext(session.current_agent.tools).function_tools}


async def begins(product: Product, worker: Worker, room: EdgeRoom, person: str, tool: str = "connect_app") -> None:
    room.join(person)
    await worker.job(room.name)
    await product.greeted(room)
    await until(lambda: tool in tools_of(product.sessions[room.name]), "the apps to have answered")


async def calls(product: Product, room: EdgeRoom, person: str, tool: str, **arguments: Any) -> str:
    """What the tool answers that this person wants called."""
    await product.chat(room, person, f"call {tool} {json.dumps(arguments)}")
    return answered(product.requests(room)[-1])


async def test_each_persons_link_goes_to_their_own_screen_and_nowhere_else(
    product: Product, server: Edge, scripted: ScriptedService, apps: Set, log: pytest.LogCaptureFixture
) -> None:
    apps()
    kitchen, hall = server.room("the kitchen"), server.room("the hall")
    kitchen.opens_links = {ALICE}
    async with working(product.server) as worker:
        await asyncio.gather(
            begins(product, worker, kitchen, ALICE),
            begins(product, worker, hall, BOB),
        )
        kitchen.join("eve@example.com")
        hall.join("eve@example.com")
        hers = await calls(product, kitchen, ALICE, "connect_app", app="tasks")
        his = await calls(product, hall, BOB, "connect_app", app="tasks")
        links = {person: scripted.links[str(livekit_identity_to_uuid(person))] for person in (ALICE, BOB)}
        assert "is connected" in await calls(product, kitchen, ALICE, "finish_connecting", number="7142")
        assert "is connected" in await calls(product, hall, BOB, "finish_connecting", number="7142")
        assert "No tasks." in await calls(product, kitchen, ALICE, "tasks__list_tasks")
        for room in (kitchen, hall):
            room.close()
        await worker.idle()
    assert "on the person's screen" in hers
    assert kitchen.called == [(ALICE, METHOD, json.dumps({"app": "Tasks", "url": links[ALICE]}))]
    assert kitchen.texts("lk.chat") == []
    assert "ask whether they see it" in his
    assert [each[:2] for each in hall.called] == [(BOB, METHOD)]
    assert [(sent.to, sent.content) for sent in hall.sent if sent.topic == "lk.chat"] == [
        ([BOB], f"Tasks: {links[BOB]}")
    ]
    for room, person in ((kitchen, ALICE), (hall, BOB)):
        told = "".join(request.everything for request in product.requests(room))
        told += json.dumps(product.transcript(person)) + "".join(room.texts("lk.transcription")) + log.text
        assert "connect_app" in told
        for link in links.values():
            assert link not in told


async def test_a_call_without_apps_asks_nobody_and_has_no_tool_for_them(
    product: Product, room: EdgeRoom, scripted: ScriptedService, apps: Set
) -> None:
    async with working(product.server) as worker:
        room.join(ALICE)
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "hello")
        assert product.sessions[room.name].current_agent.tools
        room.close()
        await worker.idle()
    tools = {tool for request in product.requests(room) for tool in request.tools}
    assert "remember" in tools and not any("app" in tool or "connect" in tool for tool in tools)
    assert scripted.asked == []


@pytest.mark.parametrize(
    ("person", "kind", "settings"),
    [
        (PHONE, SIP, {"participant_kinds": "standard,sip"}),
        ("voice_assistant_user_7", rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, {}),
        (ALICE, rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, {"room_policy": "audience"}),
    ],
    ids=["telephone", "anonymous", "audience"],
)
async def test_who_may_not_use_apps_has_none(
    product: Product,
    room: EdgeRoom,
    scripted: ScriptedService,
    apps: Set,
    person: str,
    kind: rtc.ParticipantKind.ValueType,
    settings: dict[str, Any],
) -> None:
    apps()
    product.set(room=RoomSettings.model_validate(settings))
    async with working(product.server) as worker:
        room.join(person, kind)
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, person, "hello")
        room.close()
        await worker.idle()
    assert not any("connect_app" in request.tools for request in product.requests(room))
    assert scripted.asked == []


async def test_a_telephone_that_the_operator_lets_in_gets_its_link_by_their_own_way(
    product: Product, room: EdgeRoom, scripted: ScriptedService, apps: Set
) -> None:
    delivered: list[dict[str, Any]] = []

    async def deliver(request: web.Request) -> web.Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        jwt.decode(token, SECRET, algorithms=["HS256"], audience="rapport-delivery")
        delivered.append(await request.json())
        return web.Response()

    operator = web.Application()
    operator.router.add_post("/send", deliver)
    runner = web.AppRunner(operator, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    apps(apps_kinds="standard, sip", apps_delivery_url=f"http://127.0.0.1:{runner.addresses[0][1]}/send")
    product.set(room=RoomSettings.model_validate({"participant_kinds": "standard,sip"}))
    caller = str(livekit_identity_to_uuid(PHONE, kind="sip"))
    try:
        async with working(product.server) as worker:
            room.join(PHONE, SIP)
            await worker.job(room.name)
            await product.greeted(room)
            await until(lambda: "connect_app" in tools_of(product.sessions[room.name]), "the apps to have answered")
            await product.chat(room, PHONE, 'call connect_app {"app": "tasks"}')
            link = scripted.links[caller]
            room.close()
            await worker.idle()
    finally:
        await runner.cleanup()
    assert delivered == [{"identity": PHONE, "kind": "sip", "user": caller, "app": "Tasks", "url": link, "minutes": 10}]
    assert "sent to the person as a message" in product.requests(room)[-1].everything
    assert room.called == [] and room.texts("lk.chat") == []


async def test_an_apps_service_that_hangs_delays_neither_the_greeting_nor_the_end(
    product: Product, server: Edge, scripted: ScriptedService, apps: Set
) -> None:
    async def lives(room: EdgeRoom) -> tuple[float, float]:
        began = time.monotonic()
        async with working(product.server) as worker:
            room.join(ALICE)
            await worker.job(room.name)
            await product.greeted(room)
            greeted = time.monotonic()
            await product.chat(room, ALICE, "hello")
            leaving = time.monotonic()
            room.close()
            await worker.idle()
            return greeted - began, time.monotonic() - leaving

    scripted.before = hang
    await lives(server.room("to warm up"))
    (before, end_before) = await lives(server.room("without"))
    apps()
    (greeting, end) = await lives(server.room("with"))
    assert scripted.asked, "it was asked, and has not answered"
    assert greeting < before + 0.1
    assert end < end_before + 1


async def test_an_app_that_hangs_is_told_in_time_and_asks_for_patience_before(
    product: Product, room: EdgeRoom, scripted: ScriptedService, apps: Set
) -> None:
    apps()
    async with working(product.server) as worker:
        scripted.connected[str(livekit_identity_to_uuid(ALICE))] = {"tasks"}
        await begins(product, worker, room, ALICE, "tasks__list_tasks")
        scripted.before = hang
        began = time.monotonic()
        room.text(ALICE, "call tasks__list_tasks")
        await until(lambda: HOLD_ON.strip() in "".join(room.texts("lk.transcription")), "a word of patience")
        assert time.monotonic() - began < 2
        await until(lambda: "Tasks does not answer just now" in product.transcript(ALICE)[-1][1], "the answer")
        assert time.monotonic() - began < 6
        room.close()
        await worker.idle()
    assert not [text for _, text in product.transcript(ALICE) if HOLD_ON.strip() in text]


async def test_where_each_has_an_agent_of_their_own_each_has_their_own_link(
    product: Product, room: EdgeRoom, scripted: ScriptedService, apps: Set
) -> None:
    apps()
    product.set(room=RoomSettings.model_validate({"room_policy": "everyone", "reconnect_grace": 0}))
    async with working(product.server) as worker:
        await product.all_greeted(worker, room, ALICE, BOB)
        people = {person: str(livekit_identity_to_uuid(person)) for person in (ALICE, BOB)}
        await until(lambda: {who for who, *_ in scripted.asked} == set(people.values()), "their apps to be asked for")
        for person in people:
            room.text(person, 'call connect_app {"app": "tasks"}')
        await until(lambda: len(room.texts("lk.chat")) == len(people), "their links")
        room.close()
        await worker.idle()
    links = [(sent.to, sent.content) for sent in room.sent if sent.topic == "lk.chat"]
    assert sorted(links) == [([person], f"Tasks: {scripted.links[uuid]}") for person, uuid in people.items()]


async def test_a_tool_that_hangs_at_the_end_of_a_call_loses_no_memory(
    product: Product, room: EdgeRoom, scripted: ScriptedService, apps: Set
) -> None:
    apps()
    async with working(product.server) as worker:
        scripted.connected[str(livekit_identity_to_uuid(ALICE))] = {"tasks"}
        await begins(product, worker, room, ALICE, "tasks__list_tasks")
        await product.chat(room, ALICE, "I live in Oslo.")
        scripted.before = hang
        room.text(ALICE, "call tasks__list_tasks")
        await until(lambda: scripted.asked[-1][2] == "tools/tasks/list_tasks", "the tool to run")
        leaving = time.monotonic()
        room.close()
        await worker.idle()
        assert time.monotonic() - leaving < 1.5
    assert "I live in Oslo." in product.memories(ALICE)
    assert ("user", "call tasks__list_tasks") in product.transcript(ALICE)
    assert product.endings(ALICE) == ["left"]


async def test_in_a_console_the_link_is_an_event(
    product: Product, server: Edge, scripted: ScriptedService, apps: Set
) -> None:
    apps()
    with console() as terminal:
        async with working(product.server) as worker:
            await worker.console_job()
            await until(lambda: terminal.connected and product.sessions, "the console's session")
            await until(
                lambda: "connect_app" in tools_of(product.sessions["console-room"]), "the apps to have answered"
            )
            terminal.type('call connect_app {"app": "tasks"}')
            link = {"event": "link", "app": "Tasks", "url": "https://apps.example/c/0-of-tasks"}
            await until(lambda: link in terminal.told, "the link")
