"""When a goodbye is one: it was said, and heard to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit.agents import UserStateChangedEvent, llm
from livekit.agents.voice import SpeechHandle

from call.acquaintance import Acquaintance
from call.assistant.assistant import Assistant
from call.clock import Clock, ClockSettings
from call.services import Services, Settings
from identity import Binding
from memory.manager import MemoryManager
from memory.stores.sqlite import SqliteStore
from tests.voice.realtime_server import Call, RealtimeServer
from tests.voice.test_realtime import Loudspeaker, until
from voice.session import Voice, prepare
from voice.settings import VoiceSettings


def alices(voice: VoiceSettings, tmp_path: Path) -> Assistant:
    binding = Binding()
    user = binding.bind("alice@example.com")
    manager = MemoryManager(lambda: SqliteStore(tmp_path / "rapport.db"), 5)
    with binding.entered():
        remembering = manager.open_session()
    services = Services(Settings(voice=voice), manager)
    return Assistant(services, binding, Acquaintance(user, None), remembering, Clock(ClockSettings()), lambda: None)


async def test_a_realtime_model_ends_the_call_too(tmp_path: Path) -> None:
    async with RealtimeServer() as server:
        answers: Iterator[str | Call] = iter([Call("end_call"), "Hello there."])
        server.mind = lambda: next(answers)
        settings = VoiceSettings(voice_mode="realtime", realtime_base_url=server.base_url, realtime_api_key="none")
        voice, assistant = Voice(settings, prepare()), alices(settings, tmp_path)
        voice.session.output.audio = Loudspeaker()
        await voice.session.start(assistant, record=False)
        try:
            voice.session.generate_reply(user_input="goodbye")
            await until(assistant.goodbye.is_set, 5)
            assert [m.text_content for m in voice.session.history.messages()][-1] == "Hello there."
        finally:
            await asyncio.wait_for(voice.session.aclose(), 10)
            await voice.aclose()


@pytest.mark.parametrize(
    ("said", "cut_off", "they", "over"),
    [
        (True, False, ["listening"], True),
        (True, False, ["away"], True),
        (False, False, ["listening"], False),  # the model failed: they have heard nothing
        (True, True, ["listening"], False),
        (True, False, ["speaking"], False),  # too short yet to cut anybody off
        (True, False, ["speaking", "listening"], False),  # what they said is not recognised yet
    ],
)
async def test_who_speaks_on_or_hears_none_stays(
    said: bool, cut_off: bool, they: list[Any], over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant = alices(VoiceSettings(openai_api_key=cast("Any", "none")), tmp_path)
    speech = SpeechHandle.create()
    monkeypatch.setattr(Assistant, "session", SimpleNamespace(user_state=they[-1]))
    for _ in range(2):  # a model may call it twice
        await assistant.end_call(cast("Any", SimpleNamespace(speech_handle=speech)))
    for state in they:
        assistant._on_user_state(UserStateChangedEvent(old_state="listening", new_state=state))
    if said:
        speech._item_added([llm.ChatMessage(role="assistant", content=["Goodbye."])])
    if cut_off:
        speech.interrupt()
    speech._mark_done()
    await asyncio.sleep(0)
    assert assistant.goodbye.is_set() is over
