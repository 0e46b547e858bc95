"""Per-row int8 in plain operators: a row's scale is its own, so a vector does not depend on its batch.

ONNX Runtime's dynamic quantisation has one scale for the whole tensor: there a text's vector moves with its neighbours.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEVELS = 127
ZERO_POINT = 128
# Stands in for the scale of a row of zeros.
SMALLEST_SCALE = 1e-8


def quantise_rows(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite each MatMul with constant weights as int8: activations scaled per row, weights per column.

    Returns a new model; MatMuls between two activations stay fp32.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    added: list[onnx.TensorProto] = _shared_constants()
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            rewritten, tensors = _quantised(node, constants[node.input[1]])
            nodes += rewritten
            added += tensors
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        model.graph.name,
        list(model.graph.input),
        list(model.graph.output),
        [tensor for tensor in [*model.graph.initializer, *added] if tensor.name in used],
    )
    result: onnx.ModelProto = helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version
    )
    return result


def _shared_constants() -> list[onnx.TensorProto]:
    return [
        numpy_helper.from_array(np.array(LEVELS, np.float32), "row_levels"),
        numpy_helper.from_array(np.array(SMALLEST_SCALE, np.float32), "row_smallest"),
        numpy_helper.from_array(np.array(ZERO_POINT, np.float32), "row_shift"),
        numpy_helper.from_array(np.array(ZERO_POINT, np.uint8), "row_zero_point"),
        numpy_helper.from_array(np.array([-1], np.int64), "row_axis"),
    ]


def _quantised(node: onnx.NodeProto, constant: onnx.TensorProto) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    weights = numpy_helper.to_array(constant).astype(np.float32)
    scale = np.abs(weights).max(axis=0) / np.float32(LEVELS)
    scale[scale == 0] = 1
    integers = np.clip(np.round(weights / scale), -LEVELS, LEVELS).astype(np.int8)
    x, prefix = node.input[0], f"{node.name}_"

    def step(kind: str, inputs: list[str], output: str, **attributes: int) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], output, None, None, None, **attributes)

    nodes = [
        step("Abs", [x], prefix + "magnitude"),
        step("ReduceMax", [prefix + "magnitude", "row_axis"], prefix + "peak", keepdims=1),
        step("Max", [prefix + "peak", "row_smallest"], prefix + "scale"),
        step("Div", ["row_levels", prefix + "scale"], prefix + "inverse"),
        step("Mul", [x, prefix + "inverse"], prefix + "scaled"),
        step("Round", [prefix + "scaled"], prefix + "rounded"),
        step("Add", [prefix + "rounded", "row_shift"], prefix + "shifted"),
        step("Cast", [prefix + "shifted"], prefix + "bytes", to=TensorProto.UINT8),
        step(
            "MatMulInteger",
            [prefix + "bytes", prefix + "integers", "row_zero_point", prefix + "zero_point"],
            prefix + "sums",
        ),
        step("Cast", [prefix + "sums"], prefix + "floats", to=TensorProto.FLOAT),
        # Two Mul nodes: ONNX Runtime takes one for the scale of a whole tensor, fuses it, and computes garbage.
        step("Mul", [prefix + "floats", prefix + "scale"], prefix + "by_row"),
        step("Mul", [prefix + "by_row", prefix + "column_scale"], node.output[0]),
    ]
    tensors = [
        numpy_helper.from_array(integers, prefix + "integers"),
        # Said though it is zero, one for each product: without VNNI, ONNX Runtime shifts weights and zero point.
        numpy_helper.from_array(np.array(0, np.int8), prefix + "zero_point"),
        numpy_helper.from_array((scale / np.float32(LEVELS)).astype(np.float32), prefix + "column_scale"),
    ]
    return nodes, tensors
