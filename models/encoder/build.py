"""all-MiniLM-L6-v2 as an ONNX graph, drawn node by node from its safetensors: no torch, no exporter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

LAYERS = 6
HEADS = 12
DIM = 384
NORM_EPSILON = 1e-12
# Added to the attention score of padding; its exponential is exactly zero in float32.
MASKED_SCORE = -1e4
# Fixed, so that the file does not change with the version of the onnx package.
OPSET = 20
IR_VERSION = 10

Weights = Mapping[str, NDArray[np.float32]]


def build_graph(safetensors: Path) -> onnx.ModelProto:
    """Build the fp32 graph: int64 input_ids and attention_mask (b, s) -> token_vectors (b, s, 384) float32.

    Pooling is left to the caller: ONNX Runtime sums a batch of one in another order than a batch of two.
    """
    weights = {name.removeprefix("bert."): array for name, array in load_file(safetensors).items()}
    sketch = _Sketch()
    hidden = _embeddings(sketch, weights)
    mask = sketch.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    padding = sketch.node("Sub", sketch.constant(np.float32(1)), sketch.node("Unsqueeze", mask, sketch.indices([1, 2])))
    bias = sketch.node("Mul", padding, sketch.constant(np.float32(MASKED_SCORE)))
    for layer in range(LAYERS):
        hidden = _layer(sketch, weights, f"encoder.layer.{layer}.", hidden, bias)
    sketch.node("Identity", hidden, output="token_vectors")
    model: onnx.ModelProto = helper.make_model(
        helper.make_graph(
            sketch.nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
                for name in ("input_ids", "attention_mask")
            ],
            [helper.make_tensor_value_info("token_vectors", TensorProto.FLOAT, ["batch", "tokens", DIM])],
            sketch.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return model


class _Sketch:
    """A graph under construction: nodes and constants, named in the order they are drawn."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:  # noqa: ANN401 - as make_node takes them
        name = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any] | np.generic) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def indices(self, values: int | Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64))


def _linear(sketch: _Sketch, weights: Weights, prefix: str, x: str) -> str:
    product = sketch.node("MatMul", x, sketch.constant(weights[prefix + ".weight"].T))
    return sketch.node("Add", product, sketch.constant(weights[prefix + ".bias"]))


def _normalise(sketch: _Sketch, weights: Weights, prefix: str, x: str) -> str:
    scale, shift = sketch.constant(weights[prefix + ".weight"]), sketch.constant(weights[prefix + ".bias"])
    return sketch.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=NORM_EPSILON)


def _embeddings(sketch: _Sketch, weights: Weights) -> str:
    words = sketch.node("Gather", sketch.constant(weights["embeddings.word_embeddings.weight"]), "input_ids")
    length = sketch.node("Gather", sketch.node("Shape", "input_ids"), sketch.indices([1]))
    table = sketch.constant(weights["embeddings.position_embeddings.weight"])
    positions = sketch.node("Slice", table, sketch.indices([0]), length, sketch.indices([0]))
    segment = sketch.constant(weights["embeddings.token_type_embeddings.weight"][0])
    total = sketch.node("Add", sketch.node("Add", words, positions), segment)
    return _normalise(sketch, weights, "embeddings.LayerNorm", total)


def _layer(sketch: _Sketch, weights: Weights, prefix: str, x: str, bias: str) -> str:
    split = sketch.indices([0, 0, HEADS, DIM // HEADS])

    def heads(name: str, order: list[int]) -> str:
        projected = _linear(sketch, weights, f"{prefix}attention.self.{name}", x)
        return sketch.node("Transpose", sketch.node("Reshape", projected, split), perm=order)

    queries, keys = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1])
    values = heads("value", [0, 2, 1, 3])
    scale = sketch.constant(np.float32(1 / math.sqrt(DIM // HEADS)))
    scores = sketch.node("Mul", sketch.node("MatMul", queries, keys), scale)
    attention = sketch.node("Softmax", sketch.node("Add", scores, bias), axis=-1)
    mixed = sketch.node("Transpose", sketch.node("MatMul", attention, values), perm=[0, 2, 1, 3])
    joined = sketch.node("Reshape", mixed, sketch.indices([0, 0, DIM]))
    attended = sketch.node("Add", _linear(sketch, weights, prefix + "attention.output.dense", joined), x)
    x = _normalise(sketch, weights, prefix + "attention.output.LayerNorm", attended)
    inner = sketch.node("Gelu", _linear(sketch, weights, prefix + "intermediate.dense", x))
    outer = sketch.node("Add", _linear(sketch, weights, prefix + "output.dense", inner), x)
    return _normalise(sketch, weights, prefix + "output.LayerNorm", outer)
