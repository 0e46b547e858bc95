"""What came of spoilt scenes on each route: the route is walked as it is in a run, and compared with the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.arrays import FloatArray
from models.decomposition import Chains, Decomposer
from models.features import view_of
from models.gain import Gain
from models.heads import Heads
from models.healing import Healer
from models.lexicon import Lexicon
from models.memory import Hits, MemoryBase
from models.towers import Towers
from models.training.heads_train import drafts_of
from models.training.recollection import recall
from models.training.scenes import Example
from models.training.workshop import truths_of
from schemas.names import REGISTERS

THETA = 0.5
INTENT_MIN = 0.5
CODES = 3
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """The models as they serve."""

    decomposer: Decomposer
    lexicon: Lexicon
    heads: Heads
    gain: Gain
    towers: Towers
    seed: int

    def healer(self) -> Healer:
        """Give what heals with these models."""
        return Healer(self.decomposer, self.lexicon, self.towers, self.gain)

    def plain(self, embeddings: FloatArray) -> Chains:
        """Decompose into three codes without a register."""
        count = len(embeddings)
        return self.decomposer.decompose(embeddings, np.full(count, -1, np.int8), np.full(count, CODES))

    def judge(self, examples: list[Example]) -> tuple[FloatArray, FloatArray]:
        """Give p_form and p_intent (n,) of examples."""
        parts = [
            self.heads.scenes([example.situation for example in examples[start : start + _ROWS_AT_ONCE]])
            for start in range(0, len(examples), _ROWS_AT_ONCE)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Scenes that went one route, n of them, the rest left out.

    `rows` (n,) are their places among the examples; `own` and `chains` hold the chains before and after; `unhealed` and
    `healed` (n,) are the cosines of both with the true next turn; `gain` is 0 on the regeneration route.
    """

    rows: np.ndarray
    own: Chains
    chains: Chains
    unhealed: FloatArray
    healed: FloatArray
    gain: FloatArray
    fidelity: FloatArray
    p_form: FloatArray
    p_intent: FloatArray


def bridge_outcomes(bench: Bench, examples: list[Example], memory: MemoryBase | None) -> Outcomes:
    """Send what resonates too little and means too little over the bridge; its best candidate by gain is taken."""
    p_form, p_intent = bench.judge(examples)
    rows = np.flatnonzero((p_form < THETA) & (p_intent < INTENT_MIN))
    chosen = [examples[row] for row in rows]
    own = bench.plain(drafts_of(chosen))
    healer = bench.healer()
    pieces, gains = [], []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        some = chosen[part]
        count = len(some)
        offered = healer.candidates(
            [example.situation for example in some],
            take_chains(own, np.arange(len(rows))[part]),
            p_intent[rows[part]],
            np.full(count, -1, np.int8),
            np.full(count, CODES),
            None if memory is None else hits_of(bench, some, memory),
        )
        order = np.lexsort((np.arange(len(offered.gain)), -offered.gain, offered.scene))
        best = order[np.unique(offered.scene[order], return_index=True)[1]]
        pieces.append(take_chains(offered.chains, best))
        gains.append(offered.gain[best])
    chains = join_chains(pieces)
    return _outcomes(rows, chosen, own, chains, np.concatenate(gains), p_form, p_intent)


def regeneration_outcomes(bench: Bench, examples: list[Example]) -> Outcomes:
    """Give what resonates too little but means the right thing another register, one of the four at random."""
    p_form, p_intent = bench.judge(examples)
    rows = np.flatnonzero((p_form < THETA) & (p_intent >= INTENT_MIN))
    chosen = [examples[row] for row in rows]
    drafts = drafts_of(chosen)
    registers = np.random.default_rng(bench.seed).integers(0, len(REGISTERS), len(rows)).astype(np.int8)
    chains = bench.decomposer.decompose(drafts, registers, np.full(len(rows), CODES))
    none = np.zeros(len(rows), np.float32)
    return _outcomes(rows, chosen, bench.plain(drafts), chains, none, p_form, p_intent)


def refused_outcomes(bench: Bench, examples: list[Example]) -> Outcomes:
    """Give all that resonates too little, left as it is: what a lower threshold would choose from."""
    p_form, p_intent = bench.judge(examples)
    rows = np.flatnonzero(p_form < THETA)
    chosen = [examples[row] for row in rows]
    own = bench.plain(drafts_of(chosen))
    return _outcomes(rows, chosen, own, own, np.zeros(len(rows), np.float32), p_form, p_intent)


def _outcomes(
    rows: np.ndarray,
    chosen: list[Example],
    own: Chains,
    chains: Chains,
    gain: FloatArray,
    p_form: FloatArray,
    p_intent: FloatArray,
) -> Outcomes:
    truths = truths_of(chosen)
    return Outcomes(
        rows=rows,
        own=own,
        chains=chains,
        unhealed=np.sum(own.vectors * truths, axis=1),
        healed=np.sum(chains.vectors * truths, axis=1),
        gain=gain,
        fidelity=chains.fidelity,
        p_form=p_form[rows],
        p_intent=p_intent[rows],
    )


def hits_of(bench: Bench, examples: list[Example], memory: MemoryBase) -> Hits:
    """Search the memory for the contexts of examples."""
    view = view_of([example.situation for example in examples], bench.towers, len(examples[0].truth))
    return recall(memory, view, examples, np.zeros(len(examples), np.float32))


def take_chains(chains: Chains, rows: np.ndarray) -> Chains:
    """Select chains by their row numbers."""
    return Chains(chains.codes[rows], chains.weights[rows], chains.vectors[rows], chains.fidelity[rows])


def join_chains(parts: list[Chains]) -> Chains:
    """Put chains one after the other."""
    return Chains(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.vectors for part in parts]),
        np.concatenate([part.fidelity for part in parts]),
    )
