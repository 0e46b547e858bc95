"""Healings to learn from: scenes are spoilt, healed in many ways, and compared with what was really said next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.arrays import FloatArray, IntArray
from models.decomposition import Chains, Decomposer
from models.features import dot, view_of
from models.gain import gain_features
from models.healing import blend_targets, random_codes
from models.memory import MemoryBase
from models.towers import Towers
from models.training.heads_train import decomposed, drafts_of
from models.training.recollection import recall
from models.training.scenes import Example
from models.training.workshop import truths_of

_EXAMPLES_AT_ONCE = 512
_NEIGHBOURS = 12


@dataclass(frozen=True, slots=True, eq=False)
class GainRows:
    """Features (n, f) of candidates, their cosine with the true next turn (n,), and the example (n,) they were for."""

    features: FloatArray
    cosines: FloatArray
    example: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Intents:
    """p_intent of every example (n,), by heads that did not learn from it: read off the draft, and off the chain."""

    draft: FloatArray
    chain: FloatArray


def gain_rows(
    examples: list[Example],
    intents: Intents,
    decomposer: Decomposer,
    towers: Towers,
    memory: MemoryBase,
    seed: int,
) -> GainRows:
    """Heal every example once by the blend, and most once more: kept, a code or more swapped, or all codes at random.

    Four of ten are healed as if only their chain had come; half of them remember, half do not.
    """
    pieces = [
        _piece(
            examples[start : start + _EXAMPLES_AT_ONCE],
            Intents(intents.draft[start : start + _EXAMPLES_AT_ONCE], intents.chain[start : start + _EXAMPLES_AT_ONCE]),
            decomposer,
            towers,
            memory,
            seed + start,
        )
        for start in range(0, len(examples), _EXAMPLES_AT_ONCE)
    ]
    starts = range(0, len(examples), _EXAMPLES_AT_ONCE)
    return GainRows(
        np.concatenate([piece.features for piece in pieces]),
        np.concatenate([piece.cosines for piece in pieces]),
        np.concatenate([piece.example + start for piece, start in zip(pieces, starts, strict=True)]),
    )


def _piece(
    examples: list[Example], intents: Intents, decomposer: Decomposer, towers: Towers, memory: MemoryBase, seed: int
) -> GainRows:
    rng = np.random.default_rng(seed)
    count = len(examples)
    situations = [example.situation for example in examples]
    drafts, truths = drafts_of(examples), truths_of(examples)
    view = view_of(situations, towers, drafts.shape[1])
    own = decomposed(drafts, decomposer, seed)
    as_chain = rng.random(count) < 0.4
    hits = recall(memory, view, examples, (rng.random(count) < 0.5).astype(np.float32))
    embeddings = np.where(as_chain[:, None], own.vectors, drafts)
    p_intent = np.where(as_chain, intents.chain, intents.draft).astype(np.float32)
    targets = blend_targets(view, embeddings, as_chain.astype(np.float32), p_intent, hits)
    blend = decomposed(targets.blend, decomposer, seed + 1)
    second = np.flatnonzero(rng.random(count) < 0.8)
    codes = _other_candidates(own, second, decomposer, rng)
    rows = np.concatenate([np.arange(count), second])
    all_codes = np.concatenate([blend.codes, codes])
    all_weights = np.concatenate([blend.weights, own.weights[second]])
    vectors = decomposer.compose(all_codes, all_weights)
    theirs = targets.take(rows)
    chains = Chains(all_codes, all_weights, vectors, dot(vectors, theirs.embeddings))
    features = gain_features(
        view.take(rows), [situations[row] for row in rows], theirs, chains, towers, decomposer.dictionary
    )
    return GainRows(features, dot(vectors, truths[rows]), rows.astype(np.int32))


def _other_candidates(own: Chains, rows: np.ndarray, decomposer: Decomposer, rng: np.random.Generator) -> IntArray:
    """Give other codes for the chains of `rows`: a quarter kept, a quarter swapped for neighbours, half at random.

    Of those at random some keep a part of their codes.
    """
    codes = own.codes[rows].copy()
    way = rng.integers(0, 4, len(rows))
    strange = random_codes(codes, len(decomposer.dictionary), int(rng.integers(1 << 31)))
    near = _neighbours(codes, decomposer, rng)
    part = rng.random(codes.shape) < 0.5
    swapped = np.where(part, near, codes)
    mixed = np.where(part, strange, codes)
    chosen = np.select([way[:, None] == 0, way[:, None] == 1, way[:, None] == 2], [codes, swapped, mixed], strange)
    # A code that came twice leaves its second place empty.
    for row in chosen:
        seen: set[int] = set()
        for place, code in enumerate(row):
            if code in seen:
                row[place] = -1
            seen.add(int(code))
    return np.asarray(chosen, np.int32)


def _neighbours(codes: IntArray, decomposer: Decomposer, rng: np.random.Generator) -> IntArray:
    used, places = np.unique(codes[codes >= 0], return_inverse=True)
    close = decomposer.dictionary[used] @ decomposer.dictionary.T
    close[np.arange(len(used)), used] = -1
    nearest = np.argpartition(-close, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    near = codes.copy()
    near[codes >= 0] = nearest[places, rng.integers(0, _NEIGHBOURS, len(places))]
    return near
