"""What cannot be read of the topics that are followed, and why: access rules, and leaders that are away."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaError, KafkaException

from streams.kafka.records import Place
from streams.ops.reading.leaders import told_of
from streams.ops.reading.librdkafka import unread

_log = structlog.get_logger(__name__)


class Obstacles:
    """What a reader is told of it; whoever reads records is told nothing of those that do not come."""

    def __init__(self) -> None:
        # By topic: what is not even described to us.
        self._denied: Mapping[str, str] = {}
        self._away: Mapping[Place, KafkaException] = {}
        # What came in place of records.
        self._refused: dict[Place, str] = {}

    def found(self, denied: Mapping[str, str], away: Mapping[Place, KafkaException]) -> None:
        """Take note of all topics that are denied, and of all partitions whose leader does not answer."""
        before, self._denied, self._away = self._away, denied, away
        if away.keys() - before.keys():
            _log.warning("partitions_not_read", what=told_of(away))
        elif away.keys() != before.keys():
            _log.info("partitions_read_again", still_not=told_of(away))

    def heard(self, place: Place, fault: KafkaError | None) -> None:
        """Take note of what came of a partition: a fault, or records."""
        if fault is None:
            self._refused.pop(place, None)
        else:
            self._refused[place] = unread(place, fault)

    def hide(self, place: Place) -> bool:
        """Return whether a partition cannot be read."""
        return place in self._refused or place in self._away

    def told(self) -> tuple[str, ...]:
        """Return what is told of all, each once."""
        return tuple(sorted({*self._denied.values(), *told_of(self._away), *self._refused.values()}))

    def forget(self) -> None:
        """Forget what partitions were refused for: all is read anew."""
        self._refused.clear()
