"""A person with a browser: LiveKit's own client, in a Chromium without a window."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.offline.listening import heard_words
from tests.rooms.browser.browser import Browser, browser
from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked
from tests.stack.worker import Worker
from voice.failure import HOLD_ON

COLORS = ["blue", "red", "green"]

Fresh = Callable[[str], str]
OpenPage = Callable[[str, str], AbstractAsyncContextManager[Browser]]


@pytest.fixture
def open_page(livekit_server: LiveKitServer, worker: Worker, tmp_path: Path) -> OpenPage:
    """`open_page(identity, room)`: a page of somebody who may join that room."""
    return lambda identity, room: browser(livekit_server, identity, room, tmp_path)


async def test_a_page_holds_a_spoken_dialogue_and_shows_both_sides_of_it(
    open_page: OpenPage, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    async with open_page(fresh("alice"), fresh("kitchen")) as alice:
        await alice.join()
        greeting = await alice.answer()
        await alice.say(speech / "blue.rms.wav")
        await alice.reply_with("blue")
        await alice.say(speech / "ask_color.rms.wav")
        answer = await alice.reply_with("blue")
        await alice.leave()

    assert heard_words(answer.audio, COLORS) == "blue"
    # on a busy machine the agent may have begun to ask for patience
    assert [(line.who, line.text) for line in alice.dialogue if not HOLD_ON.startswith(line.text)] == [
        ("agent", greeting.text),
        ("me", "my favorite color is blue"),
        ("agent", "Got it, your favorite color is blue."),
        ("me", "what is my favorite color"),
        ("agent", "Your favorite color is blue."),
    ]
    assert [line for line in alice.dialogue if not line.final] == []
    assert [each for each in alice.story if "not shown" in each] == []
    assert {"listening", "thinking", "speaking"} <= set(alice.states)
    assert [(each["agent"], each["source"]) for each in alice.hears] == [(True, "microphone")]
    assert asked.heard == ["my favorite color is blue", "what is my favorite color"]
    assert [each.value for each in await worker.keeps(alice.identity, 1)] == ["my favorite color is blue"]


@pytest.mark.thorough
async def test_words_spoken_before_there_is_a_room_are_answered_on_the_page(
    open_page: OpenPage, livekit_server: LiveKitServer, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen"), microphone=False) as at_home:
        await at_home.answer()
        await at_home.type("my favorite color is green")
        await at_home.answer()
    async with open_page(at_home.identity, fresh("office")) as alice:
        await alice.say_early_and_join(speech / "ask_color.rms.wav")
        await alice.until(lambda: "me" in {line.who for line in alice.dialogue}, "her own words", 30)
        await alice.reply_with("Your favorite color is green.")
        await alice.leave()

    assert asked.heard == ["what is my favorite color"]
    assert [line.text for line in alice.dialogue if line.who == "me"] == ["what is my favorite color"]
