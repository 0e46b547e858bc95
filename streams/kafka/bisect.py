"""Find the records that cost a batch, so that each costs only itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from schemas.suspect import Suspect
from streams.kafka.records import Handler, HandlerError, Prepared, Received
from streams.kafka.suspects import Asking, Hung, asking


@dataclass(frozen=True, slots=True)
class Culprit:
    """A record that cannot be prepared, and why."""

    record: Received
    error: Exception


@dataclass(frozen=True, slots=True)
class Batch(Generic[Prepared]):
    """Records of one partition that were prepared, in order, and those that could not be."""

    handler: Handler[Prepared]
    records: Sequence[Received]
    prepared: Sequence[Prepared]
    culprits: Sequence[Culprit]

    @property
    def all_records(self) -> list[Received]:
        """Every record that was taken from the partition for this batch."""
        return [*self.records, *(culprit.record for culprit in self.culprits)]


async def prepare(
    handler: Handler[Prepared], records: Sequence[Received], suspect: Suspect | None = None
) -> Batch[Prepared]:
    """Prepare records together; when that raises, in halves, down to the single record that is to blame.

    What hangs cannot be tried again here: raises BatchError with the records that were asked about. `suspect` is what
    was noted of a single record.
    """
    asked = Asking(handler.stage, records, suspect)
    token = asking.set(asked)
    try:
        prepared = await handler.prepare(records)
    except Hung as error:
        raise asked.failed(error) from error
    except HandlerError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a record does to its handler is the record's fault
        if len(records) == 1:
            return Batch(handler, (), (), (Culprit(records[0], error),))
    else:
        return Batch(handler, records, prepared, ())
    finally:
        asking.reset(token)
    half = len(records) // 2
    return joined([await prepare(handler, records[:half]), await prepare(handler, records[half:])])


def joined(batches: Sequence[Batch[Prepared]]) -> Batch[Prepared]:
    """Return batches of one handler, one after the other, as one."""
    if len(batches) == 1:
        return batches[0]
    return Batch(
        batches[0].handler,
        [record for batch in batches for record in batch.records],
        [one for batch in batches for one in batch.prepared],
        [culprit for batch in batches for culprit in batch.culprits],
    )
