"""Lockstep: a key's events one after the other, each final, with its healing, before the next is decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from schemas.dead import DeadLetter
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.names import Origin, Verdict
from schemas.scene import Scene
from streams.replay.items import Item
from streams.runtimes.rows import RowStore
from streams.runtimes.timings import Timings
from streams.scoring.port import Encoded, Wish
from streams.stages import admit, bridge, regeneration, resonance, rows, threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from streams.stages.reading import Candidate, Reading, Rendering
from streams.stages.threshold import Outcome as FeedbackOutcome
from streams.stages.wanting import want
from streams.topology import Stage, goes_to, reader_of


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of the log: decisions of a scene, what feedback came to, or a dead letter."""

    item: Item
    decisions: tuple[Decision, ...] = ()
    feedback: FeedbackOutcome | None = None
    dead: DeadLetter | None = None


@dataclass(slots=True, eq=False)
class Entry:
    """An item on its way through, from the log to its outcome."""

    item: Item
    encoded: Encoded | None = None
    reading: Reading | None = None
    decisions: list[Decision] = field(default_factory=list)
    outcome: Outcome | None = None

    def scene(self) -> Encoded:
        """Return the scene with its vectors; a scene that the encoder has not seen is a bug."""
        if self.encoded is None:
            raise LookupError("a scene reached a stage before the encoder")
        return self.encoded


class Lockstep:
    """Keeps the rows and the order within each key; `send` hands an entry to the stage that the map names next."""

    def __init__(self, policy: Policy, timings: Timings, send: Callable[[Stage, Entry], None]) -> None:
        self.rows = RowStore()
        self._policy = policy
        self._timings = timings
        self._send = send
        self._keys: dict[str, deque[Entry]] = {}

    def arrive(self, entry: Entry) -> None:
        """Take the next item of the log; what cannot be read is settled at once."""
        event = entry.item.event
        if isinstance(event, Refusal):
            entry.outcome = Outcome(entry.item, dead=entry.item.where.dead(event))
            return
        line = self._keys.setdefault(event.key, deque())
        line.append(entry)
        if len(line) == 1:
            self._advance(event.key)

    def read(self, entry: Entry, reading: Reading) -> None:
        """Take what the models read in a scene, and decide as far as its key's order allows."""
        entry.reading = reading
        key = entry.scene().scene.key
        if self._keys[key][0] is entry:
            self._advance(key)

    def rendered(self, entry: Entry, rendering: Rendering) -> None:
        """Take a regenerated scene back to be judged."""
        scene = regeneration.regenerate(entry.scene().scene, rendering)
        self._go_on(entry, scene, goes_to("regeneration", "healed"))

    def bridged(self, entry: Entry, candidates: tuple[Candidate, ...]) -> None:
        """Take a bridged scene back to be judged."""
        scene = bridge.bridge(entry.scene().scene, candidates, self._policy.routes)
        self._go_on(entry, scene, goes_to("bridge", "healed"))

    def wish(self, entry: Entry, stage: Stage) -> Wish:
        """Return what the key's row wishes of the models for a scene to be healed."""
        encoded = entry.scene()
        scene = encoded.scene
        verdict = Verdict.REGENERATE if stage == "regeneration" else Verdict.ANALOGUE
        wanted = want(scene, self.rows.get(scene.key), verdict, self._policy.gate.codes)
        return Wish(encoded, wanted.register, wanted.codes)

    def _advance(self, key: str) -> None:
        line = self._keys[key]
        while line:
            entry = line[0]
            event = entry.item.event
            if isinstance(event, Feedback):
                self._tune(entry, event)
            elif entry.reading is None or not self._judge(entry, entry.reading):
                return
            line.popleft()
        del self._keys[key]

    def _tune(self, entry: Entry, feedback: Feedback) -> None:
        with self._timings.measure("threshold"):
            tuned = threshold.tune(self.rows.get(feedback.key), feedback, self._policy.gate)
            self.rows.put(tuned.row)
        dead = entry.item.where.dead(admit.unknown_scene(feedback)) if tuned.outcome == "unknown" else None
        entry.outcome = Outcome(entry.item, feedback=tuned.outcome, dead=dead)

    def _judge(self, entry: Entry, reading: Reading) -> bool:
        """Judge the scene of `entry`; return whether that was final."""
        scene = entry.scene().scene
        entry.reading = None
        with self._timings.measure("resonance"):
            row = self.rows.get(scene.key)
            if scene.origin is Origin.FRESH:
                refusal = admit.place(scene, rows.dialogue_of(row, scene.dialogue_id))
                if refusal is not None:
                    entry.outcome = Outcome(entry.item, dead=entry.item.where.dead(refusal))
                    return True
                row = resonance.offer(row, scene, self._policy)
            judged = resonance.judge(scene, reading, row, self._policy)
            self.rows.put(judged.row)
        entry.decisions.append(judged.decision)
        if judged.onward is None:
            entry.outcome = Outcome(entry.item, decisions=tuple(entry.decisions))
            return True
        self._go_on(entry, judged.onward, goes_to("resonance", judged.decision.verdict.value))
        return False

    def _go_on(self, entry: Entry, scene: Scene, topic: str) -> None:
        stage = reader_of(topic)
        if stage is None:
            raise LookupError(
                f"a scene that is not final went to {topic}, which no stage reads; see streams/topology.py"
            )
        entry.encoded = replace(entry.scene(), scene=scene)
        self._send(stage, entry)
