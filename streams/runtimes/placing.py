"""Whether producers agree where a key goes: scenes and feedback of one user have to meet in one partition number."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from aiokafka.partitioner import murmur2

from streams.kafka.records import Received

_log = structlog.get_logger(__name__)
_SAID_EVERY_SECONDS = 60.0


def usual_partition(key: bytes, partitions: int) -> int:
    """Return where Java's clients, aiokafka and librdkafka's `murmur2_random` put a key."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


class Placing:
    """Looks at feedback whose scene is not known here, and says where its scene probably is, once a minute at most.

    Any partitioner will do as long as all producers have the same one, so nothing is refused for it.
    """

    def __init__(self, partitions: int, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._partitions = partitions
        self._now_seconds = now_seconds
        self._said_at_seconds: float | None = None

    def doubt(self, record: Received) -> str:
        """Return what to add to the dead letter of feedback whose scene is unknown; empty where nothing is odd."""
        usual = usual_partition(record.key or b"", self._partitions)
        if usual == record.partition:
            return ""
        now = self._now_seconds()
        if self._said_at_seconds is None or now - self._said_at_seconds >= _SAID_EVERY_SECONDS:
            self._said_at_seconds = now
            _log.warning(
                "partitioners_differ",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                usual_partition=usual,
                what="feedback on a scene that is unknown here; scenes and feedback need the same partitioner",
            )
        return (
            f"; came by partition {record.partition}, most clients put its key into {usual}: "
            "use the same partitioner for scenes and feedback"
        )
