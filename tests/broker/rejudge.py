"""What a worker owes: the committed `scenes`, judged again in the order of each partition, without Kafka or batches."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.decision import Decision
from schemas.names import Origin
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.wire import decode_scene
from streams.stages import admit, resonance, rows
from streams.stages.policy import Policy

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from fake_scorer import FakeScorer


def rejudge(records: Iterable[Any], policy: Policy) -> tuple[list[Decision], dict[str, Sensitivity], int]:
    """Return the final decisions, the rows, and how many records are refused."""
    scorer = FakeScorer()
    kept: dict[str, Sensitivity] = {}
    final: list[Decision] = []
    refused = 0
    for record in records:
        scene = decode_scene(record.key, record.value, scorer.terms())
        if not isinstance(scene, Scene):
            refused += 1
            continue
        row = kept.get(scene.key, Sensitivity(key=scene.key))
        if scene.origin is Origin.FRESH:
            if admit.place(scene, rows.dialogue_of(row, scene.dialogue_id)) is not None:
                refused += 1
                continue
            row = resonance.offer(row, scene, policy)
        judged = resonance.judge(scene, scorer.read(scorer.encode([scene]))[0], row, policy)
        kept[scene.key] = judged.row
        if judged.onward is None:
            final.append(judged.decision)
    return final, kept, refused
