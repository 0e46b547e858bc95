"""Ids that follow from their origin, so that a repeat is recognisable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence


def output_id(scene_id: str, stage: str, attempt: int) -> str:
    """Return the id of what `stage` makes of a scene's `attempt`: 32 hex digits, the same every time."""
    return hashlib.sha256(json.dumps([scene_id, stage, attempt]).encode()).hexdigest()[:32]


def dialogue_id_of(messages: Sequence[tuple[str, str]]) -> str:
    """Return the id of a dialogue that has none: sha256 of its (role, text) pairs, 32 hex digits."""
    return hashlib.sha256(json.dumps(list(messages), ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ]


def with_scene_id(data: object) -> object:
    """Return an event's fields with the scene_id that one without it has: dialogue_id:turn."""
    if isinstance(data, dict) and not data.get("scene_id") and "dialogue_id" in data and "turn" in data:
        return {**data, "scene_id": f"{data['dialogue_id']}:{data['turn']}"}
    return data
