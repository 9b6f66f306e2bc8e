"""Messages in protobuf's wire format, written only: what ONNX Runtime and SentencePiece take a model as.

Their own classes for it are in packages that nothing else here needs (`onnx`), or take seconds for 250,000 entries.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Value = int | float | str | bytes
"""A number that is not negative, a float32, a text, or a message in its turn."""
Array = NDArray[np.generic]

_ELEMENTS = {"float32": 1, "uint8": 2, "int64": 7}
"""The ONNX number of each type of element."""
_FLOAT, _INT = 1, 2


def field(number: int, value: Value) -> bytes:
    """One field of a message; a message is its fields one after another."""
    match value:
        case int():
            return varint(number << 3) + varint(value)
        case float():
            return varint(number << 3 | 5) + struct.pack("<f", value)
        case str() | bytes():
            body = value.encode() if isinstance(value, str) else value
            return varint(number << 3 | 2) + varint(len(body)) + body


def varint(number: int) -> bytes:
    """Seven bits to a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


class Graph:
    """A graph of ONNX operators. What goes through it has a name; each operator's output is named by its caller."""

    def __init__(self) -> None:
        self._nodes = list[bytes]()
        self._constants = list[bytes]()

    def constant(self, name: str, array: Array) -> str:
        sizes = b"".join(field(1, size) for size in array.shape)
        tensor = sizes + field(2, _ELEMENTS[array.dtype.name]) + field(8, name) + field(9, array.tobytes())
        self._constants.append(field(5, tensor))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: float) -> str:
        """One whose name has no domain is ONNX's own; `com.microsoft.Gelu` is Microsoft's."""
        domain, _, kind = operator.rpartition(".")
        node = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind) + field(7, domain)
        self._nodes.append(field(1, node + b"".join(_attribute(*each) for each in attributes.items())))
        return output

    def model(self, given: tuple[str, list[int | str]], wanted: tuple[str, list[int | str]], **versions: int) -> bytes:
        """The whole as a file. `given` and `wanted` are float32; a size that is not known has a name.

        `versions`: of ONNX's operators, and of those of `com.microsoft`.
        """
        graph = b"".join([*self._nodes, field(2, "graph"), *self._constants, _tensor(11, *given), _tensor(12, *wanted)])
        domains: Mapping[str, int] = {"": versions["onnx"], "com.microsoft": versions["microsoft"]}
        opsets = b"".join(field(8, field(1, domain) + field(2, version)) for domain, version in domains.items())
        return field(1, 9) + field(7, graph) + opsets


def _attribute(name: str, value: float) -> bytes:
    if isinstance(value, int):
        return field(5, field(1, name) + field(3, value) + field(20, _INT))
    return field(5, field(1, name) + field(2, value) + field(20, _FLOAT))


def _tensor(number: int, name: str, sizes: list[int | str]) -> bytes:
    dimensions = b"".join(field(1, field(1 if isinstance(size, int) else 2, size)) for size in sizes)
    kind = field(1, field(1, _ELEMENTS["float32"]) + field(2, dimensions))
    return field(number, field(1, name) + field(2, kind))
