"""Boosted trees: fitted by scikit-learn, written as ONNX with Platt's calibration behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression

from models.arrays import BoolArray, FloatArray
from models.training.onnx_graphs import IR_VERSION, ML_OPSET, OPSET

Flags = BoolArray


@dataclass(frozen=True, slots=True)
class Shape:
    """How large the trees grow."""

    trees: int = 250
    leaves: int = 16
    rate: float = 0.1
    min_leaf: int = 40
    ridge: float = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A fitted classifier and the two numbers of its calibration: p = sigmoid(slope * score + shift)."""

    trees: HistGradientBoostingClassifier
    slope: float = 1.0
    shift: float = 0.0

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Give calibrated probabilities (n,)."""
        score = self.slope * self.trees.decision_function(features) + self.shift
        chances: FloatArray = (1.0 / (1.0 + np.exp(-score))).astype(np.float32)
        return chances


def fit_judge(features: FloatArray, labels: Flags, weights: FloatArray, shape: Shape, seed: int) -> Judge:
    """Fit a classifier, not yet calibrated."""
    trees = HistGradientBoostingClassifier(**_settings(shape, seed)).fit(features, labels, sample_weight=weights)
    return Judge(trees)


def calibrate(judge: Judge, features: FloatArray, labels: Flags, weights: FloatArray) -> Judge:
    """Fit Platt's two numbers on held-out scenes."""
    scores = judge.trees.decision_function(features)[:, None]
    slope, shift = fit_logistic(scores, labels, weights)
    return Judge(judge.trees, float(slope[0]), shift)


def fit_logistic(columns: FloatArray, labels: Flags, weights: FloatArray) -> tuple[NDArray[np.float64], float]:
    """Fit p = sigmoid(columns @ slopes + shift), all but unpenalised; returns slopes (m,) and shift."""
    fitted = LogisticRegression(C=1e4, max_iter=1000).fit(columns, labels, sample_weight=weights)
    return fitted.coef_[0], float(fitted.intercept_[0])


def fit_regressor(
    features: FloatArray, values: FloatArray, weights: FloatArray, shape: Shape, seed: int
) -> HistGradientBoostingRegressor:
    """Fit a regressor by squared error."""
    return HistGradientBoostingRegressor(**_settings(shape, seed)).fit(features, values, sample_weight=weights)


def _settings(shape: Shape, seed: int) -> dict[str, Any]:
    return {
        "max_iter": shape.trees,
        "max_leaf_nodes": shape.leaves,
        "learning_rate": shape.rate,
        "min_samples_leaf": shape.min_leaf,
        "l2_regularization": shape.ridge,
        "early_stopping": False,
        "random_state": seed,
    }


def save_judges(
    path: Path, judges: Mapping[str, Judge], features: Sequence[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write classifiers over the same features as one graph; each is an output under its name, a probability (n,)."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, float] = {}
    for name, judge in judges.items():
        nodes.append(_trees_node(judge.trees, name, len(features)))
        constants |= {f"{name}_slope": judge.slope, f"{name}_shift": judge.shift}
        nodes += [
            helper.make_node("Mul", [f"{name}_trees", f"{name}_slope"], [f"{name}_scaled"]),
            helper.make_node("Add", [f"{name}_scaled", f"{name}_shift"], [f"{name}_score"]),
            helper.make_node("Sigmoid", [f"{name}_score"], [f"{name}_column"]),
        ]
    _save(path, nodes, constants, list(judges), features, metadata or {})


def save_regressor(
    path: Path,
    name: str,
    regressor: HistGradientBoostingRegressor,
    features: Sequence[str],
    metadata: Mapping[str, str],
) -> None:
    """Write a regressor as a graph with one output (n,), held within -1..1."""
    nodes = [
        _trees_node(regressor, name, len(features)),
        helper.make_node("Clip", [f"{name}_trees", "lowest", "highest"], [f"{name}_column"]),
    ]
    _save(path, nodes, {"lowest": -1.0, "highest": 1.0}, [name], features, metadata)


def _trees_node(
    fitted: HistGradientBoostingClassifier | HistGradientBoostingRegressor, name: str, width: int
) -> onnx.NodeProto:
    """Write the trees node by node, as the sum of their leaves over a base value.

    skl2onnx 1.20 fails on trees that know missing values (it hands Python booleans to onnx, which wants integers).
    """
    if fitted.n_features_in_ != width:
        raise ValueError(f"{name} was fitted on {fitted.n_features_in_} features; {width} are named.")
    trees = [rounds[0].nodes for rounds in fitted._predictors]  # noqa: SLF001
    sizes = [len(tree) for tree in trees]
    nodes = np.concatenate(trees)
    leaf = nodes["is_leaf"].astype(bool)
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    modes = np.where(leaf, "LEAF", "BRANCH_LEQ").tolist()
    # A threshold between two float32 values may round up to the larger one, which would then go left: round down.
    narrow = nodes["num_threshold"].astype(np.float32)
    narrow = np.where(narrow > nodes["num_threshold"], np.nextafter(narrow, np.float32(-np.inf)), narrow)
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        [f"{name}_trees"],
        name=name,
        domain="ai.onnx.ml",
        aggregate_function="SUM",
        base_values=[float(np.asarray(fitted._baseline_prediction).ravel()[0])],  # noqa: SLF001
        n_targets=1,
        nodes_treeids=tree_ids.tolist(),
        nodes_nodeids=node_ids.tolist(),
        nodes_modes=modes,
        nodes_featureids=np.where(leaf, 0, nodes["feature_idx"]).tolist(),
        nodes_values=np.where(leaf, 0, narrow).astype(np.float32).tolist(),
        nodes_truenodeids=np.where(leaf, 0, nodes["left"]).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, nodes["right"]).tolist(),
        nodes_missing_value_tracks_true=np.where(leaf, 0, nodes["missing_go_to_left"]).tolist(),
        post_transform="NONE",
        target_ids=[0] * int(leaf.sum()),
        target_treeids=tree_ids[leaf].tolist(),
        target_nodeids=node_ids[leaf].tolist(),
        target_weights=nodes["value"][leaf].astype(np.float32).tolist(),
    )


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, float],
    outputs: Sequence[str],
    features: Sequence[str],
    metadata: Mapping[str, str],
) -> None:
    flat = [helper.make_node("Reshape", [f"{name}_column", "flat"], [name]) for name in outputs]
    tensors = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()]
    tensors.append(numpy_helper.from_array(np.array([-1], np.int64), "flat"))
    model = helper.make_model(
        helper.make_graph(
            [*nodes, *flat],
            path.stem,
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(features)])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in outputs],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="scenestream",
    )
    helper.set_model_props(model, {"features": " ".join(features), **metadata})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
