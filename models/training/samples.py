"""Which dialogues teach what: heads learn from others than towers, for they must not trust a tower's memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.training.data import CORPORA, Dialogue, Position, read_dialogues, sample_dialogues, sample_positions

MAX_TURN = 16
POSITIONS_PER_DIALOGUE = 3

_HEADS = {"sgd": 1000, "taskmaster4": 700, "selfdialogue": 1000, "topicalchat": 500}
_TOWERS = {"sgd": 1100, "taskmaster4": 1000, "selfdialogue": 1100, "topicalchat": 600}
_MEASURED = {"sgd": 220, "taskmaster4": 200, "selfdialogue": 250, "topicalchat": 150}


@dataclass(frozen=True, slots=True)
class Samples:
    """Dialogues by their use; no dialogue has two."""

    towers: list[Dialogue]
    heads: list[Dialogue]
    calib: list[Dialogue]
    test: list[Dialogue]


def draw_samples(data: Path, seed: int) -> Samples:
    """Draw the dialogues for towers, ridge and memory, those for heads and gain, and the held-out ones."""
    together = {corpus: _HEADS[corpus] + _TOWERS[corpus] for corpus in CORPORA}
    heads: list[Dialogue] = []
    towers: list[Dialogue] = []
    for corpus in CORPORA:
        drawn = sample_dialogues(data, "train", {corpus: together[corpus]}, seed)
        heads += drawn[: _HEADS[corpus]]
        towers += drawn[_HEADS[corpus] :]
    return Samples(
        towers,
        heads,
        sample_dialogues(data, "calib", _MEASURED, seed),
        sample_dialogues(data, "test", _MEASURED, seed),
    )


def positions_of(dialogues: list[Dialogue], seed: int) -> list[Position]:
    """Draw the turns of dialogues that become scenes."""
    return sample_positions(dialogues, POSITIONS_PER_DIALOGUE, MAX_TURN, seed)


def fluency_texts(data: Path, without: list[Dialogue]) -> list[str]:
    """Give all turns of the train dialogues, except of those in `without`."""
    left_out = {dialogue.id for dialogue in without}
    return [
        turn.text
        for corpus in CORPORA
        for dialogue in read_dialogues(data, corpus, "train")
        if dialogue.id not in left_out
        for turn in dialogue.turns
    ]
