"""Sensitivity rows in the worker's Faust table: bytes as they stand on the wire, those in use read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.sensitivity import Sensitivity
from streams.kafka.records import HandlerError, Headers
from streams.kafka.wire import Message, decode_row, encode_row
from streams.stages.admit import Refusal

_ROWS_IN_USE = 4096


class RowError(HandlerError):
    """A row on the changelog that this version cannot read: to go on would start its key anew."""


@dataclass(frozen=True, slots=True)
class Note:
    """What changed a row: a stage, after a scene's attempt; `outcome` is what feedback came to."""

    scene_id: str
    stage: str
    attempt: int
    at: datetime
    passed: Headers
    outcome: str | None = None


class TableRows:
    """Rows by key over a table's store; what was changed is taken once for each batch."""

    def __init__(self, store: MutableMapping[str, bytes], changelog: str) -> None:
        self.changelog = changelog
        self._store = store
        self._in_use: OrderedDict[str, Sensitivity] = OrderedDict()
        self._changed: dict[str, tuple[Sensitivity, Note]] = {}
        self._echoes: list[tuple[Sensitivity, Note]] = []

    def get(self, key: str) -> Sensitivity:
        """Return the row of `key`, a new one where there is none; raises RowError for one that cannot be read."""
        row = self._in_use.get(key)
        if row is not None:
            self._in_use.move_to_end(key)
            return row
        kept = self._store.get(key)
        if kept is None:
            return Sensitivity(key=key)
        read = decode_row(key.encode(), kept)
        if isinstance(read, Refusal):
            raise RowError(f"the row of {key!r} on {self.changelog} cannot be read: {read.detail}")
        return read

    def __len__(self) -> int:
        return len(self._store)

    def put(self, row: Sensitivity, note: Note) -> None:
        """Keep `row` in the place of the one before; of a batch only the last row of a key is sent."""
        self._keep(row)
        self._changed[row.key] = (row, note)

    def echo(self, row: Sensitivity, note: Note) -> None:
        """Keep `row` and send it in any case: whoever gave feedback may wait for it."""
        self._keep(row)
        self._changed.pop(row.key, None)
        self._echoes.append((row, note))

    def clear(self) -> None:
        """Forget all rows."""
        for kept in (self._store, self._in_use, self._changed, self._echoes):
            kept.clear()

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a row back from the changelog; None is a row that was deleted."""
        if value is None:
            self._store.pop(key.decode(), None)
        else:
            self._store[key.decode()] = value

    def take_changes(self) -> Sequence[tuple[bytes, bytes | None, Headers]]:
        """Return the rows that were changed since the last call: key, value, headers."""
        changes = [self._sent(row, note) for row, note in (*self._echoes, *self._changed.values())]
        self._echoes.clear()
        self._changed.clear()
        while len(self._in_use) > _ROWS_IN_USE:
            self._in_use.popitem(last=False)
        return [(message.key, message.value, message.headers) for message in changes]

    def _keep(self, row: Sensitivity) -> None:
        self._in_use[row.key] = row
        self._in_use.move_to_end(row.key)

    def _sent(self, row: Sensitivity, note: Note) -> Message:
        message = encode_row(
            row,
            scene_id=note.scene_id,
            stage=note.stage,
            attempt=note.attempt,
            at=note.at,
            passed=note.passed,
            outcome=note.outcome,
        )
        self._store[row.key] = message.value
        return message
