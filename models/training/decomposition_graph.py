"""The matching pursuit drawn as one ONNX graph: five steps unrolled, every row with its own register and its own k."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.arrays import FloatArray
from models.lexicon import MAX_CODES
from models.registers import parameter_names
from schemas.names import REGISTERS

RANK = 8
SMALLEST_WEIGHT = 0.15
SMALLEST_COSINE = 0.20
# Far below any cosine: a code that is taken, or too far from the sentence, loses against every other.
FORBIDDEN = -1000.0
FAR = -10.0
OPSET = 20
IR_VERSION = 10

# Typed for its named arguments alone, while any other is an attribute of the operator.
_make_node: Callable[..., onnx.NodeProto] = helper.make_node


class Sketch:
    """A graph under construction; nodes and constants are named in the order they are drawn."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Add a node and give the name of its output."""
        name = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(_make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any] | np.generic, name: str | None = None) -> str:
        """Add a constant and give its name."""
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def number(self, value: float) -> str:
        """Add a float32 constant."""
        return self.constant(np.float32(value))

    def indices(self, values: int | Sequence[int]) -> str:
        """Add an int64 constant."""
        return self.constant(np.array(values, np.int64))

    def dot(self, left: str, right: str) -> str:
        """Sum the products over the last axis, which is kept: rows stay apart, so each has one order of summing."""
        return self.node("ReduceSum", self.node("Mul", left, right), self.indices([-1]), keepdims=1)

    def unit(self, rows: str) -> str:
        """Bring rows to unit length; rows of zeros stay zeros."""
        length = self.node("ReduceL2", rows, self.indices([-1]), keepdims=1)
        return self.node("Div", rows, self.node("Max", length, self.number(1e-9)))


def build_graph(
    dictionary: FloatArray, mean: FloatArray, prior: FloatArray, pull: float, metadata: dict[str, str]
) -> onnx.ModelProto:
    """Build the graph: embedding (n, d), register (n,), k (n,) -> codes (n, 5) int64, weights (n, 5).

    `dictionary` (N, d) is stored as float16; `prior` (N,) is added to the score of each code. The adapters' tensors are
    inputs with zeros for defaults, so that a run without adapters has no register. `dictionary`, `mean` and `pull` are
    outputs too: whoever composes chains reads them from here.
    """
    size, width = dictionary.shape
    sketch = Sketch()
    words = sketch.node(
        "Cast", sketch.constant(dictionary.astype(np.float16)), to=TensorProto.FLOAT, output="dictionary"
    )
    about = sketch.node("Identity", sketch.constant(mean.astype(np.float32)), output="mean")
    sketch.node("Identity", sketch.number(pull), output="pull")
    centred = sketch.unit(sketch.node("Sub", "embedding", about))
    chosen = sketch.node("Equal", _column(sketch, "register"), sketch.indices(list(range(len(REGISTERS)))))
    mask = sketch.node("Cast", chosen, to=TensorProto.FLOAT)
    target = sketch.unit(_adapt(sketch, centred, mask, width))
    bias = sketch.node("Add", _bias(sketch, mask), sketch.constant(prior.astype(np.float32)))
    _pursue(sketch, target, bias, words)
    adapter_inputs, defaults = _adapter_tensors(size, width)
    model: onnx.ModelProto = helper.make_model(
        helper.make_graph(
            sketch.nodes,
            "decomposition",
            [
                helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["rows", width]),
                helper.make_tensor_value_info("register", TensorProto.INT64, ["rows"]),
                helper.make_tensor_value_info("k", TensorProto.INT64, ["rows"]),
                *adapter_inputs,
            ],
            [
                helper.make_tensor_value_info("codes", TensorProto.INT64, ["rows", MAX_CODES]),
                helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["rows", MAX_CODES]),
                helper.make_tensor_value_info("dictionary", TensorProto.FLOAT, [size, width]),
                helper.make_tensor_value_info("mean", TensorProto.FLOAT, [width]),
                helper.make_tensor_value_info("pull", TensorProto.FLOAT, []),
            ],
            [*sketch.initializers, *defaults],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    return model


def _adapter_tensors(size: int, width: int) -> tuple[list[onnx.ValueInfoProto], list[onnx.TensorProto]]:
    inputs, defaults = [], []
    for register in REGISTERS:
        for name, shape in zip(parameter_names(register), ((width, RANK), (RANK, width), (size,)), strict=True):
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
            defaults.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    return inputs, defaults


def _adapt(sketch: Sketch, x: str, mask: str, width: int) -> str:
    """Draw x + ((x @ all downs) * mask) @ all ups: the four adapters side by side, each row seeing its own."""
    count = len(REGISTERS)
    downs = sketch.node("Concat", *(parameter_names(register)[0] for register in REGISTERS), axis=1)
    ups = sketch.node("Concat", *(parameter_names(register)[1] for register in REGISTERS), axis=0)
    inner = sketch.node("Reshape", sketch.node("MatMul", x, downs), sketch.indices([-1, count, RANK]))
    masked = sketch.node("Mul", inner, sketch.node("Unsqueeze", mask, sketch.indices([2])))
    flat = sketch.node("Reshape", masked, sketch.indices([-1, count * RANK]))
    return sketch.node("Add", x, sketch.node("Reshape", sketch.node("MatMul", flat, ups), sketch.indices([-1, width])))


def _bias(sketch: Sketch, mask: str) -> str:
    rows = [sketch.node("Unsqueeze", parameter_names(register)[2], sketch.indices([0])) for register in REGISTERS]
    return sketch.node("MatMul", mask, sketch.node("Concat", *rows, axis=0))


def _pursue(sketch: Sketch, target: str, bias: str, words: str) -> None:
    by_column = sketch.node("Transpose", words, perm=[1, 0])
    cosines = sketch.node("MatMul", target, by_column)
    near = sketch.node("GreaterOrEqual", cosines, sketch.number(SMALLEST_COSINE))
    offset = sketch.node("Add", bias, sketch.node("Where", near, sketch.number(0), sketch.number(FAR)))
    limit = _column(sketch, "k")

    best, word, reach = _best(sketch, sketch.node("Add", cosines, offset), cosines, words)
    # The first code always stands, however far: a chain is never empty.
    weights = sketch.node("Max", reach, sketch.number(10.0**-4))
    going = sketch.node("GreaterOrEqual", reach, sketch.number(SMALLEST_COSINE))
    codes, chosen = [best], sketch.node("Unsqueeze", word, sketch.indices([1]))
    inverse = sketch.node(
        "Expand", sketch.number(1), sketch.node("Concat", _rows(sketch, best), sketch.indices([1, 1]), axis=0)
    )
    residual = sketch.node("Sub", target, sketch.node("Mul", weights, word))
    for step in range(2, MAX_CODES + 1):
        offset = sketch.node("ScatterElements", offset, best, _like(sketch, best, FORBIDDEN), axis=1)
        scores = sketch.node("Add", sketch.node("MatMul", residual, by_column), offset)
        best, word, reach = _best(sketch, scores, cosines, words)
        # Least squares over the chosen words, grown by one: the inverse of their products, by its Schur complement.
        wide = sketch.node("Unsqueeze", word, sketch.indices([1]))
        products = sketch.node("Squeeze", sketch.dot(chosen, wide), sketch.indices([2]))
        solved = sketch.node(
            "Squeeze", sketch.dot(inverse, sketch.node("Unsqueeze", products, sketch.indices([1]))), sketch.indices([2])
        )
        schur = sketch.node(
            "Max", sketch.node("Sub", sketch.number(1), sketch.dot(products, solved)), sketch.number(1e-3)
        )
        added = sketch.node("Div", sketch.node("Sub", reach, sketch.dot(products, weights)), schur)
        grown = sketch.node("Concat", sketch.node("Sub", weights, sketch.node("Mul", added, solved)), added, axis=1)
        smallest = sketch.node("ReduceMin", grown, sketch.indices([-1]), keepdims=1)
        strong = sketch.node("GreaterOrEqual", smallest, sketch.number(SMALLEST_WEIGHT))
        close = sketch.node("GreaterOrEqual", reach, sketch.number(SMALLEST_COSINE))
        wanted = sketch.node("GreaterOrEqual", limit, sketch.indices(step))
        going = sketch.node("And", sketch.node("And", going, wanted), sketch.node("And", strong, close))
        kept = sketch.node("Concat", weights, _like(sketch, added, 0.0), axis=1)
        weights = sketch.node("Where", going, grown, kept)
        codes.append(sketch.node("Where", going, best, sketch.indices(-1)))
        if step < MAX_CODES:
            chosen = sketch.node("Concat", chosen, wide, axis=1)
            inverse = _grow(sketch, inverse, solved, schur)
            shares = sketch.node("Unsqueeze", weights, sketch.indices([2]))
            total = sketch.node("ReduceSum", sketch.node("Mul", shares, chosen), sketch.indices([1]), keepdims=0)
            residual = sketch.node("Sub", target, total)
    sketch.node("Concat", *codes, axis=1, output="codes")
    sketch.node("Identity", weights, output="weights")


def _best(sketch: Sketch, scores: str, cosines: str, words: str) -> tuple[str, str, str]:
    """Draw the choice of a code: its row (n, 1), its vector (n, d) and its cosine with the target (n, 1)."""
    best = sketch.node("ArgMax", scores, axis=1, keepdims=1)
    word = sketch.node("Gather", words, sketch.node("Squeeze", best, sketch.indices([1])), axis=0)
    return best, word, sketch.node("GatherElements", cosines, best, axis=1)


def _grow(sketch: Sketch, inverse: str, solved: str, schur: str) -> str:
    down = sketch.node("Unsqueeze", solved, sketch.indices([2]))
    across = sketch.node("Unsqueeze", solved, sketch.indices([1]))
    corner = sketch.node("Unsqueeze", sketch.node("Reciprocal", schur), sketch.indices([2]))
    top = sketch.node("Add", inverse, sketch.node("Mul", sketch.node("Mul", down, across), corner))
    right = sketch.node("Neg", sketch.node("Mul", down, corner))
    bottom = sketch.node("Concat", sketch.node("Neg", sketch.node("Mul", across, corner)), corner, axis=2)
    return sketch.node("Concat", sketch.node("Concat", top, right, axis=2), bottom, axis=1)


def _column(sketch: Sketch, name: str) -> str:
    return sketch.node("Unsqueeze", name, sketch.indices([1]))


def _rows(sketch: Sketch, column: str) -> str:
    return sketch.node("Shape", column, start=0, end=1)


def _like(sketch: Sketch, column: str, value: float) -> str:
    return sketch.node("Expand", sketch.number(value), sketch.node("Shape", column))
