r"""Messages whose header names are no UTF-8, which librdkafka and Go let anybody write.

aiokafka raises where it meets one, and the consumer with all its partitions can never pass it. Here such a name is read
with its bytes spelt out (`\xff`), and the message is like any other: what decides is its body. aiokafka asks for no
class, so the one name by which its fetcher finds its records is set; whatever it parses itself stays as it was.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy as PlainBatch
from aiokafka.record.memory_records import MemoryRecords

# Of a batch: its first offset, and how many bytes follow.
_HEAD = struct.Struct(">qi")


class SpeltOut(bytearray):
    """Bytes that are text in any case; so are their slices."""

    def __getitem__(self, at: SupportsIndex | slice) -> Any:  # noqa: ANN401 - a number or bytes
        found = super().__getitem__(at)
        return SpeltOut(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        """Return the text, with what is none spelt out."""
        return super().decode(encoding, errors)


class Records:
    """The batches that a broker sent, as aiokafka parses them, and by its plain parser where it cannot."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._parsed = MemoryRecords(fetched)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Return how many bytes there are, with those of a batch that is not whole."""
        return int(self._parsed.size_in_bytes())

    def has_next(self) -> bool:
        """Return whether another batch is there."""
        return bool(self._parsed.has_next())

    def next_batch(self) -> Batch | None:
        """Return the next batch; None where there is none."""
        batch = self._parsed.next_batch()
        if batch is None:
            return None
        _, size = _HEAD.unpack_from(self._fetched, self._at)
        begin, self._at = self._at, self._at + _HEAD.size + size
        return Batch(batch, memoryview(self._fetched)[begin : self._at])


class Batch:
    """A batch that is read on by the plain parser from a record on that the fast one cannot read."""

    def __init__(self, batch: Any, raw: memoryview) -> None:  # noqa: ANN401 - of either format of the log
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else the fetcher asks of a batch
        return getattr(self._batch, name)

    def __next__(self) -> Any:  # noqa: ANN401 - a record of either format
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except (UnicodeDecodeError, CorruptRecordException) as error:
            if not _is_a_name(error):
                raise
            for number, record in enumerate(_spelt_out(self._raw)):
                if number >= read:
                    yield record


def read_any_name() -> None:
    """Let all consumers of this process read messages with any header names; to say it again changes nothing."""
    fetcher.MemoryRecords = Records


def _is_a_name(error: Exception) -> bool:
    # aiokafka's plain parser, where there is no other, says it in its own words.
    return isinstance(error, UnicodeDecodeError) or isinstance(error.__cause__, UnicodeDecodeError)


def _spelt_out(raw: memoryview) -> Iterator[Any]:
    plain = PlainBatch(raw)
    unpacked = iter(plain)
    plain._buffer = SpeltOut(plain._buffer)  # noqa: SLF001 - nothing else knows its bytes once they are unpacked
    yield from unpacked
