"""Gain: how near a candidate chain is expected to come to what should have been said, and the risk that it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.arrays import FloatArray
from models.decomposition import Chains
from models.errors import ModelError
from models.features import CONTEXT_FEATURES, VECTOR_FEATURES, View, context_features, dot, rounded, vector_features
from models.heads import CHAIN_FEATURES, code_features, last_turn_features
from models.sessions import Runtime
from models.situation import Situation
from models.towers import Towers, fit
from models.trees import TreeModel

GAIN_FILE = "gain.onnx"
# A healed chain this near to the true next turn counts as right.
HEALED_COSINE = 0.30

GAIN_FEATURES = (
    *VECTOR_FEATURES,
    *CONTEXT_FEATURES,
    "last_words",
    "last_question",
    *CHAIN_FEATURES,
    "from_chain",
    "p_intent",
    "cos_embedding",
    "cos_blend",
    "embedding_blend",
    "embedding_ridge",
    "embedding_last",
    "embedding_over_crowd",
    "memory_best",
    "memory_agreement",
    "memory_ridge",
    "cos_memory",
)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What n scenes are healed towards.

    `embeddings` (n, d) is what they say, `blend` (n, d) the posterior blend, `memory` (n, d) the memory's mean next
    turn with `best` (n,), its most similar context, and `agreement` (n,), the length of the mean before it was normed:
    zeros and NaN where there is no memory. `p_intent` (n,) and `from_chain` (n,), 1 for scenes that came as chains.
    """

    embeddings: FloatArray
    blend: FloatArray
    memory: FloatArray
    best: FloatArray
    agreement: FloatArray
    p_intent: FloatArray
    from_chain: FloatArray

    def take(self, rows: np.ndarray) -> Targets:
        """Select or repeat scenes by their row numbers."""
        return Targets(
            self.embeddings[rows],
            self.blend[rows],
            self.memory[rows],
            self.best[rows],
            self.agreement[rows],
            self.p_intent[rows],
            self.from_chain[rows],
        )


class Gain:
    """The gain model, and the calibrated risks of both routes; it never sees a resonance."""

    def __init__(self, path: Path, runtime: Runtime) -> None:
        self._model = TreeModel(path, runtime, GAIN_FEATURES, ("gain",))
        try:
            self._bridge = [float(number) for number in json.loads(self._model.metadata["risk_bridge"])]
            self._regeneration = [float(number) for number in json.loads(self._model.metadata["risk_regeneration"])]
            wrong = (len(self._bridge), len(self._regeneration)) != (2, 3)
        except (KeyError, ValueError, TypeError) as failure:
            raise ModelError(f"{path} holds no risks ({failure}). Restore it, or run `make models`.") from failure
        if wrong:
            raise ModelError(f"{path} holds risks of another shape. Restore it, or run `make models`.")

    @classmethod
    def open(cls, artifacts: Path, runtime: Runtime) -> Gain:
        """Open gain.onnx; raises ModelError when it is missing, corrupt or foreign."""
        return cls(artifacts / GAIN_FILE, runtime)

    def predict(self, features: FloatArray) -> FloatArray:
        """Predict the cosine of candidates with the true next turn, from (n, 40) features: (n,), -1..1."""
        return self._model.run(features)[0]

    def bridge_risk(self, gain: FloatArray) -> FloatArray:
        """Give P(cosine with the true next turn < .30) of bridged scenes, from their gain (n,): (n,), 0..1."""
        slope, shift = self._bridge
        return _sigmoid(slope * gain.astype(np.float64) + shift)

    def regeneration_risk(self, fidelity: FloatArray, p_intent: FloatArray) -> FloatArray:
        """Give the same for regenerated scenes, from fidelity (n,) and p_intent (n,): (n,), 0..1."""
        slope, intent_slope, shift = self._regeneration
        return _sigmoid(slope * fidelity.astype(np.float64) + intent_slope * p_intent + shift)


def gain_features(
    view: View,
    situations: Sequence[Situation],
    targets: Targets,
    candidates: Chains,
    towers: Towers,
    dictionary: FloatArray,
) -> FloatArray:
    """Give what the gain model looks at: (n, 40), the columns of GAIN_FEATURES, for one candidate a row."""
    vectors, embeddings = candidates.vectors, targets.embeddings
    some = view.present[:, 0]
    remembered = np.isfinite(targets.best)
    own_fit = fit(view.side.query, towers.replies(embeddings).key)
    columns = [
        targets.from_chain,
        targets.p_intent,
        dot(vectors, embeddings),
        dot(vectors, targets.blend),
        dot(embeddings, targets.blend),
        dot(embeddings, view.side.ridge),
        np.where(some, dot(embeddings, view.recent[:, 0]), np.nan),
        np.where(some, own_fit - view.side.crowd, np.nan),
        targets.best,
        targets.agreement,
        np.where(remembered, dot(targets.memory, view.side.ridge), np.nan),
        np.where(remembered, dot(vectors, targets.memory), np.nan),
    ]
    return rounded(
        [
            vector_features(view, vectors, towers.replies(vectors)),
            context_features(view),
            last_turn_features(situations),
            code_features(view, candidates, dictionary),
            np.stack([np.asarray(column, np.float32) for column in columns], axis=1),
        ]
    )


def _sigmoid(scores: np.ndarray) -> FloatArray:
    risks: FloatArray = np.round(1.0 / (1.0 + np.exp(-np.clip(scores, -40, 40))), 6).astype(np.float32)
    return risks
