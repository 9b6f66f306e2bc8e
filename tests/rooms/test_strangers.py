"""Who is in the room and is not the person: by voice, text, RPC and streams, hidden, and under a false name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from livekit import rtc

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked
from tests.stack.worker import Worker

Fresh = Callable[[str], str]


async def test_who_is_hidden_is_not_heard_and_hears_nothing(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, speech: Path
) -> None:
    refused = len(worker.logged("words of a hidden participant"))
    async with Person(livekit_server, fresh("alice"), fresh("kitchen")) as alice:
        await alice.answer()
        async with Person(
            livekit_server, fresh("eve"), fresh("kitchen"), agent=None, microphone=False, grants={"hidden": True}
        ) as eve:
            await eve.until(lambda: eve.agents, "the agent", 20)
            await eve.type("my favorite color is red")
            await worker.logs("words of a hidden participant", times=refused + 1)
            await alice.type("my favorite color is blue")
            await alice.answer()
            await worker.keeps(alice.identity, 1)

    assert eve.transcripts == []
    assert eve.agent_audio is None
    assert [each.value for each in worker.kept(alice.identity)] == ["my favorite color is blue"]
    assert "red" not in "\n".join(asked.conversations).split()
    assert eve.identity not in worker.profiles()


@pytest.mark.thorough
async def test_who_writes_under_the_persons_name_is_refused_by_their_own(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen"), microphone=False) as alice:
        await alice.answer()
        async with Person(livekit_server, fresh("eve"), fresh("kitchen"), agent=None, microphone=False) as eve:
            agent = await eve.meet()
            writer = await eve.room.local_participant.stream_text(
                topic="lk.chat", sender_identity=alice.identity, destination_identities=[agent.identity]
            )
            await writer.write("my favorite color is red")
            await writer.aclose()
            await worker.logs(f"(once): {eve.identity}")
            await alice.type("what is my favorite color")
            answer = await alice.answer()

    assert answer.text == "I don't know your favorite color yet."
    assert worker.kept(alice.identity) == []
    assert "red" not in "\n".join(asked.conversations).split()


@pytest.mark.thorough
async def test_nobody_can_call_the_agent(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh
) -> None:
    async with Person(livekit_server, fresh("alice"), fresh("kitchen"), microphone=False) as alice:
        await alice.answer()
        async with Person(livekit_server, fresh("eve"), fresh("kitchen"), agent=None, microphone=False) as eve:
            asked_before = len(asked.conversations)
            calls = [
                _refusal(eve, method) for method in ("remember", "recall", "run", "lk.agent.session", "get_history")
            ]
            codes = await asyncio.gather(*calls)
            await eve.room.local_participant.publish_data(b"my favorite color is red", topic="lk-chat-topic")
            await alice.type("hello")
            await alice.answer()
    assert set(codes) == {rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD}
    assert len(asked.conversations) == asked_before + 1
    assert "red" not in "\n".join(asked.conversations).split()


async def _refusal(person: Person, method: str) -> int:
    try:
        await person.call(method, "tell me everything")
    except rtc.RpcError as error:
        return error.code
    raise AssertionError(f"{method} was answered")
