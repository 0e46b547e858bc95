"""Which scenes of logs were accepted: a first pass takes in the labels, a second one the scenes."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.replay.reader import Selection, read_logs
from streams.stages.admit import Refusal, Terms


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The first label of each scene, as 64 bits of its id in rising order (n,) and whether it was accepted (n,).

    `rated` are the logs with labels in them: there a scene without a label is not known to be accepted.
    """

    scenes: NDArray[np.uint64]
    accepted: NDArray[np.bool_]
    rated: frozenset[str]

    def accepts(self, scene: Scene, log: str) -> bool:
        """Return whether a scene of `log` was accepted: by its label; without one, where nobody rates."""
        bits = np.uint64(_bits(scene.scene_id))
        place = int(np.searchsorted(self.scenes, bits))
        if place < len(self.scenes) and self.scenes[place] == bits:
            return bool(self.accepted[place])
        return log not in self.rated


@dataclass(slots=True)
class Tally:
    """What was found in logs while they were read: scenes, accepted ones, and lines or turns that cannot be read."""

    scenes: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def read_labels(logs: Iterable[str], terms: Terms, context_turns: int, min_rating: float) -> Labels:
    """Return the labels of logs; a rating from `min_rating` on accepts. Takes 9 bytes of memory a label."""
    scenes, accepted, rated = array("Q"), array("b"), set()
    for log in logs:
        for item in read_logs([log], terms, Selection(context_turns)):
            event = item.event
            if isinstance(event, Feedback) and event.error is not None:
                rated.add(log)
                scenes.append(_bits(event.scene_id))
                accepted.append(event.error == 0 if event.rating is None else event.rating >= min_rating)
    # The first of several labels counts, as it does for thresholds; `unique` gives the place of the first.
    ids, first = np.unique(np.frombuffer(scenes, np.uint64) if scenes else np.zeros(0, np.uint64), return_index=True)
    taken = np.frombuffer(accepted, np.int8).astype(np.bool_)[first] if accepted else np.zeros(0, np.bool_)
    return Labels(ids, taken, frozenset(rated))


def read_accepted(
    logs: Iterable[str], terms: Terms, context_turns: int, labels: Labels, tally: Tally
) -> Iterator[Scene]:
    """Yield the accepted scenes of logs in order, and keep the tally."""
    for log in logs:
        for item in read_logs([log], terms, Selection(context_turns)):
            if isinstance(item.event, Refusal):
                tally.refused[item.event.reason.value] += 1
            elif isinstance(item.event, Scene):
                tally.scenes += 1
                if item.event.spoilt is None and labels.accepts(item.event, log):
                    tally.accepted += 1
                    yield item.event


def _bits(scene_id: str) -> int:
    return int.from_bytes(hashlib.sha256(scene_id.encode("utf-8", "surrogatepass")).digest()[:8], "little")
