"""Echoes: what comes back from a pipeline elsewhere, put to the item of the log that it answers.

A key has one open item at a time. A scene is answered by its decisions, of which the last is final and those before
travel with the scenes that go on to be healed; feedback by its row; either by a dead letter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.dead import DeadReason
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.kafka import wire
from streams.kafka.dead_letters import Letter
from streams.replay.items import Item
from streams.runtimes.lockstep import Outcome
from streams.runtimes.rows import RowStore
from streams.runtimes.timings import Timings
from streams.stages import admit
from streams.stages.admit import Refusal
from streams.stages.threshold import Outcome as FeedbackOutcome

_CAME_TO: dict[str, FeedbackOutcome] = {
    "learnt": "learnt",
    "told": "told",
    "repeated": "repeated",
    "inapplicable": "inapplicable",
    "unknown": "unknown",
}
_REASONS = {reason.value: reason for reason in DeadReason}


@dataclass(slots=True, eq=False)
class Entry:
    """An item on its way through a pipeline elsewhere."""

    item: Item
    sent_at_seconds: float = 0.0
    decisions: dict[int, Decision] = field(default_factory=dict)
    outcome: Outcome | None = None


class Echoes:
    """Keeps the order within each key; `send` is called with an entry when its turn has come, `clock` gives seconds."""

    def __init__(self, timings: Timings, send: Callable[[Entry], None], clock: Callable[[], float]) -> None:
        self.rows = RowStore()
        self.settled = 0
        self._timings = timings
        self._send = send
        self._clock = clock
        self._keys: dict[str, deque[Entry]] = {}
        self._known: set[str] = set()

    def arrive(self, entry: Entry) -> None:
        """Take the next item of the log; what cannot be read is settled at once and never sent."""
        event = entry.item.event
        if isinstance(event, Refusal):
            entry.outcome = Outcome(entry.item, dead=entry.item.where.dead(event))
            return
        self._known.add(event.key)
        line = self._keys.setdefault(event.key, deque())
        line.append(entry)
        if len(line) == 1:
            self._go(entry)

    def oldest(self) -> Entry | None:
        """Return the entry that waits for its answer the longest; None where none does."""
        return min((line[0] for line in self._keys.values()), key=lambda entry: entry.sent_at_seconds, default=None)

    def decided(self, decision: Decision) -> bool:
        """Take a decision, final or not, and return whether it is of a scene of the log that is open.

        A final one may overtake those before it, for they come by other topics.
        """
        entry = self._open(decision.key)
        if entry is None or not isinstance(entry.item.event, Scene) or entry.item.event.scene_id != decision.scene_id:
            return False
        entry.decisions[decision.attempt] = decision
        attempts = sorted(entry.decisions)
        last = entry.decisions[attempts[-1]]
        if last.final and attempts == list(range(last.attempt + 1)):
            self._settle(entry, Outcome(entry.item, decisions=tuple(entry.decisions[one] for one in attempts)))
        return True

    def tuned(self, row: Sensitivity, headers: wire.Received) -> None:
        """Take a row, which may be the echo of feedback."""
        if row.key not in self._known:
            return
        self.rows.put(row)
        entry = self._open(row.key)
        event = None if entry is None else entry.item.event
        if entry is None or not isinstance(event, Feedback):
            return
        if wire.header(headers, "ce_id") != wire.row_id(event.scene_id, "threshold", 0):
            return
        came_to = _CAME_TO.get(wire.header(headers, wire.OUTCOME) or "", "learnt")
        dead = entry.item.where.dead(admit.unknown_scene(event)) if came_to == "unknown" else None
        self._settle(entry, Outcome(entry.item, feedback=came_to, dead=dead))

    def died(self, letter: Letter) -> None:
        """Take a dead letter."""
        entry = None if letter.key is None else self._open(letter.key.decode("utf-8", "replace"))
        if entry is None or isinstance(entry.item.event, Refusal):
            return
        event = entry.item.event
        # Feedback on an unknown scene is echoed as well, and only the echo may answer it: a late letter would answer
        # the same feedback given again.
        if isinstance(event, Feedback) and (
            letter.failure.exception == DeadReason.UNKNOWN_SCENE or not _is(letter, event)
        ):
            return
        if isinstance(event, Scene) and wire.header(letter.headers, "ce_subject") != event.scene_id:
            return
        where = entry.item.where.dead(Refusal(_REASONS.get(letter.failure.exception, DeadReason.POISON), ""))
        dead = where.model_copy(update={"detail": letter.failure.message})
        self._settle(entry, Outcome(entry.item, dead=dead))

    def refused(self, entry: Entry, refusal: Refusal) -> None:
        """Settle the open item of a key that could not even be sent."""
        self._settle(entry, Outcome(entry.item, dead=entry.item.where.dead(refusal)))

    def _open(self, key: str) -> Entry | None:
        line = self._keys.get(key)
        return line[0] if line else None

    def _go(self, entry: Entry) -> None:
        entry.sent_at_seconds = self._clock()
        self._send(entry)

    def _settle(self, entry: Entry, outcome: Outcome) -> None:
        entry.outcome = outcome
        self.settled += 1
        event = entry.item.event
        name = "scene" if isinstance(event, Scene) else "feedback"
        self._timings.add(f"there and back: {name}", (self._clock() - entry.sent_at_seconds) * 1000)
        assert not isinstance(event, Refusal)  # noqa: S101 - those are never open
        line = self._keys[event.key]
        line.popleft()
        if line:
            self._go(line[0])
        else:
            del self._keys[event.key]


def _is(letter: Letter, feedback: Feedback) -> bool:
    return wire.header(letter.headers, "ce_id") == wire.event_id(feedback, wire.SOURCE)
