"""What a worker owes: the committed `scenes`, judged again in the order of each partition, without Kafka or batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.decision import Decision
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.wire import decode_scene
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from tests.chaos import paper


def rejudge(records: Iterable[Any], policy: Policy) -> tuple[list[Decision], dict[str, Sensitivity], int]:
    """Return the final decisions, the rows, and how many records are refused; for users who say nothing."""
    kept: dict[str, Sensitivity] = {}
    final: list[Decision] = []
    refused = 0
    for record in records:
        scene = decode_scene(record.key, record.value, paper.TERMS)
        judged = scene
        if isinstance(scene, Scene):
            judged = paper.judge(scene, kept.get(scene.key, Sensitivity(key=scene.key)), policy)
        if isinstance(judged, Refusal):
            refused += 1
            continue
        assert isinstance(judged, paper.Judged)
        kept[judged.row.key] = judged.row
        if judged.onward is None:
            final.append(judged.decision)
    return final, kept, refused
