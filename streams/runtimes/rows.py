"""Rows in memory: those in use as they are, those that rest as bytes, so that memory grows slowly with users."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator

from schemas.sensitivity import Sensitivity

_ROWS_IN_USE = 2048


class RowStore:
    """Sensitivity rows by key; a key without a row gets a new one."""

    def __init__(self) -> None:
        self._in_use: OrderedDict[str, Sensitivity] = OrderedDict()
        self._at_rest: dict[str, bytes] = {}

    def get(self, key: str) -> Sensitivity:
        """Return the row of `key`."""
        row = self._in_use.get(key)
        if row is not None:
            self._in_use.move_to_end(key)
            return row
        packed = self._at_rest.pop(key, None)
        if packed is None:
            return Sensitivity(key=key)
        row = Sensitivity.model_validate_json(zlib.decompress(packed))
        self.put(row)
        return row

    def put(self, row: Sensitivity) -> None:
        """Keep `row` in the place of the one before."""
        self._at_rest.pop(row.key, None)
        self._in_use[row.key] = row
        self._in_use.move_to_end(row.key)
        while len(self._in_use) > _ROWS_IN_USE:
            key, resting = self._in_use.popitem(last=False)
            self._at_rest[key] = zlib.compress(resting.model_dump_json(exclude_defaults=True).encode(), 1)

    def __iter__(self) -> Iterator[Sensitivity]:
        for key in sorted({*self._in_use, *self._at_rest}):
            resting = self._at_rest.get(key)
            yield self._in_use[key] if resting is None else Sensitivity.model_validate_json(zlib.decompress(resting))
