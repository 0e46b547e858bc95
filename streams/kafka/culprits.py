"""Records that no model can stand, counted: so many in a row are no longer the records' fault."""

from __future__ import annotations

from collections import Counter
from typing import Any

import structlog

from streams.kafka.bisect import Batch
from streams.kafka.records import HandlerError

_log = structlog.get_logger(__name__)
_IN_A_ROW = 16


class CulpritsInARow:
    """Counts the culprits of one partition number, by topic: that one stage does well says nothing of another."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._in_a_row: Counter[str] = Counter()

    def count(self, batch: Batch[Any]) -> None:
        """Log the culprits of a batch; raises HandlerError where there were too many with nothing good between."""
        for culprit in batch.culprits:
            # What it says may quote the record, and users' words are not for logs.
            record, error = culprit.record, type(culprit.error).__name__
            _log.error("poison", topic=record.topic, partition=self._number, offset=record.offset, error=error)
        topic = batch.handler.topic
        in_a_row = 0 if batch.records else self._in_a_row[topic] + len(batch.culprits)
        self._in_a_row[topic] = in_a_row
        if in_a_row >= _IN_A_ROW:
            last = batch.culprits[-1]
            raise HandlerError(
                f"{topic}: the last {in_a_row} records could not be prepared and none in between could, which is not "
                f"the records' fault: {type(last.error).__name__}; look at the models, or, if it is the records' after "
                "all, pass them by with `scenestream offsets reset`"
            ) from last.error
