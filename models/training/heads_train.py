"""The step that trains the heads: for drafts, and for scenes that come as chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.arrays import BoolArray, FloatArray
from models.decomposition import Chains, Decomposer
from models.features import TEXT_FEATURES, view_of
from models.fluency import Fluency
from models.heads import (
    CHAIN_HEAD_FEATURES,
    CHAIN_HEADS_FILE,
    DRAFT_HEAD_FEATURES,
    DRAFT_HEADS_FILE,
    chain_head_features,
    draft_head_features,
)
from models.healing import random_codes
from models.towers import Towers
from models.training.scenes import Example
from models.training.trees import Judge, Shape, calibrate, fit_judge, save_judges
from models.training.workshop import Workshop, cosines_to_truth, mix_weights, truths_of
from schemas.names import REGISTERS

# From this cosine with the true next turn on, a draft means the right thing.
INTENT_COSINE = 0.40
# Drafts that come as vectors have no words: so many of a hundred lose theirs in training.
WORDLESS = 0.08
SHAPE = Shape(trees=250, leaves=16, rate=0.1)
CHAIN_SHAPE = Shape(trees=150, leaves=12, rate=0.1)
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Rows to learn from: features (n, f), both labels (n,), weights (n,)."""

    features: FloatArray
    form: BoolArray
    intent: BoolArray
    weights: FloatArray


def run(data: Path, out: Path, cache: Path, seed: int) -> dict[str, float]:
    """Train and write heads.onnx and chain_heads.onnx; towers, fluency and decomposition must be in `out`."""
    shop = Workshop(data, out, cache, seed)
    decomposer = Decomposer.open(out, shop.runtime)
    towers, fluency = Towers.open(out, shop.runtime), Fluency.open(out)
    learnt, held_out = shop.examples("heads"), shop.examples("calib")
    lessons, checks = draft_lessons(learnt, towers, fluency, seed), draft_lessons(held_out, towers, fluency, seed)
    save_judges(out / DRAFT_HEADS_FILE, fit_both(lessons, checks, SHAPE, seed), DRAFT_HEAD_FEATURES)
    chain_learnt = chain_lessons(learnt, decomposer, towers, seed)
    chain_checks = chain_lessons(held_out, decomposer, towers, seed + 1)
    save_judges(out / CHAIN_HEADS_FILE, fit_both(chain_learnt, chain_checks, CHAIN_SHAPE, seed), CHAIN_HEAD_FEATURES)
    return {"head_examples": float(len(learnt)), "calibration_examples": float(len(held_out))}


def fit_both(lessons: Lessons, checks: Lessons, shape: Shape, seed: int) -> dict[str, Judge]:
    """Fit and calibrate p_form and p_intent on the same features."""
    judges = {}
    for name, labels, known in (
        ("p_form", lessons.form, checks.form),
        ("p_intent", lessons.intent, checks.intent),
    ):
        judge = fit_judge(lessons.features, labels, lessons.weights, shape, seed)
        judges[name] = calibrate(judge, checks.features, known, checks.weights)
    return judges


def draft_lessons(examples: list[Example], towers: Towers, fluency: Fluency, seed: int) -> Lessons:
    """Turn scenes with drafts into rows; some lose their words."""
    situations = [example.situation for example in examples]
    features = np.concatenate(
        [
            draft_head_features(situations[start : start + _ROWS_AT_ONCE], towers, fluency)
            for start in range(0, len(situations), _ROWS_AT_ONCE)
        ]
    )
    wordless = np.random.default_rng(seed).random(len(features)) < WORDLESS
    first = len(DRAFT_HEAD_FEATURES) - len(TEXT_FEATURES)
    hidden = np.zeros(len(DRAFT_HEAD_FEATURES), np.bool_)
    hidden[first:] = [not name.startswith("last_") for name in TEXT_FEATURES]
    features[wordless[:, None] & hidden] = np.nan
    real = np.array([example.real for example in examples])
    return Lessons(features, real, cosines_to_truth(examples) >= INTENT_COSINE, mix_weights(examples))


def decomposed(embeddings: FloatArray, decomposer: Decomposer, seed: int) -> Chains:
    """Decompose as senders might: half without a register and with three codes, the rest in any way."""
    rng = np.random.default_rng(seed)
    plain = rng.random(len(embeddings)) < 0.5
    registers = np.where(plain, -1, rng.integers(-1, len(REGISTERS), len(embeddings))).astype(np.int8)
    lengths = np.where(plain, 3, rng.integers(2, 6, len(embeddings)))
    return decomposer.decompose(embeddings, registers, lengths)


def with_random_chains(chains: Chains, rows: np.ndarray, decomposer: Decomposer, seed: int) -> Chains:
    """Give chains, and after them those of `rows` with every code replaced by a random one."""
    codes = random_codes(chains.codes[rows], len(decomposer.dictionary), seed)
    vectors = decomposer.compose(codes, chains.weights[rows])
    return Chains(
        np.concatenate([chains.codes, codes]),
        np.concatenate([chains.weights, chains.weights[rows]]),
        np.concatenate([chains.vectors, vectors]),
        np.concatenate([chains.fidelity, np.zeros(len(rows), np.float32)]),
    )


def chain_lessons(examples: list[Example], decomposer: Decomposer, towers: Towers, seed: int) -> Lessons:
    """Turn scenes into rows as if only their chains had come; a random chain for every position joins the spoilt ones.

    Intent is read off the chain: the cosine of its vector with the true next turn.
    """
    chains = decomposed(drafts_of(examples), decomposer, seed)
    real = np.array([example.real for example in examples])
    extra = np.flatnonzero(real)
    chains = with_random_chains(chains, extra, decomposer, seed)
    everyone: Sequence[Example] = [*examples, *(examples[row] for row in extra)]
    features = chain_features_of(everyone, chains, decomposer, towers)
    cosines = np.sum(chains.vectors * truths_of(list(everyone)), axis=1)
    form = np.concatenate([real, np.zeros(len(extra), bool)])
    weights = np.concatenate([mix_weights(examples), np.ones(len(extra), np.float32)])
    return Lessons(features, form, cosines >= INTENT_COSINE, weights)


def chain_features_of(
    examples: Sequence[Example], chains: Chains, decomposer: Decomposer, towers: Towers
) -> FloatArray:
    """Work out the features of the chain heads in pieces: (n, 28)."""
    pieces = []
    for start in range(0, len(examples), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        situations = [example.situation for example in examples[rows]]
        part = Chains(chains.codes[rows], chains.weights[rows], chains.vectors[rows], chains.fidelity[rows])
        view = view_of(situations, towers, chains.vectors.shape[1])
        pieces.append(chain_head_features(view, situations, part, towers, decomposer.dictionary))
    return np.concatenate(pieces)


def drafts_of(examples: Sequence[Example]) -> FloatArray:
    """Give the vectors (n, d) of the drafts."""
    return np.stack([example.situation.draft for example in examples if example.situation.draft is not None])
