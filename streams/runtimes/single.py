"""One scene through all stages, in this thread, with a row of its own: what a person asks who types a scene in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from schemas.decision import Decision
from schemas.scene import Scene
from streams.replay.items import Item, Where
from streams.runtimes.lockstep import Entry, Lockstep
from streams.runtimes.timings import Timings
from streams.scoring.port import Scorer, Wish
from streams.stages.policy import Policy
from streams.stages.reading import Candidate
from streams.topology import Stage


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a scene: its decisions, and what the bridge was asked and offered, where it was asked."""

    decisions: tuple[Decision, ...]
    wish: Wish | None = None
    candidates: tuple[Candidate, ...] = ()


def settle(scene: Scene, scorer: Scorer, policy: Policy) -> Settled:
    """Return what the stages decide of an admitted, fresh scene when nothing is known of its user."""
    waiting: deque[tuple[Stage, Entry]] = deque()
    lockstep = Lockstep(policy, Timings(), lambda stage, entry: waiting.append((stage, entry)))
    entry = Entry(Item(Where("typed in", 1, b""), scene))
    entry.encoded = scorer.encode([scene])[0]
    lockstep.arrive(entry)
    lockstep.read(entry, scorer.read([entry.encoded])[0])
    wish: Wish | None = None
    candidates: tuple[Candidate, ...] = ()
    while waiting:
        stage, entry = waiting.popleft()
        match stage:
            case "regeneration":
                lockstep.rendered(entry, scorer.render([lockstep.wish(entry, stage)])[0])
            case "bridge":
                wish = lockstep.wish(entry, stage)
                candidates = scorer.bridge([wish])[0]
                lockstep.bridged(entry, candidates)
            case _:
                lockstep.read(entry, scorer.read([entry.scene()])[0])
    return Settled(tuple(entry.decisions), wish, candidates)
