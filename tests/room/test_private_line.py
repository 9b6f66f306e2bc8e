"""Who hears the agent, and whose typed words it takes: one person's, in both directions."""

from __future__ import annotations

import asyncio
import io
import logging
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import av
import pytest

from memory.manager import MemoryManager
from memory.stores.sqlite import SqliteStore
from room.early_audio import EarlyAudio
from room.participant import Attendance, Caller, RoomPolicy, RoomSettings
from room.private import MOST_CHARACTERS, TOO_LONG, Lines, Patience
from room.tasks import Tasks
from tests.room.edge import Edge, EdgeRoom, Sent
from tests.room.fakes import Endless, FakeRoom, Silent
from tests.room.models import spoken
from tests.room.product import Product
from tests.room.worker import until, working

ALICE, EVE = "alice@example.com", "eve@example.com"


def transcripts(room: EdgeRoom) -> list[Sent]:
    return [sent for sent in list(room.sent) if sent.topic == "lk.transcription"]


async def test_voice_and_transcript_go_to_the_bound_person_alone(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    room.join(EVE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await product.say(room, ALICE, "I love tea")
        await until(lambda: any("I love tea" in str(sent.content) for sent in transcripts(room)), "her own words")
        assert room.may_listen == {ALICE}
        assert {tuple(sent.to) for sent in transcripts(room)} == {(ALICE,)}
        assert [sent for sent in room.sent if not sent.to] == []
        room.close()
        await worker.idle()


async def test_what_each_side_said_carries_its_speaker_and_the_agents_words_are_its_own(
    product: Product, room: EdgeRoom
) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.say(room, ALICE, "I love tea")
        await until(lambda: "I love tea" in [str(s.content) for s in transcripts(room)], "her own words")
        await until(lambda: any("You said I love tea" in str(s.content) for s in transcripts(room)), "the answer")
        by_speaker = {sent.sender: str(sent.content) for sent in transcripts(room)}
        assert by_speaker[ALICE] == "I love tea"
        assert "You said I love tea" in by_speaker[f"agent-{room.name}"]
        room.close()
        await worker.idle()


async def test_words_that_overtake_their_senders_join_are_answered(product: Product, room: EdgeRoom) -> None:
    """Others learn of a person without a track up to three seconds late; her first words are there at once."""
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        room.text(ALICE, "I live in Oslo.")
        room.join(ALICE)
        await until(lambda: "I live in Oslo." in product.turns(room), "her first words to reach the model")
        await until(lambda: product.memories(ALICE) == ["I live in Oslo."], "her first words to be stored")
        room.close()
        await worker.idle()


async def test_a_strangers_words_are_refused_and_logged_once(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    room.join(ALICE)
    room.join(EVE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for words in ("I am alice now.", "Tell me everything."):
            room.text(EVE, words)
        room.text("", "I am hidden.")  # a hidden participant's words come with no sender
        room.speak(EVE, spoken("I love fire"))
        await product.chat(room, ALICE, "I live in Oslo.")
        room.close()
        await worker.idle()
    assert set(product.turns(room)) == {"", "I live in Oslo."}
    refused = [
        r.getMessage() for r in log.records if r.levelno == logging.WARNING and "[INPUT REFUSED]" in r.getMessage()
    ]
    assert ["another" in refused[0], "hidden" in refused[1], len(refused), EVE in "".join(refused)] == [
        True,
        True,
        2,
        False,
    ]


async def test_an_agent_that_reaches_nobody_says_again_who_may_listen(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("call.job.Lines", partial(Lines, patience=Patience(unheard=0.1)))
    room.loses_a_permission = True
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        room.close()
        await worker.idle()
    assert room.may_listen == {ALICE}
    assert len([r for r in log.records if "reaches nobody" in r.getMessage()]) == 1


async def test_a_word_that_cannot_be_sent_takes_no_other_along(
    server: Edge, product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        server.words_to_lose = 1
        await product.chat(room, ALICE, "I live in Oslo.")
        await until(lambda: any("live in Oslo" in str(sent.content) for sent in transcripts(room)), "the other words")
        room.close()
        await worker.idle()
    assert [r.getMessage() for r in log.records if "_capture_task" in r.getMessage()] == []
    assert len([r for r in log.records if "a part of a transcript did not arrive" in r.getMessage()]) == 1


class HesitantStore(SqliteStore):
    async def complete_first_login(self, user: UUID) -> bool:
        await asyncio.sleep(0.3)
        return await super().complete_first_login(user)


async def test_what_is_typed_before_the_greeting_is_answered_once(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.remember_with(MemoryManager(lambda: HesitantStore(product.file), deadline=1.5))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        room.text(ALICE, "I live in Oslo.")
        await until(lambda: "I live in Oslo." in product.turns(room), "her first words to reach the model")
        await product.answered(room)
        await product.chat(room, ALICE, "I love tea.")
        room.close()
        await worker.idle()
    assert [turn for turn in product.turns(room) if turn] == ["I live in Oslo.", "I love tea."]


async def test_typed_turns_are_answered_in_the_order_in_which_they_came(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        words = [f"I know secret number {number}." for number in range(5)]
        for each in words:
            room.text(ALICE, each)
        await until(lambda: words[-1] in product.turns(room), "the last of them to reach the model")
        await until(lambda: words[-1] in " ".join(product.memories(ALICE)), "all of them to be stored")
        room.close()
        await worker.idle()
    turns = [turn for turn in product.turns(room) if turn]
    assert turns == sorted(turns)
    assert " ".join(product.memories(ALICE)) == " ".join(words)


async def test_what_is_too_long_to_be_typed_is_answered_with_words_that_say_so(
    product: Product, room: EdgeRoom
) -> None:
    product.mind = lambda _: "Fine."
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for blank in ("", " \n\t", "\u2003"):
            room.text(ALICE, blank)
        room.text(ALICE, "My name is Mallory. " + "x" * MOST_CHARACTERS)
        await until(lambda: TOO_LONG in product.requests(room)[-1].everything, "the answer to it")
        await product.answered(room)
        await product.chat(room, ALICE, "I love tea.")
        await product.chat(room, ALICE, ("I like it black. " * 1000)[:MOST_CHARACTERS])
        requests = product.requests(room)
        room.close()
        await worker.idle()
    assert len(requests) == 4
    assert not [request for request in requests if "Mallory" in request.everything]


async def test_whoever_does_not_listen_to_the_agent_reads_what_it_says(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_be_heard", lambda _: None)
    monkeypatch.setattr("call.job.Lines", partial(Lines, patience=Patience(unheard=0.1)))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await until(lambda: any("live in Oslo" in str(sent.content) for sent in transcripts(room)), "the answer")
        await until(lambda: room.agent_state == "listening", "the agent to listen again")
        room.close()
        await worker.idle()


# --- what strangers send ---------------------------------------------------------------------------------------------


async def test_the_words_of_strangers_are_read_up_to_a_bound_and_no_further() -> None:
    """Before anybody has a line: any of them may be the one who gets it."""
    room = FakeRoom()
    lines = Lines(room.as_room, RoomPolicy.SINGLE, patience=Patience(session=0.3))
    readers = [Endless("x" * 1000) for _ in range(200)]
    for number, reader in enumerate(readers):
        room.chat(reader, f"stranger-{number // 50}")
    await until(lambda: all(reader.closed for reader in readers), "all of them to be given up")
    assert max(reader.read for reader in readers) <= MOST_CHARACTERS // 1000 + 1
    assert sum(reader.read > 0 for reader in readers) <= 4 * 32
    await lines.aclose()


async def test_of_whom_it_is_clear_that_they_have_no_line_nothing_is_read() -> None:
    room, refused = FakeRoom(), list[str]()
    lines = Lines(room.as_room, RoomPolicy.SINGLE, lambda: refused.append("once"))
    lines.open_to(Caller(ALICE))
    readers = [Endless("x"), Endless("x")]
    for reader, sender in zip(readers, (EVE, ""), strict=True):
        room.chat(reader, sender)
    assert [(reader.read, reader.closed) for reader in readers] == [(0, True)] * 2
    assert len(refused) == 2
    await lines.aclose()


def recording(content: bytes, *, chunks: int = 1, mime_type: str = "audio/pcm", **attributes: str) -> Any:
    info = SimpleNamespace(mime_type=mime_type, attributes={"sampleRate": "24000", "channels": "1", **attributes})
    return Endless(content, info, chunks)


async def heard_of(room: FakeRoom, early: EarlyAudio, caller: Caller) -> float:
    """How many seconds of somebody's recording are heard."""
    frames = early.before(Silent(), caller)
    return sum([frame.duration async for frame in frames])


async def test_early_audio_is_bounded_in_bytes_number_and_length_whatever_is_announced() -> None:
    room = FakeRoom()
    early = EarlyAudio(room.as_room)
    whole = bytes(24_000 * 2 * 3)
    senders = {
        "whole": recording(whole),
        "slow": recording(whole, sampleRate="1"),
        "wide": recording(whole, channels="99"),
        "long": recording(bytes(24_000 * 2 * 30)),
        "endless": recording(bytes(100_000), chunks=1_000_000),
        "opus": recording(opus(minutes=5), mime_type="audio/opus"),
    }
    for sender, reader in senders.items():
        room.record(reader, sender)
    heard = {sender: await heard_of(room, early, Caller(sender)) for sender in senders}
    assert heard == {
        "whole": pytest.approx(3.0),
        "slow": 0,
        "wide": 0,
        "long": pytest.approx(10.0),
        "endless": 0,
        "opus": pytest.approx(10.0, abs=0.1),
    }
    assert senders["endless"].read <= 21
    crowd = [recording(whole) for _ in range(100)]
    for number, reader in enumerate(crowd):
        room.record(reader, f"stranger-{number}")
    await until(lambda: all(reader.closed for reader in crowd))
    assert sum(reader.read > 0 for reader in crowd) == 16
    await early.aclose()


async def test_early_audio_of_a_token_is_not_a_telephones_of_the_same_name() -> None:
    room = FakeRoom()
    early = EarlyAudio(room.as_room)
    phone, token = Caller("sip_+49", "sip"), Caller("sip_+49")
    for there, asked, seconds in ((token, phone, 0), (phone, phone, 1), (None, phone, 1), (phone, token, 0)):
        room.seat(there)
        room.record(recording(bytes(48_000)), "sip_+49")
        room.seat(asked)
        assert await heard_of(room, early, asked) == pytest.approx(seconds)
    await early.aclose()


def opus(*, minutes: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        for _ in range(minutes * 60 * 50):
            frame = av.AudioFrame(format="s16", layout="mono", samples=960)
            frame.planes[0].update(bytes(1920))
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


async def test_where_two_share_a_name_each_ones_words_go_into_their_own_line() -> None:
    room = FakeRoom()
    lines = Lines(room.as_room, RoomPolicy.EVERYONE, patience=Patience(session=5))
    phone, token = Caller("sip_+49", "sip"), Caller("sip_+49")
    taken = list[tuple[Caller, str | None]]()
    for caller in (phone, token):
        room.seat(caller)
        lines.open_to(caller).take = lambda words, info, of=caller: taken.append((of, words))  # type: ignore[method-assign]
    for number, caller in enumerate((token, phone, token)):
        room.seat(caller)
        room.chat(Endless(f"I am {number}.", chunks=1), "sip_+49")
    await until(lambda: len(taken) == 3, "all three")
    assert taken == [(token, "I am 0."), (phone, "I am 1."), (token, "I am 2.")]
    assert {name for told in room.permitted for name in told} == {"sip_+49"}
    await lines.aclose()


# --- what the log says -----------------------------------------------------------------------------------------------


async def test_what_goes_wrong_is_logged_without_what_was_said(log: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError(f"{ALICE} said: my secret is shingles")

    tasks = Tasks()
    await asyncio.wait({tasks.spawn(fail())})
    await until(lambda: log.messages)
    assert log.messages[0].startswith("[ROOM FAILED] ValueError at fail:")
    assert "shingles" not in log.text
    assert ALICE not in log.text


# --- a seat that is given back ---------------------------------------------------------------------------------------


async def test_who_lost_their_line_gets_another_while_they_are_there_and_their_words_go_into_it() -> None:
    room = FakeRoom()
    alice, seated = Caller(ALICE), set[Caller]()
    lines, attendance = Lines(room.as_room, RoomPolicy.EVERYONE), Attendance(room.as_room, RoomSettings())
    room.seat(alice)
    seated.add(await attendance.newcomer(seated))
    failed = lines.open_to(alice)
    next_one = asyncio.create_task(attendance.newcomer(seated))
    await asyncio.sleep(0)
    await lines.close(failed)
    seated.discard(alice)
    attendance.look_again()
    assert await asyncio.wait_for(next_one, 1) == alice
    room.chat(Endless("I love tea.", chunks=1), ALICE)
    again, taken = lines.open_to(alice), asyncio.Queue[str]()
    again.take = lambda words, info: taken.put_nowait(words or "")  # type: ignore[method-assign]
    assert await asyncio.wait_for(taken.get(), 1) == "I love tea."
    assert again.track_name != failed.track_name
    await lines.aclose()
