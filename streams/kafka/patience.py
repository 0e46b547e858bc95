"""Waiting for Kafka: try again with growing pauses, and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiokafka.errors import KafkaConnectionError, KafkaError

_log = structlog.get_logger(__name__)
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0


def is_passing(error: Exception) -> bool:
    """Return whether an error may be gone when the same is tried again."""
    if isinstance(error, KafkaError):
        return isinstance(error, KafkaConnectionError) or bool(error.retriable)
    return isinstance(error, OSError)


async def until_reached(what: str, attempt: Callable[[], Awaitable[None]], stopped: Callable[[], bool]) -> bool:
    """Try until Kafka answers; return False when told to stop first. What cannot pass is raised."""
    pause_seconds = _FIRST_PAUSE_SECONDS
    while not stopped():
        try:
            await attempt()
        except (KafkaError, OSError) as error:
            if not is_passing(error):
                raise
            _log.warning("kafka_away", what=what, error=str(error), next_try_in_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
        else:
            return True
    return False
