"""The worked example: entrance + tremor + vagueness, where it should come alive and where it should not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.decomposition import Chains
from models.lexicon import MAX_CODES
from models.memory import MemoryBase
from models.situation import Situation, context_vector
from models.training.outcomes import CODES, Bench
from models.training.recollection import small_memory
from models.training.workshop import Workshop

OLD, NEW = "entrance + tremor + vagueness", "step + tension + morning"
CONTEXTS: Mapping[str, str] = {
    "awake": "I was awake before the house was. My shoulders were tight and the floor was cold.",
    "inviting": "I wake up tense every morning. My shoulders are tight before I take a single step.",
    "neutral": "I would like to book a table for two.",
}
# What a memory of one like scene would hold.
REMEMBERED = (
    "I woke before everyone. My neck was stiff and the tiles were freezing.",
    "Take one step, let the tension be there, and let the morning come to you.",
)
RANDOM_CHAINS = 1000


def example_figures(bench: Bench, shop: Workshop) -> dict[str, float]:
    """Give, for each context, p_form of the old chain and the gains of the authored chain, the blend and random chains.

    `rank` is the share of random chains of three that are expected to gain more than the authored one. `remembered`:
    with a memory of one like scene.
    """
    figures: dict[str, float] = {}
    chain = _chain(bench, OLD)
    wanted = set(bench.lexicon.parse_chain(NEW))
    shop.vectors.prepare(CONTEXTS.values())
    memory = small_memory(shop, shop.cache / "memory-example", [REMEMBERED])
    scenes: list[tuple[str, str, MemoryBase | None]] = [(name, text, None) for name, text in CONTEXTS.items()]
    scenes += [(f"{name}_remembered", text, memory) for name, text in CONTEXTS.items()]
    for name, text, base in scenes:
        situation = Situation(None, None, (text,), ("user",), shop.vectors.rows([text]))
        p_form, p_intent = bench.heads.chains([situation], chain)
        new_form, _ = bench.heads.chains([situation], _chain(bench, NEW))
        healer = bench.healer()
        hits = None if base is None else base.search(context_vector(situation)[None], ["example"])
        offered = healer.candidates([situation], chain, p_intent, np.full(1, -1, np.int8), np.full(1, CODES), hits)
        random = healer.random_candidates(situation, chain, p_intent, RANDOM_CHAINS, bench.seed, hits).gain
        written = [set(codes[codes >= 0].tolist()) == wanted for codes in offered.chains.codes]
        gain = float(offered.gain[written.index(True)]) if any(written) else float("nan")
        figures |= {
            f"example_{name}_p_form_old": float(p_form[0]),
            f"example_{name}_p_form_new": float(new_form[0]),
            f"example_{name}_gain_authored": gain,
            f"example_{name}_gain_blend": float(offered.gain[0]),
            f"example_{name}_gain_random": float(random.mean()),
            f"example_{name}_rank": float((random > gain).mean()),
        }
    return figures


def _chain(bench: Bench, text: str) -> Chains:
    codes = np.full((1, MAX_CODES), -1, np.int32)
    rows = bench.lexicon.parse_chain(text)
    codes[0, : len(rows)] = rows
    weights = np.where(codes >= 0, 1.0, 0.0).astype(np.float32)
    return Chains(codes, weights, bench.decomposer.compose(codes, weights), np.ones(1, np.float32))
