"""What the committed log owes: its inputs judged again, in the order in which the workers took them.

A run under faults has no twin to be compared with, record by record: Kafka gives `scenes` and `feedback` of a partition
no common order, and healed scenes come back among fresh ones as they may. What is not free is everything else. Each
partition of `scenes` and of `feedback` has an order, and `sensitivity` has one row for each feedback and one for the
last scene of a key in a batch, each with the id of what it follows from: so the log itself says in which order a
key's scenes and feedback were taken. Along that order all is judged again on paper, from nothing but the inputs, and
every row, outcome and hop of the log must be what is found there. An uninterrupted run that happens to take its inputs
in this order writes these very records: to equal them is to equal that run. No input is left over at the end, so none
was passed by. (Patient users need none of this: they have one order, and are compared with an uninterrupted run.)

One thing a row does not say: where scenes and feedback of a key go into one transaction, the scenes first, the row of
the feedback stands for both. Then it is tried how many scenes went before: so many that the row is exactly what comes
of them and the feedback, each with exactly the outcome that lies in the log.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from schemas import topics
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka.wire import decode_feedback, decode_row, decode_scene, header, row_id
from streams.stages import threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from tests.chaos import paper
from tests.chaos.records import Ident, Log, Said, said_in

NEVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Owed:
    """What there must be: every record by what it is about, the dead letters by source, and where rows went wrong."""

    records: Mapping[Ident, Sequence[Said]]
    dead: Counter[tuple[str, int, int, str]]
    rows: Mapping[str, Sensitivity]
    wrong_rows: Mapping[str, str]


def retrace(log: Log, found: Mapping[Ident, Sequence[Said]], policy: Policy, culprits: Mapping[str, str]) -> Owed:
    """Return what the inputs of a log come to; `culprits` are the drafts that no model survives, each with a reason."""
    keys: dict[str, _Key] = defaultdict(lambda: _Key(policy, found))
    dead: Counter[tuple[str, int, int, str]] = Counter()
    _hand_out(log, keys, dead, culprits)
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


def _hand_out(
    log: Log, keys: Mapping[str, _Key], dead: Counter[tuple[str, int, int, str]], culprits: Mapping[str, str]
) -> None:
    """Give each key its inputs, and count what can be none as dead."""
    for record in log[topics.SCENES]:
        scene = decode_scene(record.key, record.value, paper.TERMS)
        if isinstance(scene, Refusal):
            dead[_letter(topics.SCENES, record, scene.reason.value)] += 1
        elif scene.draft in culprits:
            dead[_letter(topics.SCENES, record, culprits[scene.draft])] += 1
        else:
            keys[scene.key].scenes.append((record, scene))
    for record in log[topics.FEEDBACK]:
        said = decode_feedback(record.key, record.value, paper.TERMS)
        if isinstance(said, Refusal):
            dead[_letter(topics.FEEDBACK, record, said.reason.value)] += 1
        else:
            keys[said.key].feedback.append((record, said))
    for record in log[topics.SENSITIVITY]:
        if header(record.headers, "outcome") is None:
            keys[record.key.decode()].named.add(header(record.headers, "ce_id"))


@dataclass
class _Key:
    """One key: the inputs that are not taken yet, what its rows are named by, its row, and what it owes."""

    policy: Policy
    found: Mapping[Ident, Sequence[Said]]
    scenes: deque[tuple[Any, Scene]] = field(default_factory=deque)
    feedback: deque[tuple[Any, Feedback]] = field(default_factory=deque)
    named: set[str | None] = field(default_factory=set)
    row: Sensitivity | None = None
    owed: list[tuple[Ident, Said]] = field(default_factory=list)
    dead: Counter[tuple[str, int, int, str]] = field(default_factory=Counter)
    wrong: str | None = None

    def follow(self, record: Any) -> None:  # noqa: ANN401 - aiokafka's own record
        """Take the inputs that a row says it follows from; what the row says must be what they come to."""
        said = header(record.headers, "outcome")
        if said is None:
            self._follow_scene(record)
        elif not self.feedback or header(record.headers, "ce_id") != row_id(
            self.feedback[0][1].scene_id, "threshold", 0
        ):
            self._fail(f"{_where(record)} does not follow from the next feedback")
            return
        else:
            self._take_scenes_before(decode_row(record.key, record.value))
            outcome = self._take_feedback()
            if outcome != said:
                self._fail(f"{_where(record)} says {said}, it is {outcome}")
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

    def _follow_scene(self, record: Any) -> None:  # noqa: ANN401
        found = header(record.headers, "ce_id")
        ahead = [_id(scene) for _, scene in self.scenes]
        if found not in ahead:
            self._fail(f"{_where(record)} follows from no scene that was still to be taken")
            return
        for _ in range(ahead.index(found) + 1):
            self._take_scene()

    def _take_scenes_before(self, wanted: Sensitivity | Refusal) -> None:
        """Take as many scenes as went before the next feedback, for the row after it to be `wanted`."""
        said, row, fit = self.feedback[0][1], self.row, 0
        for count in range(len(self.scenes) + 1):
            if threshold.tune(row or Sensitivity(key=said.key), said, self.policy.gate).row == wanted:
                fit = count
            if count == len(self.scenes) or _id(self.scenes[count][1]) in self.named:
                break
            record, scene = self.scenes[count]
            judged = paper.judge(scene, row or Sensitivity(key=said.key), self.policy)
            if isinstance(judged, Refusal):
                continue
            if any(one not in self.found.get(ident, ()) for ident, one in self._owed_for(judged, record.partition)[:1]):
                break
            row = judged.row
        for _ in range(fit):
            self._take_scene()

    def _take_scene(self) -> None:
        record, scene = self.scenes.popleft()
        judged = paper.judge(scene, self.row or Sensitivity(key=scene.key), self.policy)
        if isinstance(judged, Refusal):
            self.dead[_letter(topics.SCENES, record, judged.reason.value)] += 1
            return
        self.row = judged.row
        self.owed += self._owed_for(judged, record.partition)

    def _owed_for(self, judged: paper.Judged, number: int) -> list[tuple[Ident, Said]]:
        """Return the outcome of a scene; or the hop to be healed, and what is then healed; all in its partition."""
        decision, onward = judged.decision, judged.onward
        to, message = paper.sent(judged, NEVER)
        if onward is None:
            return [(("outcome", decision.scene_id, 0), said_in(to, number, message))]
        healed, back = paper.sent_back(decision.verdict, onward, self.policy, NEVER)
        return [
            (("hop", onward.scene_id, onward.attempt), said_in(to, number, message)),
            (("healed", healed.scene_id, healed.attempt), said_in(topics.SCENES, number, back)),
        ]

    def _take_feedback(self) -> str:
        record, said = self.feedback.popleft()
        tuned = threshold.tune(self.row or Sensitivity(key=said.key), said, self.policy.gate)
        self.row = tuned.row
        if tuned.outcome == "unknown":
            self.dead[_letter(topics.FEEDBACK, record, "unknown_scene")] += 1
        return tuned.outcome

    def _fail(self, why: str) -> None:
        self.wrong = self.wrong or why


def _id(scene: Scene) -> str:
    return row_id(scene.scene_id, "resonance", scene.attempt)


def _letter(topic: str, record: Any, reason: str) -> tuple[str, int, int, str]:  # noqa: ANN401
    return topic, record.partition, record.offset, reason


def _where(record: Any) -> str:  # noqa: ANN401
    return f"the row of {record.key.decode()} at {record.partition}:{record.offset}"
