"""What a worker notes before it ends: the batches that it failed on, and that nothing else ended it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError

from streams.kafka.suspects import BatchError, Suspects
from streams.kafka.transactions import Sending, send_once

_log = structlog.get_logger(__name__)
_NOTED_WITHIN_SECONDS = 10.0


class LastWords:
    """Notes suspects, until Kafka has them, and ends the process; without a note they are tried as before."""

    def __init__(self, sending: Sending, suspects: Suspects, fail: Callable[[BaseException], None]) -> None:
        self._sending = sending
        self._suspects = suspects
        self._fail = fail
        self._to_note: list[BatchError] = []
        self._noting: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether the process ends; what else fails meanwhile changes nothing."""
        return self._noting is not None

    def say(self, error: BatchError) -> None:
        """Note this batch too; several partitions may have asked the models that hang."""
        self._to_note.append(error)
        self._noting = self._noting or asyncio.create_task(self._note_and_fail(), name="note-suspects")

    def end(self, error: BaseException) -> None:
        """End the process for what is no record's fault; what was noted ahead is taken back, for nobody died of it."""
        if self.begun:
            return
        if self._suspects.trials.stand:
            self._noting = asyncio.create_task(self._take_back_and_fail(error), name="take-notes-back")
        else:
            self._fail(error)

    async def _take_back_and_fail(self, reason: BaseException) -> None:
        try:
            await self._suspects.trials.withdraw()
        except (KafkaError, OSError) as error:
            _log.warning("notes_stand", error=repr(error))
        finally:
            self._fail(reason)

    async def _note_and_fail(self) -> None:
        noted = 0
        try:
            async with asyncio.timeout(_NOTED_WITHIN_SECONDS):
                while noted < len(self._to_note):
                    error = self._to_note[noted]
                    notes = self._suspects.note(error)
                    # This end is told, so nobody need fear what was noted ahead.
                    await send_once(self._sending, [*self._suspects.trials.withdrawn(), *notes])
                    noted += 1
                    first, last = error.records[0], error.records[-1]
                    _log.error(
                        "suspects_noted",
                        stage=error.stage,
                        topic=first.topic,
                        partition=first.partition,
                        first_offset=first.offset,
                        last_offset=last.offset,
                        count=len(notes),
                        error=type(error.cause).__name__,
                    )
        except (KafkaError, OSError) as error:
            _log.error("suspects_not_noted", error=repr(error), batches=len(self._to_note) - noted)
        finally:
            self._fail(self._to_note[0].cause)
