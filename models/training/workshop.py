"""What every step of training shares: the samples, the encoder with its cache, and the scenes made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from models.arrays import FloatArray
from models.encoder import Encoder, ensure_built
from models.sessions import Runtime
from models.spoiling import GENERIC
from models.training.data import Dialogue
from models.training.samples import Samples, draw_samples, positions_of
from models.training.scenes import Example, Replies, real_and_spoilt
from models.training.vectors import TextVectors

Part = Literal["heads", "calib", "test"]

# The generic replies that heads learn; the others are kept for measuring, for a list is easily learnt by heart.
LEARNT_GENERIC = GENERIC[::2]
UNSEEN_GENERIC = GENERIC[1::2]


@dataclass(frozen=True)
class Workshop:
    """Where things are, and the seed that everything random starts from."""

    data: Path
    out: Path
    cache: Path
    seed: int

    runtime = Runtime("cpu", 1)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that serves, on the CPU: one build for training and serving."""
        return Encoder.open(ensure_built(self.cache / "encoder", self.runtime), self.runtime)

    @cached_property
    def vectors(self) -> TextVectors:
        """Encoded texts, kept in the cache."""
        return TextVectors(self.encoder, self.cache)

    @cached_property
    def samples(self) -> Samples:
        """Dialogues by their use."""
        return draw_samples(self.data, self.seed)

    def examples(self, part: Part) -> list[Example]:
        """Make the scenes of one part: every position with its true turn and with the six ways of spoiling it."""
        dialogues: list[Dialogue] = getattr(self.samples, part)
        generic = LEARNT_GENERIC if part == "heads" else UNSEEN_GENERIC
        replies = Replies(dialogues, generic)
        number = {"heads": 1, "calib": 2, "test": 3}[part]
        return real_and_spoilt(positions_of(dialogues, self.seed + number), self.vectors, replies, self.seed + number)


def cosines_to_truth(examples: list[Example]) -> FloatArray:
    """Give the cosine (n,) of each draft with what was really said next."""
    drafts = np.stack([example.situation.draft for example in examples if example.situation.draft is not None])
    truths = truths_of(examples)
    cosines: FloatArray = np.sum(drafts * truths, axis=1)
    return cosines


def truths_of(examples: list[Example]) -> FloatArray:
    """Give the vectors (n, d) of what was really said next."""
    return np.stack([example.truth for example in examples])


def mix_weights(examples: list[Example]) -> FloatArray:
    """Weigh examples (n,) so that true turns are half of the whole, and the six ways of spoiling share the rest.

    A spoilt draft that came out as the true turn (one word cannot be shattered) weighs nothing.
    """
    return np.array([_weight(example) for example in examples], np.float32)


def _weight(example: Example) -> float:
    if example.real:
        return 6.0
    draft = example.situation.draft_text or ""
    return 0.0 if draft.strip().casefold() == example.position.truth.strip().casefold() else 1.0
