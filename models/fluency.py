"""How much a text runs like speech: a hashed table of word pairs, which a shuffled sentence fails."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

FLUENCY_FILE = "fluency.npy"
SLOT_BITS = 18
_SLOTS = 1 << SLOT_BITS
# Two rows hold pairs, read as the smaller of both so that a collision must happen twice; the third holds single words.
_ROWS = 3
_START, _END = "<s>", "</s>"
_UNSEEN_PULL = 4.0

_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[.?!,]")

FLUENCY_FEATURES = (
    "fluency_mean",
    "fluency_min",
    "fluency_unseen",
    "fluency_start",
    "fluency_end",
    "word_log_frequency",
    "word_rarest",
)


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words and the marks . ? ! , of sentences."""
    return _WORDS.findall(text.lower())


def _slots(key: str) -> tuple[int, int]:
    digest = zlib.crc32(key.encode())
    # The two ends of one 32-bit sum: cheap, and near enough to two sums.
    return digest & (_SLOTS - 1), digest >> (32 - SLOT_BITS)


class Fluency:
    """Counts of words and of pairs of neighbours, hashed into 18 bits: `table` (3, 2^18) float16 of log(1 + count)."""

    def __init__(self, table: NDArray[np.float16]) -> None:
        # Lists of Python floats are read ten times faster, one element at a time, than arrays are.
        first, second, single = (np.expm1(row.astype(np.float64)).tolist() for row in table)
        self._first: list[float] = first
        self._second: list[float] = second
        self._single: list[float] = single
        self._total = max(1.0, float(sum(single)))

    @classmethod
    def open(cls, artifacts: Path) -> Fluency:
        """Read fluency.npy of a folder; raises ModelError when it is missing or no such table."""
        path = artifacts / FLUENCY_FILE
        advice = "Restore it from the project's release, or run `make models`."
        try:
            table = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as failure:
            raise ModelError(f"{path} cannot be read: {failure}. {advice}") from failure
        if table.shape != (_ROWS, _SLOTS) or table.dtype != np.float16:
            raise ModelError(f"{path} is no table of word pairs: {table.dtype} {table.shape}. {advice}")
        return cls(table)

    def features(self, words: Sequence[str]) -> list[float]:
        """Say how a text of these words runs: a float for each of FLUENCY_FEATURES, NaN where it has no words.

        Pairs are measured by log P(b | a) / P(b), shrunk towards 0 where a is rare: the order of words counts, their
        frequency does not.
        """
        if not words:
            return [math.nan] * len(FLUENCY_FEATURES)
        links = [self._link(a, b) for a, b in zip([_START, *words], [*words, _END], strict=True)]
        inner = [link for link, _ in links[1:-1]] or [0.0]
        unseen = [count < 1.0 for _, count in links]
        rarity = [math.log((self._single[_slots(word)[0]] + 0.5) / self._total) for word in words]
        return [
            sum(inner) / len(inner),
            min(inner),
            sum(unseen) / len(unseen),
            links[0][0],
            links[-1][0],
            sum(rarity) / len(rarity),
            min(rarity),
        ]

    def _link(self, a: str, b: str) -> tuple[float, float]:
        first, second = _slots(f"{a} {b}")
        pair = min(self._first[first], self._second[second])
        before, after = self._single[_slots(a)[0]], self._single[_slots(b)[0]]
        share = (after + 0.5) / self._total
        return math.log((pair + _UNSEEN_PULL * share) / (before + _UNSEEN_PULL) / share), pair


def count_words(texts: Iterable[str]) -> NDArray[np.float16]:
    """Count words and neighbours in texts: the table (3, 2^18) float16 that Fluency reads."""
    counts = np.zeros((_ROWS, _SLOTS), np.float64)
    for text in texts:
        words = [_START, *words_of(text), _END]
        for word in words:
            counts[2, _slots(word)[0]] += 1
        for a, b in pairwise(words):
            first, second = _slots(f"{a} {b}")
            counts[0, first] += 1
            counts[1, second] += 1
    return np.log1p(counts).astype(np.float16)
