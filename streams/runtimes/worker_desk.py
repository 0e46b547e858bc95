"""The desk: what every agent works with, and how scenes come in and outcomes go out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from schemas.dead import DeadReason
from schemas.decision import Decision
from schemas.scene import Scene
from streams.kafka import wire
from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.records import Headers, Outgoing, Received
from streams.runtimes.placing import Placing
from streams.runtimes.worker_models import ModelThread
from streams.runtimes.worker_rows import TableRows
from streams.scoring.port import Encoded, Scorer
from streams.scoring.situations import texts_of
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from streams.topology import Stage, goes_to

Bury = Callable[[Received, Stage, Refusal | Exception], Outgoing]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Desk:
    """What every agent works with."""

    scorer: Scorer
    encoder: ModelThread
    models: ModelThread
    policy: Policy
    rows: TableRows
    # A topic's name in this cluster, the stamp of the models, and how dead letters are written.
    name: Callable[[str], str]
    stamp: str
    bury: Bury
    # A larger scene would not be taken by the topics it goes on to.
    largest_bytes: int
    # Doubts whether feedback is where its scene is.
    placing: Placing
    meter: Meter = UNMETERED

    async def read_scenes(self, records: Sequence[Received]) -> list[Encoded | Refusal]:
        """Return the scene of each record with the vectors of its texts, or why there is none."""
        terms = self.scorer.terms()
        decoded = [self._too_large(record) or wire.decode_scene(record.key, record.value, terms) for record in records]
        scenes = [one for one in decoded if isinstance(one, Scene)]
        if any(True for scene in scenes for _ in texts_of(scene)):
            encoded = await self.encoder.ask(self.scorer.encode, scenes)
        else:
            # Nothing to encode: not worth the way to another thread and back.
            encoded = self.scorer.encode(scenes)
        return put_back(decoded, encoded)

    def _too_large(self, record: Received) -> Refusal | None:
        size = len(record.value or b"")
        if size <= self.largest_bytes:
            return None
        return Refusal(DeadReason.TOO_LONG, f"the message is {size} bytes, and {self.largest_bytes} can be passed on")

    def send(
        self,
        record: Received,
        event: Scene | Decision,
        stage: Stage,
        outcome: str,
        verdict: Decision | None = None,
        headers: Headers = (),
    ) -> Outgoing:
        """Return what goes on to where the map says; what comes back stays in its partition, where its row is."""
        message = wire.encode(
            event,
            at=datetime.now(UTC),
            stage=stage,
            models=self.stamp,
            passed=wire.passed(record.headers),
            decision=verdict,
        )
        return Outgoing(
            self.name(goes_to(stage, outcome)),
            message.key,
            message.value,
            (*message.headers, *headers),
            record.partition,
        )


def put_back(asked: Sequence[object], answers: Sequence[Answer]) -> list[Answer | Refusal]:
    """Return the answers in the place of what was asked; refusals stay where they are."""
    waiting = iter(answers)
    return [one if isinstance(one, Refusal) else next(waiting) for one in asked]
