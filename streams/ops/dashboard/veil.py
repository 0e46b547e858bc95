"""Ids for those who may not see whose they are: a mask each, the same all over the page for as long as it is served."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Literal

from streams.ops.follow.dialogue import Dialogue, DialogueStep
from streams.ops.pulse.masks import mask

By = Literal["dialogue", "user"]
_KINDS: Mapping[str, str] = {"user_id": "user", "key": "user", "dialogue_id": "dialogue", "scene_id": "scene"}
_MOST_KNOWN = 10_000


class Veil:
    """Masks ids by a secret, and knows whom the masks stand for that it gave out lately.

    Who has only masks can follow what the page lists, and cannot ask whether an id that they know is one of these.
    """

    def __init__(self, salt: bytes) -> None:
        self.salt = salt
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def name(self, field: str, value: str) -> str:
        """Return what stands for an id: what it is an id of, and eight hex digits."""
        return f"{_KINDS[field]}·{mask(value, self.salt)}"

    def listed(self, by: By, value: str) -> str:
        """Return the mask of a dialogue or a user that may be followed by it."""
        masked = self.name(f"{by}_id", value)
        with self._lock:
            self._known.pop(masked, None)
            self._known[masked] = value
            while len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return masked

    def behind(self, by: By, masked: str) -> str | None:
        """Return the id that a mask was given out for; None where it is none of ours."""
        with self._lock:
            return self._known.get(masked) if masked.startswith(f"{by}·") else None

    def over(self, dialogue: Dialogue) -> Dialogue:
        """Return a dialogue whose ids are masked."""
        return dialogue.model_copy(update={"steps": tuple(map(self._step, dialogue.steps))})

    def _step(self, step: DialogueStep) -> DialogueStep:
        ids = {
            "scene_id": self.name("scene_id", step.scene_id),
            "dialogue_id": self.listed("dialogue", step.dialogue_id),
            "user_id": None if step.user_id is None else self.listed("user", step.user_id),
        }
        return step.model_copy(update=ids)
