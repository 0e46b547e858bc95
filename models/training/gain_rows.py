"""Healings to learn from: scenes are spoilt, healed in many ways, and compared with what was really said next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.arrays import FloatArray, IntArray
from models.decomposition import Chains, Decomposer
from models.features import View, dot, view_of
from models.gain import gain_features
from models.healing import blend_targets, random_codes
from models.memory import MemoryBase
from models.towers import Towers
from models.training.heads_train import decomposed, drafts_of
from models.training.recollection import recall, thinned
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
    """Heal every example once by the blend, and most once more by any other chain that a person might have written.

    Four of ten are healed as if only their chain had come; six of ten remember, some of them little.
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
    forget = (rng.random(count) < 0.4).astype(np.float32)
    contexts = np.where(forget[:, None] > 0, 0, view.context).astype(np.float32)
    hits = thinned(recall(memory, view, examples, forget), contexts, rng)
    embeddings = np.where(as_chain[:, None], own.vectors, drafts)
    p_intent = np.where(as_chain, intents.chain, intents.draft).astype(np.float32)
    targets = blend_targets(view, embeddings, as_chain.astype(np.float32), p_intent, hits)
    blend = decomposed(targets.blend, decomposer, seed + 1)
    second = np.flatnonzero(rng.random(count) < 0.9)
    codes, weights = _other_candidates(_Sources(own, drafts, truths, view), second, decomposer, rng)
    rows = np.concatenate([np.arange(count), second])
    all_codes = np.concatenate([blend.codes, codes])
    all_weights = np.concatenate([blend.weights, weights])
    vectors = decomposer.compose(all_codes, all_weights)
    theirs = targets.take(rows)
    chains = Chains(all_codes, all_weights, vectors, dot(vectors, theirs.embeddings))
    features = gain_features(
        view.take(rows), [situations[row] for row in rows], theirs, chains, towers, decomposer.dictionary
    )
    return GainRows(features, dot(vectors, truths[rows]), rows.astype(np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class _Sources:
    """What other candidates are made of: the scenes' own chains, drafts, true next turns and contexts."""

    own: Chains
    drafts: FloatArray
    truths: FloatArray
    view: View


def _other_candidates(
    sources: _Sources, rows: np.ndarray, decomposer: Decomposer, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Give other chains for the scenes of `rows`, in eight ways alike, so that gain knows chains of any origin.

    Kept; some codes swapped for neighbours; some, or all, for random ones; the chain of the last turn, whole or with
    some of the scene's own codes; of the context; of what was said next elsewhere. Never of what was said next here.
    """
    way = rng.integers(0, 8, len(rows))
    codes, weights = sources.own.codes[rows].copy(), sources.own.weights[rows].copy()
    elsewhere = np.roll(sources.truths, len(sources.truths) // 2, axis=0)
    for number, vectors in enumerate(
        (sources.view.recent[:, 0], sources.view.recent[:, 0], sources.view.context, elsewhere)
    ):
        mine = np.flatnonzero(way == 4 + number)
        made = decomposed(vectors[rows[mine]], decomposer, int(rng.integers(1 << 31)))
        codes[mine], weights[mine] = made.codes, made.weights
    strange = random_codes(codes, len(decomposer.dictionary), int(rng.integers(1 << 31)))
    near = _neighbours(codes, decomposer, rng)
    some = rng.random(codes.shape) < 0.5
    own = np.where((sources.own.codes[rows] >= 0) & (codes >= 0), sources.own.codes[rows], codes)
    codes = np.where((way[:, None] == 1) & some, near, codes)
    codes = np.where(((way[:, None] == 2) & some) | (way[:, None] == 3), strange, codes)
    codes = np.where((way[:, None] == 5) & some, own, codes)
    return _without_repeats(codes.astype(np.int32)), weights


def _without_repeats(codes: IntArray) -> IntArray:
    """Leave the second place of a code that comes twice in a chain (n, 5) empty."""
    for row in codes:
        seen: set[int] = set()
        for place, code in enumerate(row):
            if code in seen:
                row[place] = -1
            seen.add(int(code))
    return codes


def _neighbours(codes: IntArray, decomposer: Decomposer, rng: np.random.Generator) -> IntArray:
    used, places = np.unique(codes[codes >= 0], return_inverse=True)
    close = decomposer.dictionary[used] @ decomposer.dictionary.T
    close[np.arange(len(used)), used] = -1
    nearest = np.argpartition(-close, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    near = codes.copy()
    near[codes >= 0] = nearest[places, rng.integers(0, _NEIGHBOURS, len(places))]
    return near
