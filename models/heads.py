"""The two heads: how likely a person accepts this scene, said this way, here; and how likely its meaning is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models import measures
from models.arrays import FloatArray, unit
from models.decomposition import Chains, Decomposer
from models.features import (
    CONTEXT_FEATURES,
    TEXT_FEATURES,
    VECTOR_FEATURES,
    View,
    context_features,
    rounded,
    text_features,
    vector_features,
    view_of,
)
from models.fluency import Fluency
from models.sessions import Runtime
from models.situation import Situation
from models.towers import Towers
from models.trees import TreeModel

DRAFT_HEADS_FILE = "heads.onnx"
CHAIN_HEADS_FILE = "chain_heads.onnx"

CHAIN_FEATURES = ("field", "tension", "codes", "heaviest")
DRAFT_HEAD_FEATURES = (*VECTOR_FEATURES, *CONTEXT_FEATURES, *TEXT_FEATURES)
CHAIN_HEAD_FEATURES = (*VECTOR_FEATURES, *CONTEXT_FEATURES, "last_words", "last_question", *CHAIN_FEATURES)
PROBABILITIES = ("p_form", "p_intent")


class Heads:
    """Both pairs of heads: one reads drafts, the other chains that came without a draft.

    Calibrated against the training mix: half true next turns, half spoilt ones, all six kinds alike.
    """

    def __init__(
        self, drafts: TreeModel, chains: TreeModel, towers: Towers, fluency: Fluency, dictionary: FloatArray
    ) -> None:
        self.towers = towers
        self._drafts = drafts
        self._chains = chains
        self._fluency = fluency
        self._dictionary = dictionary

    @classmethod
    def open(cls, artifacts: Path, runtime: Runtime, decomposer: Decomposer, towers: Towers) -> Heads:
        """Open heads.onnx, chain_heads.onnx and fluency.npy; raises ModelError when one is missing or foreign."""
        drafts = TreeModel(artifacts / DRAFT_HEADS_FILE, runtime, DRAFT_HEAD_FEATURES, PROBABILITIES)
        chains = TreeModel(artifacts / CHAIN_HEADS_FILE, runtime, CHAIN_HEAD_FEATURES, PROBABILITIES)
        return cls(drafts, chains, towers, Fluency.open(artifacts), decomposer.dictionary)

    def scenes(self, situations: Sequence[Situation]) -> tuple[FloatArray, FloatArray]:
        """Judge drafts: p_form (n,) and p_intent (n,), 0..1. A draft without text is judged by its vector alone.

        Raises ValueError when a situation has no draft vector.
        """
        if not situations:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        p_form, p_intent = self._drafts.run(draft_head_features(situations, self.towers, self._fluency))
        return p_form, p_intent

    def chains(self, situations: Sequence[Situation], chains: Chains) -> tuple[FloatArray, FloatArray]:
        """Judge scenes by their chains alone: p_form (n,) and p_intent (n,), 0..1."""
        if not situations:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        view = view_of(situations, self.towers, chains.vectors.shape[1])
        p_form, p_intent = self._chains.run(
            chain_head_features(view, situations, chains, self.towers, self._dictionary)
        )
        return p_form, p_intent


def draft_head_features(situations: Sequence[Situation], towers: Towers, fluency: Fluency) -> FloatArray:
    """Give what the heads for drafts look at: (n, 41), the columns of DRAFT_HEAD_FEATURES."""
    known = [situation.draft for situation in situations if situation.draft is not None]
    if len(known) < len(situations):
        raise ValueError("A scene without a draft's vector has no place here: judge it by its chain.")
    drafts = unit(np.stack(known))
    view = view_of(situations, towers, drafts.shape[1])
    words = np.array([text_features(situation, fluency) for situation in situations], np.float32)
    return rounded([vector_features(view, drafts, towers.replies(drafts)), context_features(view), words])


def chain_head_features(
    view: View, situations: Sequence[Situation], chains: Chains, towers: Towers, dictionary: FloatArray
) -> FloatArray:
    """Give what the heads for chains look at: (n, 28), the columns of CHAIN_HEAD_FEATURES."""
    vectors = chains.vectors
    return rounded(
        [
            vector_features(view, vectors, towers.replies(vectors)),
            context_features(view),
            last_turn_features(situations),
            code_features(view, chains, dictionary),
        ]
    )


def last_turn_features(situations: Sequence[Situation]) -> FloatArray:
    """Give the length of the last turn in words and whether it asks: (n, 2), NaN without a context."""
    return np.array(
        [
            (min(len(one.context_texts[-1].split()), 60), "?" in one.context_texts[-1])
            if one.context_texts
            else (np.nan, np.nan)
            for one in situations
        ],
        np.float32,
    ).reshape(-1, 2)


def code_features(view: View, chains: Chains, dictionary: FloatArray) -> FloatArray:
    """Measure the codes of chains where they land: (n, 4), the columns of CHAIN_FEATURES."""
    used = chains.codes >= 0
    words = dictionary[np.maximum(chains.codes, 0)]
    weights = np.where(used, chains.weights, 0).astype(np.float32)
    total = np.maximum(weights.sum(axis=1), np.float32(1e-6))
    columns = [
        measures.field(words, weights, view.context),
        measures.tension(words, weights),
        used.sum(axis=1),
        weights.max(axis=1) / total,
    ]
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)
