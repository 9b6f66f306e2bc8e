"""One speech-to-speech model in a real room, with words that were really spoken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.worker import Worker
from tests.voice.realtime_server import RealtimeServer


@pytest.mark.thorough
async def test_what_is_spoken_is_answered_and_kept_and_a_silent_model_is_told_of_in_time(
    livekit_server: LiveKitServer, models: Models, fresh: Callable[[str], str], speech: Path, tmp_path: Path
) -> None:
    name = fresh("realtime")
    async with RealtimeServer() as server:
        environment = {
            "LIVEKIT_AGENT_NAME": name,
            "VOICE_MODE": "realtime",
            "REALTIME_BASE_URL": server.base_url,
            "TTS_BASE_URL": models.base_url,
        }
        server.speed = 8
        with Worker(
            livekit_server, models.base_url, tmp_path / "home", tmp_path / "worker.log", environment=environment
        ) as worker:
            async with Person(livekit_server, fresh("alice"), fresh("kitchen"), agent=name) as alice:
                assert "Hello there." in (await alice.answer()).text
                server.words, server.mind = ["My favorite color is blue."], lambda: "Got it."
                await alice.say(speech / "blue.rms.wav")
                assert "Got it." in (await alice.answer()).text
                (kept,) = await worker.keeps(alice.identity, 1)
                assert "blue" in kept.value

                server.words, server.fault = ["What is my favorite color?", "And again?"], "silent"
                await alice.say(speech / "ask_color.rms.wav")
                heard = alice.agent_audio
                assert heard
                before = heard.seconds_of_sound
                await alice.until(lambda: heard.seconds_of_sound > before, "she is told to hold on", 3)
                await alice.until(lambda: server.connections == 2, "the connection is given up", 8)
                await alice.answer()
                server.fault, server.mind = "", lambda: "It is blue."
                await alice.say(speech / "ask_color.rms.wav")
                assert "It is blue." in (await alice.answer()).text
        assert server.refusals == []
        assert worker.logged("[SESSION END]")
