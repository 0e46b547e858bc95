"""The fold that makes a pulse: what was seen on the topics goes in, one after the other; a frozen value comes out.

No clock and no Kafka in here: time is an argument. Memory is bounded whatever comes: counts by name in a window of
buckets, the names few; joins, users and heavy keys in structures of fixed size.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas import topics
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.names import Origin, Verdict
from schemas.scene import Healing
from streams.kafka import wire
from streams.ops.pulse.ages import bin_of
from streams.ops.pulse.headroom import Budgets
from streams.ops.pulse.heavy import HeavyKeys
from streams.ops.pulse.pairs import Pairs, Side
from streams.ops.pulse.pulse import Source
from streams.ops.pulse.windows import FewNames, Name, Window
from streams.ops.reading.seen import HEALERS, LONGEST_ID, DeathSeen, MarkSeen, Record, RowSeen, Said, SceneSeen
from streams.stages.filter import RULES
from streams.stages.policy import Gate
from streams.topology import Stage, reader_of

UNITS = 10_000
OTHER_REASON = "other"
_SEGMENTS = 6
_HEAVY_COUNTERS = 32
# No event of ours has a longer one: those that share so much of their beginning are counted together.
_LONGEST_KEY = LONGEST_ID
_KNOWN_RULES = frozenset({*(rule.name for rule in RULES), "ledger.drafts", "ledger.healed"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long the window is, in how many buckets, and how much is kept of what has no end."""

    window_seconds: float = 900.0
    buckets: int = 180
    tasks: int = 24
    reasons: int = 24
    open_pairs: int = 50_000
    users: int = 20_000
    heavy_partitions: int = 1024

    @property
    def bucket_seconds(self) -> float:
        """The length of a bucket."""
        return self.window_seconds / self.buckets


class PulseFold:
    """Takes what was seen; `partitions` is how many `scenes` has, where it has any. See `pulse_view` for the value."""

    def __init__(
        self, gate: Gate, bounds: Bounds, now: float, *, source: Source = "live", partitions: int | None = None
    ) -> None:
        self.gate = gate
        self.bounds = bounds
        self.now = now
        self.source: Source = source
        self.partitions = partitions
        self.window = Window(bounds.bucket_seconds, bounds.buckets, now)
        self.budgets = Budgets(gate, bounds.users)
        self.heavy: dict[int, HeavyKeys] = {}
        self.timeless = 0
        self.unread = 0
        self._tasks = FewNames(bounds.tasks)
        self._reasons = FewNames(bounds.reasons)
        self._pairs: Pairs[tuple[float | None, int | None]] = Pairs(bounds.open_pairs)

    def advance(self, now: float) -> None:
        """Let time go on to `now`."""
        self.now = max(self.now, now)
        self.window.advance(now)
        for keys in self.heavy.values():
            keys.advance(now)
        if self._tasks.full or self._reasons.full:
            sums = self.window.sums()
            self._tasks.keep({str(name[1]) for name in sums if name[0] == "verdict" and name[1] is not None})
            self._reasons.keep({str(name[2]) for name in sums if name[0] == "dead"})

    def take(self, record: Record, said: Said | None) -> None:
        """Take a record with what it says; what is older than the window counts only where no time is asked."""
        self.timeless += record.at is None
        self.unread += said is None
        if isinstance(said, RowSeen):
            self.budgets.take(said.row, (record.partition, record.offset))
            if record.at is not None and record.at < self.window.start():
                # Rows from before the window are read on purpose.
                return
        if self.window.reaches(record.at):
            stage = reader_of(record.topic)
            self.window.add(("record",), record.at)
            if stage is not None:
                self.window.add(("came", stage), record.at)
            self._count(record, said, stage)

    def _count(self, record: Record, said: Said | None, stage: Stage | None) -> None:
        match said:
            case SceneSeen():
                self._scene(record, said, stage)
            case Decision():
                self._decision(said, record.at)
            case Feedback():
                self._feedback(said, record.at)
            case RowSeen():
                self._row(said, record.at)
            case DeathSeen():
                self._death(said, record.at)
            case MarkSeen() | None:
                pass

    def _scene(self, record: Record, said: SceneSeen, stage: Stage | None) -> None:
        at = record.at
        if stage is not None:
            self._meet((stage, said.scene_id, said.attempt), "came", at, stage)
        if record.topic == topics.SCENES:
            healer = HEALERS.get(said.origin)
            if healer is not None:
                self._done(healer, "healed", at)
                self._meet((healer, said.scene_id, said.attempt - 1), "went", at, healer)
            self._weigh(record)
        elif said.carried is not None:
            self._decision(said.carried, at)

    def _weigh(self, record: Record) -> None:
        self.window.add(("partition", record.partition), record.at)
        keys = self.heavy.get(record.partition)
        if keys is None and len(self.heavy) < self.bounds.heavy_partitions:
            seconds = self.bounds.window_seconds / _SEGMENTS
            keys = self.heavy[record.partition] = HeavyKeys(seconds, _SEGMENTS, _HEAVY_COUNTERS, self.now)
        if keys is not None and record.key is not None:
            keys.add(record.key[:_LONGEST_KEY].decode("utf-8", "replace"), record.at)

    def _decision(self, decision: Decision, at: float | None) -> None:
        verdict = decision.verdict
        self._done("resonance", verdict.value, at)
        self._meet(("resonance", decision.scene_id, decision.attempt), "went", at, "resonance")
        task = self._task(decision.task)
        self.window.add(("verdict", *task, verdict.value), at)
        self.window.add(("rule", decision.rule if decision.rule in _KNOWN_RULES else OTHER_REASON), at)
        healing = decision.healing
        if healing is None or decision.origin is Origin.FRESH:
            return
        if verdict is Verdict.READY:
            self.window.add(("healed", *task), at)
        self._healing(decision, healing, at)

    def _healing(self, decision: Decision, healing: Healing, at: float | None) -> None:
        route = healing.route
        self.window.add(("heal", route, "judged"), at)
        if decision.verdict is Verdict.READY:
            self.window.add(("heal", route, "ready"), at)
        before = [step for step in decision.lineage[:-1] if step.stage == "resonance"]
        for what, value in (
            ("before", before[-1].resonance if before else None),
            ("after", decision.resonance),
            ("fidelity", healing.fidelity),
            ("gain", healing.gain),
        ):
            if value is not None:
                # In whole units: sums of floats would depend on their order.
                self.window.add(("heal", route, what, "sum"), at, round(value * UNITS))
                self.window.add(("heal", route, what, "count"), at)
        if healing.strength is not None:
            self.window.add(("heal", route, healing.strength), at)
        if route == "regeneration":
            self.window.add(("register", healing.from_register, decision.register), at)

    def _feedback(self, feedback: Feedback, at: float | None) -> None:
        error = feedback.error
        self.window.add(("said", "told" if error is None else "rejected" if error else "accepted"), at)
        self._label(wire.row_id(feedback.scene_id, "threshold", 0), "came", at, error, None)

    def _row(self, said: RowSeen, at: float | None) -> None:
        if said.stage != "threshold":
            return
        self.window.add(("feedback", said.outcome if said.outcome in _OUTCOMES else OTHER_REASON), at)
        # An unknown scene is a dead letter as well, and counts as that.
        if said.outcome != "unknown":
            self._done("threshold", "tuned", at)
        self._label(said.ce_id, "went", at, None, said.outcome)

    def _label(self, row_id: str, side: Side, at: float | None, error: int | None, outcome: str | None) -> None:
        note = error if side == "came" else _LEARNT if outcome == "learnt" else None
        other = self._pairs.meet(("threshold", row_id), side, (at, note))
        if other is None:
            return
        came, went = ((at, note), other) if side == "came" else (other, (at, note))
        self._age("threshold", came[0], went[0])
        if went[1] == _LEARNT and came[1] is not None:
            self.window.add(("label", came[1]), went[0])

    def _death(self, said: DeathSeen, at: float | None) -> None:
        stage = said.stage if said.stage in _STAGES else "unknown"
        self.window.add(("failed", stage), at)
        self.window.add(("dead", stage, self._reasons.name(said.reason) or OTHER_REASON), at)

    def _done(self, stage: Stage, outcome: str, at: float | None) -> None:
        self.window.add(("done", stage), at)
        self.window.add(("hop", stage, outcome), at)

    def _meet(self, name: Name, side: Side, at: float | None, stage: Stage) -> None:
        other = self._pairs.meet(name, side, (at, None))
        if other is not None:
            came, went = (at, other[0]) if side == "came" else (other[0], at)
            self._age(stage, came, went)

    def _age(self, stage: Stage, came: float | None, went: float | None) -> None:
        if came is None or went is None:
            return
        if went < came:
            self.window.add(("skewed", stage), went)
        self.window.add(("age", stage, bin_of(max(0.0, went - came))), went)

    def _task(self, task: str | None) -> tuple[str | None, bool]:
        """Return the task as it is counted, and whether that is among the others."""
        if task is None:
            return None, False
        name = self._tasks.name(task)
        return name, name is None


_LEARNT = -1
_STAGES = frozenset({"resonance", "regeneration", "bridge", "threshold"})
_OUTCOMES = frozenset({"learnt", "told", "repeated", "inapplicable", "unknown"})
