"""Where vectors of meaning come from: a table in this process, or a server that speaks OpenAI's protocol.

Optional: without them memories are found by their words. Nobody's turn ever waits for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from memory.recall.vectors import Vector

if TYPE_CHECKING:
    from openai import AsyncClient
    from tokenizers import Tokenizer

_LOCAL_NUMBERS, _MOST_NUMBERS = 128, 256
"""Of a longer vector these come first, as WordLlama, text-embedding-3 and others are trained for: 50,000 of them are
searched in some milliseconds. With more of WordLlama's no more was found."""
_MOST_CHARACTERS = 2000
"""Of one text; models refuse more than some thousand words, and what a memory is about it says sooner."""
_EXTRA = "`uv pip install -r pyproject.toml --extra embeddings` (x86-64 alone), or set EMBEDDINGS to off or openai"


class EmbeddingsOff(Exception):
    """There can be no vectors here; the message says what to change."""


class EmbeddingsFailed(Exception):
    """These texts got no vectors, and perhaps will at the next try. The message holds nothing of them."""


class Embedder(Protocol):
    """Texts that mean alike get vectors that point alike. Belongs to one event loop."""

    def at_once(self, text: str) -> Vector | None:
        """The vector of a text, if that takes far less than a millisecond and no I/O."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vector:
        """One row for each text. Raises `EmbeddingsFailed`."""
        ...

    async def aclose(self) -> None: ...


class LocalEmbedder:
    """The mean of the vectors that WordLlama has for the pieces of a text's words: a look-up, no network, English."""

    def __init__(self) -> None:
        """The first one in a process takes a tenth of a second. Raises `EmbeddingsOff`."""
        self._tokenizer, self._table = _word_llama()

    def at_once(self, text: str) -> Vector:
        pieces = self._tokenizer.encode(text[:_MOST_CHARACTERS], add_special_tokens=False).ids
        return _units(self._table[pieces, :_LOCAL_NUMBERS].astype(np.float32).sum(axis=0, keepdims=True))[0]

    async def embed(self, texts: Sequence[str]) -> Vector:
        return await asyncio.to_thread(lambda: np.stack([self.at_once(text) for text in texts]))

    async def aclose(self) -> None:
        pass


class OpenAIEmbedder:
    """A model behind OpenAI's protocol. Every text is sent there."""

    def __init__(self, client: AsyncClient, model: str) -> None:
        """The client is closed with it; how long it waits and how often it tries is the client's matter."""
        self._client = client
        self._model = model
        self._numbers: int | None = None
        """How many numbers its vectors have."""

    def at_once(self, text: str) -> None:
        return None

    async def embed(self, texts: Sequence[str]) -> Vector:
        try:
            answer = await self._client.embeddings.create(
                model=self._model, input=[text[:_MOST_CHARACTERS] for text in texts]
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

    async def aclose(self) -> None:
        await self._client.close()


def _units(rows: Vector) -> Vector:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)


@cache
def _word_llama() -> tuple[Tokenizer, NDArray[np.float16]]:
    """The two files of the package, and none of its code: that would look for one of them in the wrong place and then
    on the network (0.4.0.post1), and configures the root logger when it is imported."""
    package = find_spec("wordllama")
    if package is None or package.origin is None:
        raise EmbeddingsOff(f"EMBEDDINGS=local needs WordLlama: {_EXTRA}")
    import safetensors.numpy  # noqa: PLC0415 - who has no vectors need not have it
    from tokenizers import Tokenizer  # noqa: PLC0415

    folder = Path(package.origin).parent
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        tables = safetensors.numpy.load_file(folder / "weights" / "l2_supercat_256.safetensors")
        return tokenizer, tables["embedding.weight"]
    except Exception as error:  # a Rust library's own, and a missing file's
        raise EmbeddingsOff(f"this version of WordLlama has other files ({error}): {_EXTRA}") from error
