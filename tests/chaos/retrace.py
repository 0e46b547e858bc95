"""What the committed log owes: its inputs judged again, in the order in which the workers took them.

A run under faults has no twin to be compared with, record by record: Kafka gives `scenes` and `feedback` of a partition
no common order, and healed scenes come back among fresh ones as they may. What is not free is everything else. Each
partition of `scenes` and of `feedback` has an order, and `sensitivity` has one row for each feedback and one for the
last scene of a key in a batch, each with the id of what it follows from: so the log itself says in which order a
key's scenes and feedback were taken. Along that order all is judged again on paper, from nothing but the inputs, and
every row, outcome and hop of the log must be what is found there. An uninterrupted run that happens to take its inputs
in this order writes these very records: to equal them is to equal that run. No input is left over at the end, so none
was passed by. (Patient users need none of this: they have one order, and are compared with an uninterrupted run.)
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fake_scorer import FakeScorer

from schemas import topics
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.wire import decode_feedback, decode_row, decode_scene, encode, header, row_id
from streams.stages import threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from streams.topology import goes_to
from tests.chaos import paper

Log = Mapping[str, Sequence[Any]]
# What a record is about: its kind, the scene, the attempt. And where it lies with what it says.
Ident = tuple[str, str, int]
Said = tuple[str, bytes]
_TERMS = FakeScorer().terms()
NEVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Owed:
    """What there must be: every record by what it is about, the dead letters by source, and where rows went wrong."""

    records: Mapping[Ident, Sequence[Said]]
    dead: Counter[tuple[str, int, int, str]]
    rows: Mapping[str, Sensitivity]
    wrong_rows: Mapping[str, str]


def retrace(log: Log, policy: Policy, culprits: Mapping[str, str]) -> Owed:
    """Return what the inputs of a log come to; `culprits` are the drafts that no model survives, each with a reason."""
    keys: dict[str, _Key] = defaultdict(lambda: _Key(policy))
    dead: Counter[tuple[str, int, int, str]] = Counter()
    for record in log[topics.SCENES]:
        scene = decode_scene(record.key, record.value, _TERMS)
        if isinstance(scene, Refusal):
            dead[_letter(topics.SCENES, record, scene.reason.value)] += 1
        elif scene.draft in culprits:
            dead[_letter(topics.SCENES, record, culprits[scene.draft])] += 1
        else:
            keys[scene.key].scenes.append((record, scene))
    for record in log[topics.FEEDBACK]:
        said = decode_feedback(record.key, record.value, _TERMS)
        if isinstance(said, Refusal):
            dead[_letter(topics.FEEDBACK, record, said.reason.value)] += 1
        else:
            keys[said.key].feedback.append((record, said))
    for record in log[topics.SENSITIVITY]:
        keys[record.key.decode()].follow(record)
    records: dict[Ident, list[Said]] = defaultdict(list)
    for key in keys.values():
        key.finish()
        dead += key.dead
        for ident, owed in key.owed:
            records[ident].append(owed)
    rows = {name: key.row for name, key in keys.items() if key.row is not None}
    return Owed(records, dead, rows, {name: key.wrong for name, key in keys.items() if key.wrong is not None})


@dataclass
class _Key:
    """One key: the inputs that are not taken yet, its row so far, and what it owes."""

    policy: Policy
    scenes: deque[tuple[Any, Scene]] = field(default_factory=deque)
    feedback: deque[tuple[Any, Feedback]] = field(default_factory=deque)
    row: Sensitivity | None = None
    owed: list[tuple[Ident, Said]] = field(default_factory=list)
    dead: Counter[tuple[str, int, int, str]] = field(default_factory=Counter)
    wrong: str | None = None

    def follow(self, record: Any) -> None:  # noqa: ANN401 - aiokafka's own record
        """Take the inputs that a row says it follows from; what the row says must be what they come to."""
        found = header(record.headers, "ce_id")
        if header(record.headers, "outcome") is None:
            ahead = (row_id(scene.scene_id, "resonance", scene.attempt) for _, scene in self.scenes)
            place = next((place for place, ahead_id in enumerate(ahead) if ahead_id == found), None)
            if place is None:
                self._fail(f"{_where(record)} follows from no scene that was still to be taken")
                return
            for _ in range(place + 1):
                self._take_scene()
        elif not self.feedback or found != row_id(self.feedback[0][1].scene_id, "threshold", 0):
            self._fail(f"{_where(record)} does not follow from the next feedback")
            return
        else:
            outcome = self._take_feedback()
            if outcome != header(record.headers, "outcome"):
                self._fail(f"{_where(record)} says {header(record.headers, 'outcome')}, it is {outcome}")
        if decode_row(record.key, record.value) != self.row:
            self._fail(f"{_where(record)} is not the row that its inputs come to")

    def finish(self) -> None:
        """Take what no row followed from: all of it must be refused, for the rest changes rows."""
        before = self.row
        while self.scenes:
            self._take_scene()
        if self.feedback or self.row != before:
            self._fail("its last inputs are in no row")
        while self.feedback:
            self._take_feedback()

    def _take_scene(self) -> None:
        record, scene = self.scenes.popleft()
        judged = paper.judge(scene, self.row or Sensitivity(key=scene.key), self.policy)
        if isinstance(judged, Refusal):
            self.dead[_letter(topics.SCENES, record, judged.reason.value)] += 1
            return
        self.row = judged.row
        verdict = judged.decision.verdict
        to = goes_to("resonance", verdict.value)
        if judged.onward is None:
            self._owe(("outcome", scene.scene_id, 0), to, encode(judged.decision, at=NEVER).value)
            return
        self._owe(("hop", scene.scene_id, scene.attempt), to, encode(judged.onward, at=NEVER).value)
        healed = paper.heal(verdict, judged.onward, self.policy)
        self._owe(("healed", scene.scene_id, healed.attempt), topics.SCENES, encode(healed, at=NEVER).value)

    def _take_feedback(self) -> str:
        record, said = self.feedback.popleft()
        tuned = threshold.tune(self.row or Sensitivity(key=said.key), said, self.policy.gate)
        self.row = tuned.row
        if tuned.outcome == "unknown":
            self.dead[_letter(topics.FEEDBACK, record, "unknown_scene")] += 1
        return tuned.outcome

    def _owe(self, ident: Ident, topic: str, value: bytes) -> None:
        self.owed.append((ident, (topic, value)))

    def _fail(self, why: str) -> None:
        self.wrong = self.wrong or why


def _letter(topic: str, record: Any, reason: str) -> tuple[str, int, int, str]:  # noqa: ANN401
    return topic, record.partition, record.offset, reason


def _where(record: Any) -> str:  # noqa: ANN401
    return f"the row of {record.key.decode()} at {record.partition}:{record.offset}"
