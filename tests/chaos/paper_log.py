"""A log written on paper: what a worker that never fails would leave, with batches and interleaving by seed."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from schemas import topics
from schemas.feedback import Feedback
from schemas.names import Verdict
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.dead_letters import Failure, bury
from streams.kafka.wire import Message, decode_feedback, decode_scene, encode, encode_row
from streams.stages import threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from tests.chaos import paper
from tests.chaos.judge import Met
from tests.chaos.load import Load, said_of
from tests.chaos.records import OUTCOMES, READ

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_DEAD = topics.dead_topic


@dataclass(frozen=True, slots=True)
class Record:
    """A record as aiokafka gives it, of the only partition there is."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    timestamp: int = 0


@dataclass
class PaperLog:
    """Topics of one partition, written by `write`."""

    load: Load
    policy: Policy
    topics: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in READ})

    def write(self, rng: random.Random) -> PaperLog:
        """Take batches of scenes and of feedback in turns that chance chooses, until nothing is left to be taken."""
        self._rng = rng
        self._rows: dict[str, Sensitivity] = {}
        self._taken: Counter[str] = Counter()
        self._healing: deque[Scene] = deque()
        self._turns = {user: iter(turns) for user, turns in self.load.patient.items()}
        self._awaited: Counter[str] = Counter()
        self._changed: dict[str, tuple[str, int]] = {}
        self._echoes: list[Message] = []
        for odd in self.load.odd:
            self.put(odd.topic, odd.key, odd.value)
        self._say([next(turns) for turns in self._turns.values()])
        self._say(self.load.flowing)
        while self._waiting(topics.SCENES) or self._waiting(topics.FEEDBACK) or self._healing:
            # What goes into one transaction, in any order; rows follow it, those of feedback first.
            for work in rng.sample((self._judge_some, self._learn_some, self._heal_some), rng.randint(1, 3)):
                work()
            self._put_rows()
        return self

    def met(self) -> list[Met]:
        """Return where a live consumer would have met the final decisions."""
        return [(name, record.partition, record.offset) for name in OUTCOMES for record in self.topics[name]]

    def put(self, topic: str, key: bytes | None, value: bytes | None, headers: Any = ()) -> None:  # noqa: ANN401
        records = self.topics[topic]
        records.append(Record(topic, len(records), key, value, tuple(headers)))

    def _waiting(self, topic: str) -> int:
        return len(self.topics[topic]) - self._taken[topic]

    def _take(self, topic: str) -> Sequence[Record]:
        start = self._taken[topic]
        batch = self.topics[topic][start : start + self._rng.randint(1, 20)]
        self._taken[topic] += len(batch)
        return batch

    def _judge_some(self) -> None:
        for record in self._take(topics.SCENES):
            scene = decode_scene(record.key, record.value, paper.TERMS)
            if isinstance(scene, Scene) and scene.draft in self.load.culprits:
                self._bury(record, self.load.culprits[scene.draft])
                continue
            judged = scene
            if isinstance(scene, Scene):
                judged = paper.judge(scene, self._rows.get(scene.key, Sensitivity(key=scene.key)), self.policy)
            if isinstance(judged, Refusal):
                self._bury(record, judged.reason.value)
                continue
            assert isinstance(scene, Scene)
            assert isinstance(judged, paper.Judged)
            self._rows[scene.key] = judged.row
            self._changed[scene.key] = (scene.scene_id, scene.attempt)
            self._send(judged)

    def _send(self, judged: paper.Judged) -> None:
        to, message = paper.sent(judged, _AT)
        self.put(to, message.key, message.value, message.headers)
        if judged.onward is not None:
            self._healing.append(judged.onward)
            return
        said = said_of(judged.decision)
        self._awaited[judged.decision.key] += len(said)
        self._say(said or self._next(judged.decision.key))

    def _heal_some(self) -> None:
        for _ in range(min(len(self._healing), self._rng.randint(1, 20))):
            onward = self._healing.popleft()
            step = Verdict(onward.lineage[-1].outcome)
            _, message = paper.sent_back(step, onward, self.policy, _AT)
            self.put(topics.SCENES, message.key, message.value, message.headers)

    def _learn_some(self) -> None:
        for record in self._take(topics.FEEDBACK):
            said = decode_feedback(record.key, record.value, paper.TERMS)
            assert isinstance(said, Feedback)
            tuned = threshold.tune(self._rows.get(said.key, Sensitivity(key=said.key)), said, self.policy.gate)
            self._rows[said.key] = tuned.row
            self._changed.pop(said.key, None)
            self._echoes.append(
                encode_row(
                    tuned.row, scene_id=said.scene_id, stage="threshold", attempt=0, at=_AT, outcome=tuned.outcome
                )
            )
            if tuned.outcome == "unknown":
                self._bury(record, "unknown_scene")
                continue
            self._awaited[said.key] -= 1
            if not self._awaited[said.key]:
                self._say(self._next(said.key))

    def _next(self, user: str) -> Iterable[Scene]:
        following = next(self._turns[user], None) if user in self._turns else None
        return () if following is None else (following,)

    def _say(self, events: Iterable[Scene | Feedback]) -> None:
        for event in events:
            message = encode(event, at=_AT)
            self.put(topics.SCENES if isinstance(event, Scene) else topics.FEEDBACK, message.key, message.value)

    def _put_rows(self) -> None:
        changed = [
            encode_row(self._rows[key], scene_id=scene_id, stage="resonance", attempt=attempt, at=_AT)
            for key, (scene_id, attempt) in self._changed.items()
        ]
        for message in (*self._echoes, *changed):
            self.put(topics.SENSITIVITY, message.key, message.value, message.headers)
        self._echoes.clear()
        self._changed.clear()

    def _bury(self, record: Record, reason: str) -> None:
        letter = bury(record, Failure("paper", "resonance", reason, "", _AT))
        self.put(letter.topic, letter.key, letter.value, letter.headers)
