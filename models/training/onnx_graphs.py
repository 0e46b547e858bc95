"""Small ONNX graphs written by hand: linear towers, and trees with their calibration behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.arrays import FloatArray
from models.towers import BLOCK_ROWS

OPSET = 20
ML_OPSET = 3
IR_VERSION = 10


def save_model(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    inputs: dict[str, tuple[int, int]],
    outputs: dict[str, tuple[int, ...]],
) -> None:
    """Write a checked graph with float32 inputs and outputs; same arguments, same bytes."""
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="scenestream",
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _half(nodes: list[onnx.NodeProto], constants: dict[str, Any], name: str, value: FloatArray) -> str:
    """Store a matrix as float16 and give the name of its float32 reading."""
    constants[f"{name}_half"] = value.astype(np.float16)
    nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    return name


def _log_mean_exp(nodes: list[onnx.NodeProto], constants: dict[str, Any], scores: str, out: str, count: int) -> None:
    constants["last_axis"] = np.array([1], np.int64)
    constants["log_count"] = np.array(np.log(count), np.float32)
    nodes.append(helper.make_node("ReduceLogSumExp", [scores, "last_axis"], ["log_sum"], keepdims=0))
    nodes.append(helper.make_node("Sub", ["log_sum", "log_count"], [out]))


def _unit_rows(nodes: list[onnx.NodeProto], constants: dict[str, Any], rows: str, out: str) -> None:
    constants["tiny"] = np.array(1e-6, np.float32)
    constants["unit_axis"] = np.array([1], np.int64)
    nodes.append(helper.make_node("ReduceL2", [rows, "unit_axis"], ["length"], keepdims=1))
    nodes.append(helper.make_node("Max", ["length", "tiny"], ["safe_length"]))
    nodes.append(helper.make_node("Div", [rows, "safe_length"], [out]))


def save_context_tower(
    path: Path, query: FloatArray, ridge: FloatArray, ridge_bias: FloatArray, foreign_keys: FloatArray
) -> None:
    """Write context (16, 3d) -> query (16, q), ridge (16, d), crowd (16,): log mean exp over foreign replies."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Any] = {"ridge_bias": ridge_bias.astype(np.float32)}
    nodes.append(helper.make_node("MatMul", ["context", _half(nodes, constants, "w_query", query)], ["raw_query"]))
    _unit_rows(nodes, constants, "raw_query", "query")
    nodes.append(helper.make_node("MatMul", ["context", _half(nodes, constants, "w_ridge", ridge)], ["raw_ridge"]))
    nodes.append(helper.make_node("Add", ["raw_ridge", "ridge_bias"], ["ridge"]))
    nodes.append(helper.make_node("MatMul", ["query", _half(nodes, constants, "keys", foreign_keys.T)], ["scores"]))
    _log_mean_exp(nodes, constants, "scores", "crowd", len(foreign_keys))
    shape = {"query": (BLOCK_ROWS, query.shape[1]), "ridge": (BLOCK_ROWS, ridge.shape[1]), "crowd": (BLOCK_ROWS,)}
    save_model(path, nodes, constants, {"context": (BLOCK_ROWS, len(query))}, shape)


def save_reply_tower(path: Path, key: FloatArray, scale: float, foreign_queries: FloatArray) -> None:
    """Write reply (16, d) -> key (16, q) of length `scale`, common (16,): the log mean exp over foreign contexts."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Any] = {"scale": np.array(scale, np.float32)}
    nodes.append(helper.make_node("MatMul", ["reply", _half(nodes, constants, "w_key", key)], ["raw_key"]))
    _unit_rows(nodes, constants, "raw_key", "unit_key")
    nodes.append(helper.make_node("Mul", ["unit_key", "scale"], ["key"]))
    nodes.append(helper.make_node("MatMul", ["key", _half(nodes, constants, "queries", foreign_queries.T)], ["scores"]))
    _log_mean_exp(nodes, constants, "scores", "common", len(foreign_queries))
    shape = {"key": (BLOCK_ROWS, key.shape[1]), "common": (BLOCK_ROWS,)}
    save_model(path, nodes, constants, {"reply": (BLOCK_ROWS, len(key))}, shape)
