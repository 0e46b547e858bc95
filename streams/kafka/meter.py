"""What a worker tells of itself as it works, for whoever counts it."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.decision import Decision
from streams.kafka.records import Outgoing, Received


class Meter:
    """Takes no notes; one that does is called in the thread of the event loop and must not wait.

    What is told before a batch is committed is told again where the batch is begun again.
    """

    def committed(self, records: Sequence[Received], sent: Sequence[Outgoing], seconds: float) -> None:
        """Take a batch of one topic: what was read, what came of it with its rows, and how long the commit took."""

    def asked(self, thread: str, what: str, items: int, waited_seconds: Sequence[float], seconds: float) -> None:
        """Take a model's answer: for how many items, how long each call waited for it, and how long it took."""

    def decided(self, decision: Decision) -> None:
        """Take a verdict."""

    def tuned(self, outcome: str) -> None:
        """Take what feedback came to."""

    def buried(self, topic: str, stage: str, reason: str) -> None:
        """Take a dead letter from `topic`."""

    def restoring(self, left: int) -> None:
        """Take how many offsets of the changelog are still to be read."""

    def restored(self, records: int, seconds: float) -> None:
        """Take a beginning: partitions were assigned or begun again, and their rows are back."""

    def started_over(self) -> None:
        """Take that Kafka was away in the middle of a batch and all partitions begin again."""


UNMETERED = Meter()
