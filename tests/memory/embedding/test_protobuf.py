"""What is written is what protobuf's own library writes, and a graph is one that ONNX Runtime computes."""

from __future__ import annotations

import numpy as np
import onnxruntime
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.wrappers_pb2 import FloatValue, UInt64Value

from memory.embedding.protobuf import Graph, field


def test_numbers_texts_and_messages_are_as_the_library_writes_them() -> None:
    for number in (1, 127, 128, 300, 2**40):
        assert field(1, number) == UInt64Value(value=number).SerializeToString()
    assert field(1, 1e-12) == FloatValue(value=1e-12).SerializeToString()
    inner = FieldDescriptorProto(name="Größe", number=300, json_name="x" * 200)
    assert field(1, "Größe") + field(3, 300) + field(10, "x" * 200) == inner.SerializeToString()
    outer = FileDescriptorProto(name="a", extension=[inner])
    assert field(1, "a") + field(7, inner.SerializeToString()) == outer.SerializeToString()


def test_a_graph_computes() -> None:
    graph = Graph()
    doubled = graph.node("Mul", ["given", graph.constant("two", np.array([2, 2], np.float32))], "doubled")
    graph.node("com.microsoft.Gelu", [doubled], "gelu")
    level = graph.node("LayerNormalization", ["gelu", "two"], "level", axis=1, epsilon=1e-5)
    model = graph.model(("given", ["rows", 2]), (level, ["rows", 2]), onnx=18, microsoft=1)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (rows,) = session.run(None, {"given": np.array([[1, 5], [3, -2], [0, 1]], np.float32)})
    assert np.allclose(rows, [[-2, 2], [2, -2], [-2, 2]], atol=1e-3)
