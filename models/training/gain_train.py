"""The step that trains the gain model and calibrates the risks of both routes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from models.arrays import FloatArray
from models.decomposition import Decomposer
from models.fluency import Fluency
from models.gain import GAIN_FEATURES, GAIN_FILE, HEALED_COSINE, Gain
from models.heads import Heads
from models.lexicon import Lexicon
from models.towers import Towers
from models.training.gain_rows import GainRows, Intents, gain_rows
from models.training.heads_train import (
    CHAIN_SHAPE,
    SHAPE,
    Lessons,
    chain_lessons,
    draft_lessons,
)
from models.training.outcomes import Bench, bridge_outcomes, regeneration_outcomes
from models.training.recollection import train_memory
from models.training.scenes import Example
from models.training.trees import Shape, fit_judge, fit_logistic, fit_regressor, save_regressor
from models.training.workshop import Workshop

GAIN_SHAPE = Shape(trees=300, leaves=16, rate=0.08, min_leaf=60)
# True turns that were wrongly refused come to the bridge too, but seldom.
REAL_WEIGHT = 0.3
_FOLDS = 2


def run(data: Path, out: Path, cache: Path, seed: int) -> dict[str, float]:
    """Train and write gain.onnx; towers, decomposition and heads must be in `out`."""
    shop = Workshop(data, out, cache, seed)
    decomposer, towers = Decomposer.open(out, shop.runtime), Towers.open(out, shop.runtime)
    memory = train_memory(shop, cache / "memory")
    examples = shop.examples("heads")
    drafts = draft_lessons(examples, towers, Fluency.open(out), seed)
    chains = chain_lessons(examples, decomposer, towers, seed)
    fold = np.array([_fold(example) for example in examples])
    intents = Intents(cross_fitted(drafts, fold, SHAPE, seed), cross_fitted(chains, fold, CHAIN_SHAPE, seed))
    rows = gain_rows(examples, intents, decomposer, towers, memory, seed)
    weights = np.array([REAL_WEIGHT if examples[row].real else 1.0 for row in rows.example], np.float32)
    regressor = fit_regressor(rows.features, rows.cosines, weights, GAIN_SHAPE, seed)
    path = out / GAIN_FILE
    save_regressor(path, "gain", regressor, GAIN_FEATURES, _metadata([1.0, 0.0], [0.0, 0.0, 0.0]))
    risks = _risks(shop, decomposer, towers)
    save_regressor(path, "gain", regressor, GAIN_FEATURES, _metadata(*risks))
    return {"gain_rows": float(len(rows.cosines)), "gain_memory_entries": float(len(memory))} | _fit(rows, path, shop)


def cross_fitted(lessons: Lessons, fold: np.ndarray, shape: Shape, seed: int) -> FloatArray:
    """Give p_intent (n,) of the first n rows, each by a head that learnt from the other half of the dialogues."""
    chances = np.zeros(len(fold), np.float32)
    extra = len(lessons.features) - len(fold)
    # Rows beyond the examples (random chains) belong to one of them; none is judged.
    everyone = np.concatenate([fold, np.full(extra, -1)])
    for held_out in range(_FOLDS):
        rows = everyone != held_out
        judge = fit_judge(lessons.features[rows], lessons.intent[rows], lessons.weights[rows], shape, seed)
        mine = np.flatnonzero(fold == held_out)
        chances[mine] = judge.probabilities(lessons.features[mine])
    return chances


def _fold(example: Example) -> int:
    return hashlib.sha256(f"fold:{example.position.dialogue.id}".encode()).digest()[0] % _FOLDS


def _risks(shop: Workshop, decomposer: Decomposer, towers: Towers) -> tuple[list[float], list[float]]:
    """Calibrate P(cosine < .30) on held-out dialogues: over gain, and over fidelity and p_intent."""
    bench = Bench(
        decomposer,
        Lexicon.load(shop.out),
        Heads.open(shop.out, shop.runtime, decomposer, towers),
        Gain.open(shop.out, shop.runtime),
        towers,
        shop.seed,
    )
    examples = [example for example in shop.examples("calib") if not example.real]
    bridged = bridge_outcomes(bench, examples, None)
    slope, shift = fit_logistic(
        bridged.gain[:, None], bridged.healed < HEALED_COSINE, np.ones(len(bridged.gain), np.float32)
    )
    kept = regeneration_outcomes(bench, examples)
    columns = np.stack([kept.fidelity, kept.p_intent], axis=1)
    slopes, kept_shift = fit_logistic(columns, kept.healed < HEALED_COSINE, np.ones(len(columns), np.float32))
    return [float(slope[0]), shift], [*map(float, slopes), kept_shift]


def _metadata(bridge: list[float], regeneration: list[float]) -> dict[str, str]:
    return {
        "risk_bridge": json.dumps([round(number, 5) for number in bridge]),
        "risk_regeneration": json.dumps([round(number, 5) for number in regeneration]),
    }


def _fit(rows: GainRows, path: Path, shop: Workshop) -> dict[str, float]:
    told = Gain(path, shop.runtime).predict(rows.features)
    return {"gain_train_correlation": float(np.corrcoef(told, rows.cosines)[0, 1])}
