"""Contexts and the turns that followed them, as arrays: what towers and ridge are taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.arrays import FloatArray, IntArray
from models.situation import weigh_context
from models.training.data import Dialogue
from models.training.vectors import TextVectors


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """`context` (n, 3d): last turn, the one before, c; `reply` (n, d): the next turn; `dialogue` (n,): whose."""

    context: FloatArray
    reply: FloatArray
    dialogue: IntArray


def pairs_of(dialogues: Sequence[Dialogue], vectors: TextVectors, max_turn: int) -> Pairs:
    """Take every turn of an assistant among the first `max_turn` turns, with its context."""
    vectors.prepare(turn.text for dialogue in dialogues for turn in dialogue.turns[:max_turn])
    contexts, replies, owners = [], [], []
    for number, dialogue in enumerate(dialogues):
        turns = vectors.rows(turn.text for turn in dialogue.turns[:max_turn])
        for index in range(1, len(turns), 2):
            before = turns[index - 2] if index > 1 else np.zeros_like(turns[0])
            contexts.append(np.concatenate([turns[index - 1], before, weigh_context(turns[:index])]))
            replies.append(turns[index])
            owners.append(number)
    return Pairs(np.stack(contexts), np.stack(replies), np.array(owners, np.int32))
