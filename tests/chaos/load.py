"""What is sent, all of it by seed: scenes of three kinds of users, their feedback, and what nobody can read.

Quiet users never say anything. Loud ones judge what they were told, as soon as they hear it: what their rows become
hangs on when they heard it. Patient ones wait for each turn and for the echo of their feedback before their next turn,
so that everything about them is the same in every run, whatever the workers go through.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from builders import feedback, scene

from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.kafka.wire import event_id

_PATIENT_TURNS = 10
_SAID_TWICE = 0.05


@dataclass(frozen=True, slots=True)
class Odd:
    """A message that ends as a dead letter: raw bytes for a topic, and the reason that the letter will give."""

    topic: str
    key: bytes
    value: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Load:
    """Scenes in the order they are sent, turns of patient users, odd messages, and drafts that no model survives."""

    seed: int
    flowing: tuple[Scene, ...]
    patient: Mapping[str, tuple[Scene, ...]]
    odd: tuple[Odd, ...]
    culprits: Mapping[str, str] = field(default_factory=dict)

    @property
    def owed(self) -> frozenset[str]:
        """The scene_ids that must come to an outcome."""
        fresh = [*self.flowing, *(turn for turns in self.patient.values() for turn in turns)]
        return frozenset(one.scene_id for one in fresh if one.draft not in self.culprits)

    @property
    def dead(self) -> Counter[str]:
        """How many dead letters there must be, by reason."""
        fallen = [self.culprits[one.draft] for one in self.flowing if one.draft in self.culprits]
        return Counter([*(one.reason for one in self.odd), *fallen])


def make_load(seed: int, scenes: int, patient_users: int, culprits: Mapping[str, str] | None = None) -> Load:
    """Return the load of a seed; each culprit's draft is said once by a user who goes on afterwards."""
    rng = random.Random(f"load {seed}")
    users = max(1, scenes // 14)
    turns: Counter[str] = Counter()
    flowing: list[Scene] = []
    fallen = {rng.randrange(scenes // 4, scenes // 2): draft for draft in culprits or {}}
    for number in range(scenes):
        user = f"{rng.choice(['quiet', 'loud'])}{rng.randrange(users)}"
        turns[user] += 1
        draft = fallen.get(number, f"draft {number} of {seed}")
        flowing.append(scene(turns[user], f"d-{user}", user, draft=draft))
    patient = {
        user: tuple(
            scene(turn, f"d-{user}", user, draft=f"turn {turn} of {user} of {seed}")
            for turn in range(1, _PATIENT_TURNS + 1)
        )
        for user in (f"patient{number}" for number in range(patient_users))
    }
    return Load(seed, tuple(flowing), patient, _odd(flowing, rng), culprits or {})


def said_of(decision: Decision) -> tuple[Feedback, ...]:
    """Return what its listener says of a decision: nothing, a judgement, or the same judgement twice."""
    if decision.verdict.value != "ready" or decision.key.startswith("quiet"):
        return ()
    said = feedback(decision.turn, decision.turn % 3 > 0, decision.dialogue_id, decision.user_id)
    twice = random.Random(event_id(said, "listener")).random() < _SAID_TWICE
    return (said, said) if twice else (said,)


def _odd(flowing: Sequence[Scene], rng: random.Random) -> tuple[Odd, ...]:
    known = rng.choice(flowing)
    key = known.key.encode()
    body = known.model_dump_json(exclude_none=True).encode()
    nobody = feedback(9, True, "d-nobody", "nobody")
    return (
        Odd("scenes", key, b"{not json", "broken_json"),
        Odd("scenes", key, b"\xff\xfe", "not_text"),
        Odd("scenes", key, b'{"version": 99, "type": "scene"}', "unknown_version"),
        Odd("scenes", b"somebody else", body, "wrong_key"),
        Odd("feedback", b"nobody", nobody.model_dump_json(exclude_none=True).encode(), "unknown_scene"),
    )
