"""Where vectors of meaning come from: a model in this process, or a server that speaks OpenAI's protocol.

Without them memories are found by their words.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import numpy as np

from memory.embedding import e5
from memory.recall.vectors import Vector

if TYPE_CHECKING:
    from openai import AsyncClient

_MOST_NUMBERS = 256
"""Of a longer vector these come first, as text-embedding-3 and others are trained for: 50,000 of them are searched in
some milliseconds."""
_MOST_CHARACTERS = 2000
"""Of one text; models refuse more than some thousand words, and what a memory is about it says sooner."""
_EXTRA = "`uv pip install -r pyproject.toml --extra embeddings`, or set EMBEDDINGS to off or openai"

_ASKED, _TOLD = (ThreadPoolExecutor(1, f"rapport-{name}") for name in ("questions", "statements"))
"""The process's own threads for the model in it: one text each at a time, and a question waits for no statement."""


class EmbeddingsOff(Exception):
    """There can be no vectors here; the message says what to change."""


class EmbeddingsFailed(Exception):
    """These texts got no vectors, and perhaps will at the next try. The message holds nothing of them."""


class Embedder(Protocol):
    """Texts that mean alike get vectors that point alike. Belongs to one event loop."""

    @property
    def model(self) -> str:
        """Vectors of models with different names have nothing to do with each other."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vector:
        """One row for each text that somebody told. Raises `EmbeddingsFailed`."""
        ...

    async def question(self, text: str) -> Vector:
        """The vector of what somebody asks. Raises `EmbeddingsFailed`."""
        ...

    async def aclose(self) -> None: ...


class LocalEmbedder:
    """multilingual-e5-small in this process, beside its event loop: 15 ms of CPU for a question, no network."""

    model = e5.NAME

    def __init__(self) -> None:
        """The model is loaded by the first text, unless it was before. Raises `EmbeddingsOff`."""
        try:
            e5.weights_file()
        except e5.NoModel as error:
            raise EmbeddingsOff(f"EMBEDDINGS=local: {error}; {_EXTRA}") from error

    async def embed(self, texts: Sequence[str]) -> Vector:
        return np.stack([await self._vector(_TOLD, text, "passage") for text in texts])

    async def question(self, text: str) -> Vector:
        return await self._vector(_ASKED, text, "query")

    async def aclose(self) -> None:
        pass

    async def _vector(self, thread: ThreadPoolExecutor, text: str, kind: e5.Kind) -> Vector:
        """Who is cancelled leaves one text behind that is still computed, at most."""
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, lambda: e5.loaded().vector(text, kind))
        except Exception as error:  # whatever the libraries raise; it may quote the text
            raise EmbeddingsFailed(type(error).__name__) from None


def prepare_local() -> None:
    """Have the model loaded, beside whatever else the process does."""

    def load() -> None:
        with suppress(Exception):  # each call says so
            e5.loaded()

    threading.Thread(target=load, name="rapport-model", daemon=True).start()


class OpenAIEmbedder:
    """A model behind OpenAI's protocol. Every text is sent there."""

    def __init__(self, client: AsyncClient, model: str) -> None:
        """The client is closed with it; how long it waits and how often it tries is the client's matter."""
        self._client = client
        self.model = model
        self._numbers: int | None = None
        """How many numbers its vectors have."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        try:
            answer = await self._client.embeddings.create(
                model=self.model, input=[text[:_MOST_CHARACTERS] for text in texts]
            )
            rows = np.array([one.embedding for one in sorted(answer.data, key=lambda one: one.index)], np.float32)
        except Exception as error:  # whatever a client or an answer raises; its text may quote what was said
            status = getattr(error, "status_code", None)
            raise EmbeddingsFailed(f"{type(error).__name__}{f' {status}' if status else ''}") from None
        if not rows.size or rows.shape != (len(texts), self._numbers or rows.shape[-1]) or not np.isfinite(rows).all():
            sizes = " x ".join(map(str, rows.shape))
            raise EmbeddingsFailed(
                f"{sizes} numbers for {len(texts)} texts, {self._numbers or 'any number'} each wanted"
            )
        self._numbers = rows.shape[1]
        return _units(rows[:, :_MOST_NUMBERS])

    async def question(self, text: str) -> Vector:
        return (await self.embed([text]))[0]

    async def aclose(self) -> None:
        await self._client.close()


def _units(rows: Vector) -> Vector:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)
