"""A realtime model answers before the person's words are written down: what is judged by them waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from call.assistant.prompts import FIRST_GREETING, RESUMED_GREETING, RETURN_GREETING
from memory.records import Turn
from tests.call.assistant.realtime import Talk, talk_of_alice
from tests.memory.stores.contract import NOON
from tests.voice.realtime_server import Call, RealtimeServer
from tests.voice.test_realtime import until

TEA = Turn("item_1", "user", "I like tea.", NOON)
ANSWER = Turn("item_2", "assistant", "So do I.", NOON + timedelta(seconds=1))
ASKED = Turn("item_3", "user", "Please forget everything about me.", NOON + timedelta(seconds=2))


def calling(server: RealtimeServer, confirmation: str) -> Callable[[], str | Call]:
    """A mind that wants all forgotten, and then says what came of it."""
    calls = iter([Call("forget_everything", {"confirmation": confirmation})])

    def mind() -> str | Call:
        return next(calls, None) or [item["output"] for item in server.items.values() if "output" in item][-1]

    return mind


async def asked(server: RealtimeServer) -> None:
    """She wanted it, and was asked whether she really does."""
    await until(lambda: "tools" in server.session, 5)
    server.mind = calling(server, "")
    item = await server.hears()
    await server.transcribes(item, ASKED.text)
    await until(lambda: server.said[-1:] and "yes or no" in server.said[-1], 5)


def called(talk: Talk, confirmation: str) -> bool:
    """The tool runs, or has run."""
    items = talk.voice.session.history.items
    return any(item.type == "function_call" and confirmation in item.arguments for item in items)


async def kept(talk: Talk) -> list[str]:
    return [memory.value for memory in await talk.manager.amemories()]


async def test_a_spoken_yes_is_heard_though_it_is_written_down_after_the_model_has_called(
    server: RealtimeServer, tmp_path: Path
) -> None:
    async with talk_of_alice(server, tmp_path, stated=[TEA]) as talk:
        await asked(server)
        server.mind = calling(server, "yes")
        item = await server.hears()
        await until(lambda: called(talk, "yes"), 3)
        assert await kept(talk), "nothing is deleted before she is known to agree"
        await server.transcribes(item, "Yes.")
        await until(lambda: "Everything is forgotten" in server.said[-1], 5)
        assert not await kept(talk)


async def test_a_spoken_no_is_not_overruled_by_an_earlier_yes(server: RealtimeServer, tmp_path: Path) -> None:
    async with talk_of_alice(server, tmp_path, stated=[TEA]) as talk:
        await asked(server)
        server.mind = lambda: "I see."
        await server.transcribes(await server.hears(), "I like tea, yes.")
        await until(lambda: server.said[-1] == "I see.", 3)
        server.mind = calling(server, "yes")
        item = await server.hears()
        await until(lambda: called(talk, "yes"), 3)
        await server.transcribes(item, "No, do not do that.")
        await until(lambda: "yes or no" in server.said[-1], 5)
        assert await kept(talk)


async def test_a_turn_whose_words_nobody_knows_is_no_yes_and_is_told_of_once(
    server: RealtimeServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with talk_of_alice(server, tmp_path, stated=[TEA]) as talk:
        await asked(server)
        server.mind = calling(server, "yes")
        item = await server.hears()
        await server.fails_to_transcribe(item)
        await until(lambda: "yes or no" in server.said[-1], 2)
        assert await kept(talk)
        assert caplog.text.count("[MEMORY FAILED]") == 1
        server.mind = calling(server, "yes")
        item = await server.hears()
        await server.transcribes(item, "Yes, please.")
        await until(lambda: "Everything is forgotten" in server.said[-1], 5)
        assert not await kept(talk)


async def test_the_model_is_not_told_any_more_what_a_turn_has_corrected(server: RealtimeServer, tmp_path: Path) -> None:
    rome = Turn("item_1", "user", "I live in Rome.", NOON)
    async with talk_of_alice(server, tmp_path, stated=[rome]) as talk:
        await until(lambda: "Rome" in server.instructions, 3)

        def updates() -> int:
            return sum("instructions" in event.get("session", {}) for event in server.taken)

        before = updates()
        await talk.remembering.capture(Turn("item_2", "user", "My dog is called Rex.", NOON + timedelta(seconds=1)))
        await asyncio.sleep(0.1)
        assert updates() == before, "it has heard that itself"
        await talk.remembering.capture(Turn("item_3", "user", "I moved to Porto.", NOON + timedelta(seconds=2)))
        await until(lambda: "Porto" in server.instructions, 3)
        assert "I live in Rome" not in server.instructions


@pytest.mark.parametrize("taken", [True, False])
async def test_a_model_that_did_not_take_the_conversation_is_not_told_to_go_on_with_it(
    server: RealtimeServer, tmp_path: Path, taken: bool
) -> None:
    server.fault = "" if taken else "ids refused"
    async with talk_of_alice(server, tmp_path, [TEA, ANSWER, ASKED]) as talk:
        greeting = await talk.known.greeting(talk.services, sees_history=talk.assistant.sees_history)
        assert greeting in ((RESUMED_GREETING,) if taken else (FIRST_GREETING, RETURN_GREETING))
        assert len(server.items) == (3 if taken else 0)
