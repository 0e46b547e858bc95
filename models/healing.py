"""Healing: where a weak scene should move, the chains that could take it there, and what each is expected to gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.arrays import FloatArray, IntArray, unit
from models.decomposition import Chains, Decomposer
from models.features import View, dot, view_of
from models.gain import Gain, Targets, gain_features
from models.lexicon import MAX_CODES, AuthoredAnalogue, Lexicon
from models.memory import Hits
from models.situation import Situation
from models.towers import Towers

Source = Literal["blend", "authored", "random"]

# y* = n(p y + .4 (1 - p) n(m + r)): how much what the context foretells weighs against the draft.
PRIOR_WEIGHT = 0.4
MEMORY_TEMPERATURE = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Chains that could replace those of n scenes, m >= n of them: at least the blend's for each scene.

    `scene` (m,) says whose a candidate is; a scene's follow each other, the blend first. `chains.fidelity` is the
    cosine with the scene's embedding. `gain` (m,) is the expected cosine with the true next turn, `risk` (m,) the
    probability that it is under .30.
    """

    scene: IntArray
    source: tuple[Source, ...]
    chains: Chains
    gain: FloatArray
    risk: FloatArray


class Healer:
    """All that the bridge needs of the models; holds no state of its own."""

    def __init__(self, decomposer: Decomposer, lexicon: Lexicon, towers: Towers, gain: Gain) -> None:
        self._decomposer = decomposer
        self._lexicon = lexicon
        self._towers = towers
        self.gain = gain

    def candidates(
        self,
        situations: Sequence[Situation],
        chains: Chains,
        p_intent: FloatArray,
        registers: NDArray[np.int8],
        k: NDArray[Any],
        hits: Hits | None = None,
    ) -> Candidates:
        """Offer chains in place of the scenes' own `chains`: the blend's, and each authored analogue that applies.

        Takes p_intent (n,), the registers (n,) and lengths k (n,) to decompose the blend with, and what memory found
        for these contexts, if there is one. A scene without a draft is healed from its chain's vector.
        """
        view = view_of(situations, self._towers, chains.vectors.shape[1])
        targets = blend_targets(view, embeddings_of(situations, chains), from_chain(situations), p_intent, hits)
        blend = self._decomposer.decompose(targets.blend, registers, k)
        scene, codes, weights = list(range(len(situations))), list(blend.codes), list(blend.weights)
        source: list[Source] = ["blend"] * len(situations)
        for row in range(len(situations)):
            for replaced in authored(chains.codes[row], self._lexicon):
                scene.append(row)
                source.append("authored")
                codes.append(replaced)
                weights.append(chains.weights[row])
        order = np.argsort(scene, kind="stable")
        rows = np.array(scene, np.int32)[order]
        return self._judge(
            view,
            situations,
            targets,
            rows,
            tuple(source[index] for index in order),
            np.array(codes, np.int32).reshape(-1, MAX_CODES)[order],
            np.array(weights, np.float32).reshape(-1, MAX_CODES)[order],
        )

    def random_candidates(
        self,
        situation: Situation,
        chains: Chains,
        p_intent: FloatArray,
        count: int,
        seed: int,
        hits: Hits | None = None,
    ) -> Candidates:
        """Judge `count` chains of random codes in one scene's place: the baseline that an analogue must beat.

        `chains` and `p_intent` (1,) are the scene's; the random chains have as many codes with the same weights.
        """
        view = view_of([situation], self._towers, chains.vectors.shape[1])
        targets = blend_targets(view, embeddings_of([situation], chains), from_chain([situation]), p_intent, hits)
        codes = random_codes(chains.codes.repeat(count, axis=0), len(self._lexicon.codes), seed)
        weights = chains.weights.repeat(count, axis=0)
        rows = np.zeros(count, np.int32)
        source: list[Source] = ["random"] * count
        return self._judge(view, [situation], targets, rows, tuple(source), codes, weights)

    def _judge(
        self,
        view: View,
        situations: Sequence[Situation],
        targets: Targets,
        rows: IntArray,
        source: tuple[Source, ...],
        codes: IntArray,
        weights: FloatArray,
    ) -> Candidates:
        vectors = self._decomposer.compose(codes, weights)
        theirs = targets.take(rows)
        chains = Chains(codes, weights, vectors, dot(vectors, theirs.embeddings))
        features = gain_features(
            view.take(rows),
            [situations[row] for row in rows],
            theirs,
            chains,
            self._towers,
            self._decomposer.dictionary,
        )
        gain = self.gain.predict(features)
        return Candidates(rows, source, chains, gain, self.gain.bridge_risk(gain))


def embeddings_of(situations: Sequence[Situation], chains: Chains) -> FloatArray:
    """Give what scenes say (n, d): the draft's vector, the chain's where there is no draft."""
    return np.stack(
        [
            chains.vectors[row] if situation.draft is None else situation.draft
            for row, situation in enumerate(situations)
        ]
    )


def from_chain(situations: Sequence[Situation]) -> FloatArray:
    """Give 1 for scenes that came as chains, 0 for the others: (n,)."""
    return np.array([situation.draft is None for situation in situations], np.float32)


def blend_targets(
    view: View, embeddings: FloatArray, came_as_chain: FloatArray, p_intent: FloatArray, hits: Hits | None
) -> Targets:
    """Blend what scenes say with what their contexts foretell: y* = n(p y + .4 (1 - p) n(m + r)).

    r is the ridge predictor's next turn, m the mean of the next turns that memory found, weighted by
    softmax(sim / .05); where memory found nothing r stands alone. Takes embeddings (n, d) and p_intent (n,).
    """
    memory = np.zeros_like(embeddings)
    best = np.full(len(embeddings), np.nan, np.float32)
    agreement = np.full(len(embeddings), np.nan, np.float32)
    if hits is not None:
        found = np.isfinite(hits.similarities)
        some = found.any(axis=1)
        top = np.where(some, np.where(found, hits.similarities, -2.0).max(axis=1), 0.0)
        weights = np.where(
            found, np.exp((hits.similarities.astype(np.float64) - top[:, None]) / MEMORY_TEMPERATURE), 0.0
        )
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        mean = np.sum(weights[:, :, None] * hits.next_turns, axis=1).astype(np.float32)
        memory = unit(mean)
        best[some] = top[some]
        agreement[some] = np.sqrt(dot(mean, mean))[some]
    foretold = unit(memory + view.side.ridge)
    p = p_intent[:, None]
    blend = unit(p * embeddings + np.float32(PRIOR_WEIGHT) * (1 - p) * foretold)
    return Targets(embeddings, blend, memory, best, agreement, p_intent, came_as_chain)


def authored(codes: IntArray, lexicon: Lexicon) -> list[IntArray]:
    """Replace codes of a chain (5,) by each authored analogue that applies to it: all its old codes are in the chain.

    Each analogue is tried alone, and left out where it would name a code twice.
    """
    used = [int(code) for code in codes if code >= 0]
    offered: list[IntArray] = []
    for analogue in lexicon.analogues:
        replaced = _replace(used, analogue, lexicon)
        if replaced is not None:
            offered.append(np.array(replaced + [-1] * (len(codes) - len(replaced)), np.int32))
    return offered


def _replace(used: list[int], analogue: AuthoredAnalogue, lexicon: Lexicon) -> list[int] | None:
    pairs = dict(zip(map(lexicon.find, analogue.old), map(lexicon.find, analogue.new), strict=True))
    if not set(pairs) <= set(used):
        return None
    replaced = [pairs.get(code, code) for code in used]
    known = [code for code in replaced if code is not None]
    return known if len(set(known)) == len(used) else None


def random_codes(codes: IntArray, lexicon_size: int, seed: int) -> IntArray:
    """Replace every used code of chains (n, 5) by a random one, no code twice in a chain; seeded."""
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.choice(lexicon_size, codes.shape[1], replace=False) for _ in range(len(codes))])
    return np.where(codes >= 0, drawn, -1).astype(np.int32)
