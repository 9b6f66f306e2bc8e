"""Who the agent waits for, who it lets go, and by which door they came."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from functools import partial

import pytest
from livekit import rtc

from identity import Kind, livekit_identity_to_uuid
from room.dispatch import leave
from room.participant import Attendance, RoomSettings
from room.private import Lines, Patience
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import spoken
from tests.room.product import Product
from tests.room.worker import until, working

ALICE, BOB, PHONE = "alice@example.com", "bob@example.com", "sip_+4912345@example.com"
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
STANDARD = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD

Set = Callable[..., None]


@pytest.fixture
def settings(product: Product, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Change the worker's room settings; nobody waits longer than they say."""

    def change(**values: object) -> None:
        changed = RoomSettings.model_validate({"arrival_timeout": 5, **values})
        product.set(room=changed)

    monkeypatch.setattr("call.job.Attendance", partial(Attendance, after_the_room=0.0))
    monkeypatch.setattr("call.job.leave", partial(leave, seconds=0.1))  # there is no server to ask
    return change


async def test_a_job_to_which_nobody_comes_ends(
    product: Product, room: EdgeRoom, settings: Set, log: pytest.LogCaptureFixture
) -> None:
    settings(arrival_timeout=0.2)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await worker.idle()
    assert room.closed
    assert "[SESSION REFUSED] nobody came within 0.2 s" in log.text


async def test_who_telephones_is_not_talked_to_unless_that_is_wanted(
    product: Product, room: EdgeRoom, settings: Set
) -> None:
    settings(arrival_timeout=0.3)
    room.join(PHONE, SIP)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await worker.idle()
    assert product.profiles() == []


async def test_who_telephones_is_nobody_who_signs_in_by_that_name(
    product: Product, room: EdgeRoom, settings: Set
) -> None:
    settings(participant_kinds="standard,sip")
    room.join(PHONE, SIP)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, PHONE, "I live in Oslo.")
        room.close()
        await worker.idle()
    assert product.profiles() == [str(livekit_identity_to_uuid(PHONE, kind="sip"))]
    assert product.profiles() != [str(livekit_identity_to_uuid(PHONE))]
    assert product.everything_stored() == ["I live in Oslo."]
    with sqlite3.connect(product.file) as db:
        assert db.execute("select email from profiles").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("kinds", "people"),
    [
        ("whatsapp,twilio", ["whatsapp", "twilio"]),
        ("connector", ["connector"]),
        ("connector,twilio", ["connector", "twilio"]),
    ],
)
async def test_one_number_by_two_connectors_is_as_many_people_as_they_are_named(
    product: Product, server: Edge, settings: Set, kinds: str, people: list[Kind]
) -> None:
    settings(participant_kinds=kinds)
    details = rtc.ParticipantKindDetail
    async with working(product.server) as worker:
        for detail in (
            details.PARTICIPANT_KIND_DETAIL_CONNECTOR_WHATSAPP,
            details.PARTICIPANT_KIND_DETAIL_CONNECTOR_TWILIO,
        ):
            room = server.room(f"{kinds}: {detail}")
            room.join("+4912345", rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR, details=[detail])
            await worker.job(room.name)
            await product.greeted(room)
            room.close()
            await worker.idle()
    assert sorted(product.profiles()) == sorted(str(livekit_identity_to_uuid("+4912345", kind=kind)) for kind in people)


@pytest.mark.parametrize(("scope", "attribute"), [("called_number", "sip.trunkPhoneNumber"), ("trunk", "sip.trunkID")])
async def test_two_shops_that_one_deployment_serves_know_nothing_of_each_others_callers(
    product: Product, server: Edge, settings: Set, scope: str, attribute: str
) -> None:
    settings(participant_kinds="standard,sip", identity_scope=scope)
    bakery, garage, again, neither, login = (
        server.room(f"{scope}: {name}") for name in ("bakery", "garage", "bakery again", "neither", "login")
    )
    called = {bakery: "+49301", garage: "+49302", again: "+49301", neither: "", login: "+49301"}
    async with working(product.server) as worker:
        for room, number in called.items():
            room.join(PHONE, STANDARD if room is login else SIP, attributes={attribute: number} if number else None)
            await worker.job(room.name)
            await product.greeted(room)
            await product.chat(room, PHONE, f"I like the {room.name.split()[1]} best.")
            await product.chat(room, PHONE, "What do I like?")
            room.close()
            await worker.idle()
    told = {room: product.requests(room)[-1].everything for room in called}
    assert "the bakery best" in told[again]
    assert "the bakery best" not in told[garage] + told[neither] + told[login]
    persons = {livekit_identity_to_uuid(PHONE, kind="sip", scope=number) for number in ("+49301", "+49302")}
    assert set(product.profiles()) == {str(uuid) for uuid in (*persons, livekit_identity_to_uuid(PHONE))}


async def test_who_is_gone_for_good_is_let_go_though_others_stay(
    product: Product, room: EdgeRoom, settings: Set
) -> None:
    settings(reconnect_grace=0.3)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.join(BOB)
        room.leave(ALICE)
        await worker.idle()
    assert room.closed
    assert product.profiles() == [str(livekit_identity_to_uuid(ALICE))]


async def test_who_comes_back_in_time_goes_on_in_the_same_session(
    product: Product, room: EdgeRoom, settings: Set
) -> None:
    settings(reconnect_grace=30)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        session = product.sessions[room.name]
        for reason in (rtc.DisconnectReason.CLIENT_INITIATED, rtc.DisconnectReason.DUPLICATE_IDENTITY):
            room.leave(ALICE, reason)
            room.join(ALICE)
            await product.chat(room, ALICE, f"I left: {rtc.DisconnectReason.Name(reason)}.")
        assert product.sessions[room.name] is session
        room.close()
        await worker.idle()
    assert len(product.requests(room)) == 3


async def test_time_away_is_not_added_up(product: Product, room: EdgeRoom, settings: Set) -> None:
    """Away three times for half of what is granted, and there in between: nobody is let go."""
    settings(reconnect_grace=1.0)
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for _ in range(3):
            room.leave(ALICE)
            await asyncio.sleep(0.5)
            room.join(ALICE)
            await product.chat(room, ALICE, "I am back.")
        assert not room.closed
        room.close()
        await worker.idle()


async def test_a_telephones_line_is_shut_to_a_token_of_the_same_name_in_both_directions(
    product: Product, room: EdgeRoom, settings: Set, log: pytest.LogCaptureFixture
) -> None:
    settings(participant_kinds="standard,sip", reconnect_grace=30)
    room.join(PHONE, SIP)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.leave(PHONE)
        await until(lambda: room.may_listen == set(), "nobody to be let listen while she is away")
        room.join(PHONE, STANDARD)
        room.text(PHONE, "I am the caller.")
        room.speak(PHONE, spoken("I love fire"))
        await until(lambda: "[INPUT REFUSED]" in log.text, "the words to be refused")
        sent = len(room.sent)
        product.sessions[room.name].say("Your secret is safe.")
        await product.answered(room)
        assert room.may_listen == set()
        assert [each for each in room.sent[sent:] if each.topic == "lk.transcription"] == []
        room.leave(PHONE)
        room.join(PHONE, SIP)
        await until(lambda: room.may_listen == {PHONE}, "the caller to be let listen again")
        await product.chat(room, PHONE, "I live in Oslo.")
        await product.say(room, PHONE, "I love tea")
        room.close()
        await worker.idle()
    assert [turn for turn in product.turns(room) if turn] == ["I live in Oslo.", "I love tea"]


async def test_a_token_that_takes_a_telephones_name_does_not_keep_its_call_alive(
    product: Product, room: EdgeRoom, settings: Set
) -> None:
    settings(participant_kinds="standard,sip", reconnect_grace=0.3)
    room.join(PHONE, SIP)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.leave(PHONE)
        room.join(PHONE, STANDARD)
        await worker.idle()
    assert room.closed


@pytest.mark.parametrize(("first", "second"), [("sip", "standard"), ("standard", "sip")])
async def test_where_everybody_is_heard_the_two_are_each_somebody(
    product: Product, room: EdgeRoom, settings: Set, first: Kind, second: Kind
) -> None:
    settings(participant_kinds="standard,sip", room_policy="everyone", reconnect_grace=30)
    kinds = {"sip": SIP, "standard": STANDARD}
    room.join(PHONE, kinds[first])
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        room.leave(PHONE)
        room.join(PHONE, kinds[second])
        await until(lambda: len(product.profiles()) == 2, "the second to be somebody")
        room.close()
        await worker.idle()
    assert set(product.profiles()) == {str(livekit_identity_to_uuid(PHONE, kind=kind)) for kind in (first, second)}


async def test_words_that_wait_in_vain_take_nothing_with_them(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """A message whose sender never comes is given up, and the binding that it waited for still happens."""
    monkeypatch.setattr("call.job.Lines", partial(Lines, patience=Patience(session=0.1)))
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        room.text(ALICE, "I am early.")
        await until(lambda: "[INPUT REFUSED]" in log.text, "the message to be given up")
        room.join(ALICE)
        await product.greeted(room)
        room.close()
        await worker.idle()
    assert product.turns(room) == [""]
