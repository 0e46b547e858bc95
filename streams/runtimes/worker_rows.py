"""The worker's sensitivity rows, apart for each partition: packed where they rest, those in use as they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from schemas.sensitivity import Sensitivity
from streams.kafka import wire
from streams.kafka.records import HandlerError, Headers, Received
from streams.runtimes import applied
from streams.runtimes.applied import APPLIED, JUDGED_AT, NOTHING, Applied
from streams.runtimes.packing import pack, unpack
from streams.stages.admit import Refusal

_log = structlog.get_logger(__name__)
_ROWS_IN_USE = 4096
# Between a row and what it counts; JSON has no raw line ends.
_AND = b"\n"
Change = tuple[bytes, bytes | None, Headers]


class RowError(HandlerError):
    """A row on the changelog that this version cannot read: to go on would start its key anew."""


@dataclass(frozen=True, slots=True)
class Note:
    """What changed a row: a record, that a stage handled; `outcome` is what feedback came to.

    `goes_on` where the record's scene was sent to be healed, and comes back.
    """

    record: Received
    scene_id: str
    stage: str
    attempt: int
    at: datetime
    outcome: str | None = None
    goes_on: bool = False


@dataclass(slots=True)
class _InUse:
    """A row that was read or changed lately, and what it counts; `value` and `packed` are None where it changed."""

    row: Sensitivity
    counts: Applied
    value: bytes | None = None
    packed: bytes | None = None


class PartitionRows:
    """The rows of one partition number."""

    def __init__(self, changelog: str, *, positions: bool) -> None:
        self._changelog = changelog
        self._positions = positions
        self._at_rest: dict[bytes, bytes] = {}
        self._in_use: OrderedDict[str, _InUse] = OrderedDict()
        self._changed: dict[str, Note] = {}
        self._echoes: list[tuple[Sensitivity, Applied, Note]] = []

    def __len__(self) -> int:
        return len(self._at_rest) + len(self._in_use)

    def all_keys(self) -> Iterator[bytes]:
        """Return the keys that have a row, as they are now."""
        yield from [*self._at_rest, *(key.encode() for key in self._in_use)]

    def value(self, key: bytes) -> bytes | None:
        """Return a row as its record has it; None where there is none."""
        packed = self._at_rest.get(key)
        if packed is not None:
            return unpack(packed).partition(_AND)[0]
        held = self._in_use.get(key.decode(errors="replace"))
        return None if held is None else held.row.model_dump_json().encode()

    def get(self, key: str) -> Sensitivity:
        """Return the row of `key`, a new one where there is none; raises RowError for one that cannot be read."""
        held = self._held(key)
        return Sensitivity(key=key) if held is None else held.row

    def has(self, key: str, record: Received) -> bool:
        """Return whether the row of `key` counts this record already; exactly once there is no such thing."""
        held = self._held(key) if self._positions else None
        if held is None:
            return False
        return applied.has(held.counts, record.topic, record.offset, record.timestamp, applied.judged_at(record))

    def put(self, row: Sensitivity, note: Note) -> None:
        """Keep `row` in the place of the one before; of a batch only the last row of a key is sent."""
        self._keep(row, note)
        self._changed[row.key] = note

    def echo(self, row: Sensitivity, note: Note) -> None:
        """Keep `row` and send it in any case: whoever gave feedback may wait for it."""
        held = self._keep(row, note)
        self._changed.pop(row.key, None)
        self._echoes.append((row, held.counts, note))

    def restore(self, key: bytes, value: bytes | None, counts: bytes | None) -> None:
        """Take a row back from the changelog; None is a row that was deleted."""
        if value is None:
            self._at_rest.pop(key, None)
        elif not self._positions:
            self._at_rest[key] = pack(value)
        elif not self._is_behind(key, counts):
            self._at_rest[key] = pack(value + _AND + (counts or b""))

    def take_changes(self, in_use: int) -> Sequence[Change]:
        """Return the rows that were changed since the last call: key, value, headers; keep `in_use` rows unpacked."""
        changes = [self._sent(*echo) for echo in self._echoes]
        for key, note in self._changed.items():
            held = self._in_use[key]
            changes.append(self._sent(held.row, held.counts, note))
        self._echoes.clear()
        self._changed.clear()
        while len(self._in_use) > in_use:
            key, held = self._in_use.popitem(last=False)
            self._at_rest[key.encode()] = held.packed or self._packed(held)
        return changes

    def _held(self, key: str) -> _InUse | None:
        held = self._in_use.get(key)
        if held is None:
            packed = self._at_rest.pop(key.encode(), None)
            if packed is None:
                return None
            value, _, counts = unpack(packed).partition(_AND)
            read = wire.decode_row(key.encode(), value)
            if isinstance(read, Refusal):
                raise self._unreadable(key, read.detail)
            held = self._in_use[key] = _InUse(read, self._counts(key, counts), packed=packed)
        else:
            self._in_use.move_to_end(key)
        return held

    def _counts(self, key: str, written: bytes | None) -> Applied:
        try:
            return applied.read(written or None)
        except ValueError as error:
            raise self._unreadable(key, str(error)) from error

    def _unreadable(self, key: str, why: str) -> RowError:
        # The last line of a process is read by many; whose row it is, by whoever asks for it.
        _log.debug("row_unreadable", topic=self._changelog, key=key)
        return RowError(f"a row on {self._changelog} cannot be read (the log says at level debug whose): {why}")

    def _keep(self, row: Sensitivity, note: Note) -> _InUse:
        held = self._held(row.key)
        counts = NOTHING if held is None else held.counts
        if self._positions:
            record = note.record
            counts = applied.count(
                counts, record.topic, record.offset, record.timestamp, applied.judged_at(record), goes_on=note.goes_on
            )
        kept = self._in_use[row.key] = _InUse(row, counts)
        return kept

    def _sent(self, row: Sensitivity, counts: Applied, note: Note) -> Change:
        message = wire.encode_row(
            row,
            scene_id=note.scene_id,
            stage=note.stage,
            attempt=note.attempt,
            at=note.at,
            passed=wire.passed(note.record.headers),
            outcome=note.outcome,
        )
        held = self._in_use[row.key]
        if held.row is row:
            held.value = message.value
        positions = ((APPLIED, applied.write(counts)),) if self._positions else ()
        return message.key, message.value, (*message.headers, *positions)

    def _packed(self, held: _InUse) -> bytes:
        value = held.row.model_dump_json().encode() if held.value is None else held.value
        return pack(value + _AND + applied.write(held.counts) if self._positions else value)

    def _is_behind(self, key: bytes, counts: bytes | None) -> bool:
        packed = self._at_rest.get(key)
        if packed is None:
            return False
        known, name = unpack(packed).partition(_AND)[2], key.decode(errors="replace")
        return applied.is_behind(self._counts(name, counts), self._counts(name, known))


class TableRows:
    """The rows of all partitions that a worker owns.

    `positions` is for at least once: rows say which records they count, so that what comes again is recognised.
    """

    def __init__(self, changelog: str, *, positions: bool = False) -> None:
        self.changelog = changelog
        self._positions = positions
        self._partitions: dict[int, PartitionRows] = {}

    def __len__(self) -> int:
        return sum(len(rows) for rows in [*self._partitions.values()])

    def all_keys(self) -> Iterator[bytes]:
        """Return the keys of all rows, as they are now."""
        for rows in [*self._partitions.values()]:
            yield from rows.all_keys()

    def value(self, key: bytes) -> bytes | None:
        """Return the row of `key` as its record has it; None where there is none."""
        found = (rows.value(key) for rows in [*self._partitions.values()])
        return next((value for value in found if value is not None), None)

    def of(self, number: int) -> PartitionRows:
        """Return the rows of a partition number."""
        rows = self._partitions.get(number)
        if rows is None:
            rows = self._partitions[number] = PartitionRows(self.changelog, positions=self._positions)
        return rows

    def drop(self, number: int) -> None:
        """Forget the rows of a partition number."""
        self._partitions.pop(number, None)

    def restore(self, number: int, records: Sequence[Received]) -> None:
        """Take rows back from the changelog, in its order; other partitions may be in use meanwhile."""
        rows = self.of(number)
        for record in records:
            if record.key is not None:
                rows.restore(record.key, record.value, applied.header(record) if self._positions else None)

    def away(self, record: Received) -> Headers:
        """Return what is handed on with a record's scene when it is sent to be healed."""
        return ((JUDGED_AT, str(record.offset).encode()),) if self._positions else ()

    def take_changes(self, number: int) -> Sequence[Change]:
        """Return the rows of a partition number that were changed since the last call: key, value, headers."""
        return self.of(number).take_changes(_ROWS_IN_USE // max(1, len(self._partitions)))
