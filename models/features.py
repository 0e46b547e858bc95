"""What heads and gain look at: numbers with names, worked out the same way for drafts, chains and candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.arrays import FloatArray
from models.fluency import FLUENCY_FEATURES, Fluency, words_of
from models.situation import Situation, context_vector
from models.towers import ContextSide, ReplySide, Towers, fit

# How many of the last turns are compared with a draft.
RECENT_TURNS = 8
MAX_TURN_COUNT = 16
DEPTH_TEMPERATURE = 0.05
# Features are rounded, so that the last bit of a float never chooses another branch of a tree.
DECIMALS = 4

VECTOR_FEATURES = (
    "cos_last",
    "cos_second",
    "cos_third",
    "cos_fourth",
    "cos_max",
    "cos_mean",
    "cos_user_max",
    "cos_own_max",
    "cos_context",
    "depth",
    "tower",
    "tower_over_crowd",
    "tower_common",
    "tower_over_common",
    "cos_ridge",
)
CONTEXT_FEATURES = ("ridge_certainty", "ridge_context", "last_second", "last_own", "crowd", "turns", "no_context")
TEXT_FEATURES = (
    "words",
    "letters_per_word",
    "question",
    "full_stop",
    "last_words",
    "last_question",
    "overlap_last",
    "inside_last",
    "inside_own",
    "inside_context",
    "pairs_inside_context",
    "repeats",
    *FLUENCY_FEATURES,
)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Contexts of n scenes as arrays, worked out once for every vector that is held against them.

    `recent` (n, 8, d): the last turns, newest first, zeros where there are none; `present` (n, 8) bool; `own` (n, 8)
    bool: said by the assistant; `turns` (n,); `context` (n, d): c; `side`: what the towers make of it.
    """

    recent: FloatArray
    present: np.ndarray
    own: np.ndarray
    turns: FloatArray
    context: FloatArray
    side: ContextSide

    def take(self, rows: np.ndarray) -> View:
        """Select or repeat scenes by their row numbers."""
        side = ContextSide(
            self.side.query[rows], self.side.ridge[rows], self.side.certainty[rows], self.side.crowd[rows]
        )
        return View(self.recent[rows], self.present[rows], self.own[rows], self.turns[rows], self.context[rows], side)


def view_of(situations: Sequence[Situation], towers: Towers, dim: int) -> View:
    """Gather the contexts of scenes; `dim` is the width of the encoder's vectors."""
    count = len(situations)
    recent = np.zeros((count, RECENT_TURNS, dim), np.float32)
    present = np.zeros((count, RECENT_TURNS), np.bool_)
    own = np.zeros((count, RECENT_TURNS), np.bool_)
    context = np.zeros((count, dim), np.float32)
    for row, situation in enumerate(situations):
        last = situation.context[::-1][:RECENT_TURNS]
        recent[row, : len(last)] = last
        present[row, : len(last)] = True
        roles = situation.context_roles[::-1][:RECENT_TURNS]
        own[row, : len(roles)] = [role == "assistant" for role in roles]
        context[row] = context_vector(situation)
    turns = np.array([len(situation.context) for situation in situations], np.float32)
    return View(recent, present, own, turns, context, towers.contexts(recent[:, :2], context))


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Multiply and sum over the last axis, row by row in one order, whatever the batch; float32 of shape (...)."""
    total: FloatArray = np.sum(a.astype(np.float64) * b, axis=-1).astype(np.float32)
    return total


def vector_features(view: View, vectors: FloatArray, reply: ReplySide) -> FloatArray:
    """Hold vectors (n, d) against contexts: (n, 15), a column for each of VECTOR_FEATURES, NaN where there is none."""
    cosines = dot(view.recent, vectors[:, None, :])
    absent = np.where(view.present, cosines, np.nan)
    some = view.present.any(axis=1)
    low = np.where(view.present, cosines, -2.0)
    score = fit(view.side.query, reply.key)
    columns = [
        absent[:, 0],
        absent[:, 1],
        absent[:, 2],
        absent[:, 3],
        np.where(some, low.max(axis=1), np.nan),
        np.where(
            some, np.sum(np.where(view.present, cosines, 0.0), axis=1) / np.maximum(view.present.sum(axis=1), 1), np.nan
        ),
        _max_where(cosines, view.present & ~view.own),
        _max_where(cosines, view.present & view.own),
        np.where(some, dot(view.context, vectors), np.nan),
        _depth(low, view.present),
        np.where(some, score, np.nan),
        np.where(some, score - view.side.crowd, np.nan),
        reply.common,
        np.where(some, score - reply.common, np.nan),
        dot(view.side.ridge, vectors),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def context_features(view: View) -> FloatArray:
    """Say what the contexts alone are like: (n, 7), a column for each of CONTEXT_FEATURES."""
    some, two = view.present[:, 0], view.present[:, 1]
    columns = [
        view.side.certainty,
        np.where(some, dot(view.side.ridge, view.context), np.nan),
        np.where(two, dot(view.recent[:, 0], view.recent[:, 1]), np.nan),
        np.where(some, view.own[:, 0], np.nan),
        np.where(some, view.side.crowd, np.nan),
        np.minimum(view.turns, MAX_TURN_COUNT),
        ~some,
    ]
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=1)


def text_features(situation: Situation, fluency: Fluency) -> list[float]:
    """Read the draft's words beside the context's: a float for each of TEXT_FEATURES, NaN where there is no text."""
    draft = situation.draft_text
    recent = situation.context_texts[::-1][:RECENT_TURNS]
    roles = situation.context_roles[::-1][:RECENT_TURNS]
    last = words_of(recent[0]) if recent else []
    last_known = [float(min(len(last), 60)), float(bool(recent) and "?" in recent[0])] if recent else [math.nan] * 2
    if draft is None:
        rest = len(TEXT_FEATURES) - 6
        return [math.nan] * 4 + last_known + [math.nan] * rest
    words = words_of(draft)
    mine = set(words)
    said = [set(words_of(text)) for text in recent]
    own = set().union(*(one for one, role in zip(said, roles, strict=True) if role == "assistant"))
    everything = set().union(*said)
    pairs = set(pairwise(words))
    said_pairs = {pair for text in recent for pair in _pairs(text)}
    return [
        float(min(len(words), 60)),
        sum(map(len, words)) / len(words) if words else math.nan,
        float("?" in draft),
        float(draft.rstrip()[-1:] in {".", "!", "?"}),
        *last_known,
        _share(mine & set(last), mine | set(last)),
        _share(mine & set(last), mine),
        _share(mine & own, mine),
        _share(mine & everything, mine),
        _share(pairs & said_pairs, pairs),
        1.0 - len(mine) / len(words) if words else math.nan,
        *fluency.features(words),
    ]


def rounded(columns: Sequence[FloatArray]) -> FloatArray:
    """Join blocks of columns into one float32 matrix, rounded to four decimals."""
    joined: FloatArray = np.round(np.concatenate(columns, axis=1).astype(np.float64), DECIMALS).astype(np.float32)
    return joined


def _pairs(text: str) -> list[tuple[str, str]]:
    words = words_of(text)
    return list(pairwise(words))


def _share(part: set[str] | set[tuple[str, str]], whole: set[str] | set[tuple[str, str]]) -> float:
    return len(part) / len(whole) if whole else math.nan


def _max_where(values: FloatArray, where: np.ndarray) -> FloatArray:
    best: FloatArray = np.where(where, values, -2.0).max(axis=1)
    return np.where(best > -2.0, best, np.nan).astype(np.float32)


def _depth(cosines: FloatArray, present: np.ndarray) -> FloatArray:
    """Give the expected age of what the vector activates, 0 the last turn, 1 the oldest of the recent ones."""
    scaled = cosines.astype(np.float64) / DEPTH_TEMPERATURE
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True)) * present
    ages = np.arange(cosines.shape[1], dtype=np.float64)
    total = np.sum(weights, axis=1)
    mean = np.divide(np.sum(weights * ages, axis=1), total, out=np.zeros(len(total)), where=total > 0)
    span = np.maximum(present.sum(axis=1) - 1, 1)
    return np.where(present.any(axis=1), mean / span, np.nan).astype(np.float32)
