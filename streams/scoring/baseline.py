"""The baseline of an analogue: what chains of random codes would be expected to gain in its place."""

from __future__ import annotations

import numpy as np

from models.decomposition import Chains
from models.memory import MemoryBase
from models.situation import context_vector
from models.suite import Suite
from streams.scoring.chains import rounded, to_arrays
from streams.scoring.port import Wish


def random_gains(suite: Suite, memory: MemoryBase | None, wish: Wish, count: int, seed: int) -> tuple[float, ...]:
    """Return the gains of `count` chains of random codes, as long and as heavy as the scene's own; seeded.

    The scene is one that was sent to the bridge, so it carries its chain and the intent that it was judged to have.
    """
    scene, situation = wish.encoded.scene, wish.encoded.situation
    codes, weights = to_arrays([scene.chain], suite.lexicon)
    vectors = suite.decomposer.compose(codes, weights)
    embedding = vectors[0] if situation.draft is None else situation.draft
    fidelity = np.sum(vectors * embedding, axis=1)
    hits = None
    if memory is not None:
        hits = memory.search(context_vector(situation)[None], [scene.dialogue_id])
    intent = np.array([scene.lineage[0].intent or 0.0], np.float32)
    chains = Chains(codes, weights, vectors, fidelity)
    offered = suite.healer.random_candidates(situation, chains, intent, count, seed, hits)
    # Rounded as the gains of candidates are, so that equal ones compare as equal.
    return tuple(rounded(gain) for gain in offered.gain)
