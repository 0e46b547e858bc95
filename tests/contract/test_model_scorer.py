from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.cli.configured import load_settings
from streams.cli.wiring import open_scorer
from streams.replay.reader import Selection, read_logs
from streams.scoring.port import Encoded, Wish
from streams.scoring.scorer import ModelScorer
from streams.stages import resonance
from streams.stages.policy import Policy
from streams.stages.reading import Reading

ROOT = Path(__file__).parents[2]
LOGS = [str(ROOT / "examples" / name) for name in ("evenings.jsonl", "scenes.jsonl", "sceny_ru.jsonl")]
SCENES = 160
Asked = TypeVar("Asked")
Told = TypeVar("Told")


@pytest.fixture(scope="module")
def scorer() -> ModelScorer:
    return open_scorer(load_settings())


@pytest.fixture(scope="module")
def scenes(scorer: ModelScorer) -> list[Scene]:
    items = read_logs(LOGS, scorer.terms(), Selection(context_turns=32))
    found = [item.event for item in items if isinstance(item.event, Scene)]
    random.Random(7).shuffle(found)
    return found[:SCENES]


def in_batches(ask: Callable[[Sequence[Asked]], list[Told]], asked: Sequence[Asked], size: int) -> list[Told]:
    return [told for start in range(0, len(asked), size) for told in ask(asked[start : start + size])]


def shuffled(ask: Callable[[Sequence[Asked]], list[Told]], asked: Sequence[Asked]) -> list[Told]:
    order = random.Random(3).sample(range(len(asked)), len(asked))
    told = ask([asked[index] for index in order])
    return [told[order.index(index)] for index in range(len(asked))]


def bare(reading: Reading) -> tuple[object, ...]:
    return (reading.p_form, reading.chain, reading.parts, reading.voice, reading.cut, reading.embedding.tobytes())


def test_a_reading_does_not_depend_on_its_batch(scorer: ModelScorer, scenes: list[Scene]) -> None:
    encoded = scorer.encode(scenes)
    expected = [bare(reading) for reading in scorer.read(encoded)]
    assert len(expected) == SCENES
    for size in (1, 7, 64):
        assert [bare(reading) for reading in in_batches(scorer.read, encoded, size)] == expected, size
    assert [bare(reading) for reading in shuffled(scorer.read, encoded)] == expected


def test_an_encoding_does_not_depend_on_its_batch(scenes: list[Scene]) -> None:
    def vectors(encoded: list[Encoded]) -> list[bytes]:
        return [one.situation.context.tobytes() + np.asarray(one.situation.draft).tobytes() for one in encoded]

    whole = vectors(open_scorer(load_settings()).encode(scenes[:60]))
    alone = vectors(in_batches(open_scorer(load_settings()).encode, scenes[:60], 1))
    assert alone == whole


def test_healing_does_not_depend_on_its_batch(scorer: ModelScorer, scenes: list[Scene]) -> None:
    wishes = wishes_of(scorer, scenes)
    assert len(wishes) > 20
    for ask in (scorer.render, scorer.bridge):
        expected = ask(wishes)
        for size in (1, 7):
            assert in_batches(ask, wishes, size) == expected, (ask, size)
        assert shuffled(ask, wishes) == expected


def test_the_bridge_always_offers_something(scorer: ModelScorer, scenes: list[Scene]) -> None:
    for candidates in scorer.bridge(wishes_of(scorer, scenes)):
        assert candidates
        assert all(one.chain and len(one.symbols) == len(one.chain) for one in candidates)
        assert all(-1.0 <= one.gain <= 1.0 and 0.0 <= one.risk <= 1.0 for one in candidates)


def wishes_of(scorer: ModelScorer, scenes: list[Scene]) -> list[Wish]:
    """Return what the bridge and regeneration are asked for when every scene fails: the threshold is at its top."""
    policy = Policy().model_copy(update={"gate": Policy().gate.model_copy(update={"theta0": 1.0})})
    encoded = scorer.encode(scenes)
    wishes = []
    for one, reading in zip(encoded, scorer.read(encoded), strict=True):
        row = resonance.offer(Sensitivity(key=one.scene.key), one.scene, policy)
        onward = resonance.judge(one.scene, reading, row, policy).onward
        if onward is not None:
            wishes.append(Wish(Encoded(onward, one.situation, one.cut), "poetic", 3))
    return wishes
