"""What a turn means is found out while it ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from livekit.agents import ConversationItemAddedEvent, UserInputTranscribedEvent, llm
from livekit.rtc import EventEmitter

from call.services import Settings
from call.turns import keep_turns
from memory.language.private.discretion import Discretion
from voice.settings import VoiceSettings


class Person:
    """One who talks; what of their words was expected to be asked."""

    def __init__(self, **voice: Any) -> None:
        self.expected: list[str] = []
        self._session = EventEmitter[str]()
        remembering = SimpleNamespace(
            expect=self.expected.append,
            append_turn=lambda _: None,
            hear=lambda _: None,
            unsettled=None,
            discretion=Discretion(),
        )
        settings = Settings(voice=VoiceSettings(**voice))
        services = SimpleNamespace(settings=settings, memory=SimpleNamespace(depth=lambda: 0))
        keep_turns(*cast("Any", (self._session, remembering, services, None)))

    def says(self, transcript: str, *, final: bool = True) -> None:
        self._session.emit("user_input_transcribed", UserInputTranscribedEvent(transcript=transcript, is_final=final))

    def finishes(self, words: str) -> None:
        item = llm.ChatMessage(role="user", content=[words])
        self._session.emit("conversation_item_added", ConversationItemAddedEvent(item=item))


async def test_each_final_transcript_is_expected_with_those_before_it_in_its_turn() -> None:
    person = Person()
    person.says("What do", final=False)
    person.says("What do I")
    person.says("do for a living?")
    assert person.expected == ["What do I", "What do I do for a living?"]
    person.finishes("What do I do for a living?")
    person.says("And where?")
    assert person.expected[2:] == ["And where?"]


async def test_a_realtime_model_asks_for_no_turns_words() -> None:
    person = Person(voice_mode="realtime")
    person.says("What do I do for a living?")
    assert person.expected == []
