"""The step that trains what foretells: both towers, the ridge predictor and the table of word pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.arrays import FloatArray, unit
from models.fluency import FLUENCY_FILE, count_words
from models.sessions import Runtime
from models.towers import CONTEXT_FILE, REPLY_FILE, Towers, fit
from models.training.onnx_graphs import save_context_tower, save_reply_tower
from models.training.pairs import Pairs, pairs_of
from models.training.ridge import train_ridge
from models.training.samples import MAX_TURN, fluency_texts
from models.training.two_tower import foreign_sides, train_towers
from models.training.workshop import Workshop

# Contexts and replies that the scores of a scene are held against.
FOREIGN = 256


def run(data: Path, out: Path, cache: Path, seed: int) -> dict[str, float]:
    """Train and write context_tower.onnx, reply_tower.onnx and fluency.npy; gives their figures on test dialogues."""
    shop = Workshop(data, out, cache, seed)
    pairs = pairs_of(shop.samples.towers, shop.vectors, MAX_TURN)
    weights = train_towers(pairs, seed)
    queries, keys = foreign_sides(pairs, weights, FOREIGN, seed)
    save_context_tower(out / CONTEXT_FILE, weights.query, *train_ridge(pairs), keys)
    save_reply_tower(out / REPLY_FILE, weights.key, weights.scale, queries)
    np.save(out / FLUENCY_FILE, count_words(fluency_texts(data, shop.samples.heads)))
    return measure(Towers.open(out, Runtime()), pairs_of(shop.samples.test, shop.vectors, MAX_TURN), len(pairs.reply))


def measure(towers: Towers, pairs: Pairs, trained_on: int) -> dict[str, float]:
    """Measure towers on pairs: AUC of the true turn against others, and the ridge's cosine beside the echo's."""
    d = pairs.reply.shape[1]
    recent = np.stack([pairs.context[:, :d], pairs.context[:, d : 2 * d]], axis=1)
    side = towers.contexts(recent, pairs.context[:, 2 * d :])
    key = towers.replies(pairs.reply).key
    scores = side.query @ key.T
    true = fit(side.query, key)[:, None]
    same = pairs.dialogue[:, None] == pairs.dialogue[None, :]
    off_diagonal = ~np.eye(len(scores), dtype=bool)
    return {
        "tower_pairs": float(trained_on),
        "tower_auc_other_dialogue": float((true > scores)[~same].mean()),
        "tower_auc_same_dialogue": float((true > scores)[same & off_diagonal].mean()),
        "ridge_cosine": _mean_cosine(side.ridge, pairs.reply),
        "echo_cosine": _mean_cosine(unit(pairs.context[:, :d]), pairs.reply),
    }


def _mean_cosine(a: FloatArray, b: FloatArray) -> float:
    return float(np.mean(np.sum(a * b, axis=1)))
