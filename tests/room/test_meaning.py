"""What EMBEDDINGS gives the shipped worker."""

from __future__ import annotations

import numpy as np
import pytest

from call.services import Settings, open_embedder
from memory.manager import MemoryManager
from memory.recall.vectors import Vector
from memory.sessions.embedders import Embedder, EmbeddingsOff, OpenAIEmbedder
from memory.settings import MemorySettings
from memory.stores.sqlite import SqliteStore
from tests.room.edge import EdgeRoom
from tests.room.models import Call
from tests.room.product import Product
from tests.room.worker import until, working
from voice.settings import VoiceSettings

ALICE = "alice@example.com"


class Near:
    """Knows that carpenter is a profession, and nothing else."""

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.closed = False

    def at_once(self, text: str) -> Vector:
        return np.array([1, 0] if "profession" in text or "carpenter" in text else [0, 1], np.float32)

    async def embed(self, texts: list[str]) -> Vector:
        self.embedded += texts
        return np.stack([self.at_once(text) for text in texts])

    async def aclose(self) -> None:
        self.closed = True


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


# -- what the settings open


def opened(kind: str, **voice: str) -> Embedder | None:
    memory = MemorySettings.model_validate({"embeddings": kind})
    return open_embedder(Settings(memory=memory, voice=VoiceSettings.model_validate(voice)))


def test_nothing_is_opened_unless_it_is_asked_for() -> None:
    assert opened("off", openai_api_key="sk-one") is None


async def test_a_server_is_opened_with_the_common_key() -> None:
    embedder = opened("openai", openai_api_key="sk-one")
    assert isinstance(embedder, OpenAIEmbedder)
    await embedder.aclose()


def test_without_a_key_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VoiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(EmbeddingsOff, match="OPENAI_API_KEY or EMBEDDINGS_API_KEY, or EMBEDDINGS_BASE_URL"):
        opened("openai")
