"""A realtime model keeps the conversation itself: what is forgotten is taken out of it there too."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from memory.records import Turn
from tests.call.assistant.realtime import talk_of_alice
from tests.memory.stores.contract import NOON
from tests.voice.realtime_server import RealtimeServer
from tests.voice.test_realtime import until

CODE, TEA = "My diagnosis code is H 42.", "I like tea."
TURNS = [
    Turn("item_1", "user", f"{CODE} {TEA}", NOON),
    Turn("item_2", "assistant", "Your diagnosis code is H 42.", NOON + timedelta(seconds=1)),
    Turn("item_3", "user", "What is the weather like?", NOON + timedelta(seconds=2)),
]


@pytest.mark.parametrize("everything", [False, True])
async def test_it_is_gone_from_the_models_own_conversation_and_stays_so(
    server: RealtimeServer, tmp_path: Path, everything: bool
) -> None:
    async with talk_of_alice(server, tmp_path, TURNS, stated=TURNS[:1]) as talk:
        manager = talk.manager
        await until(lambda: len(server.items) == 3 and "H 42" in server.instructions, 5)
        assert str(server.items).count("H 42") == 2
        await (manager.aforget_everything() if everything else manager.aforget("FACT", "diagnosis_code"))
        await until(lambda: "H 42" not in f"{server.items} {server.instructions}", 5)
        said = {part["text"] for item in server.items.values() for part in item["content"]}
        assert said == {"What is the weather like?"} | (set() if everything else {TEA})
        assert "H 42" not in str(talk.voice.session.history.to_dict())
        await server.cut()
        await until(lambda: server.connections == 2 and len(server.items) == len(said), 5)
        await asyncio.sleep(0.2)
        assert "H 42" not in f"{server.items} {server.instructions}"
