from __future__ import annotations

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.kafka import clients
from streams.kafka.header_names import Records

Headers = list[tuple[str, bytes | None]]


def batch(codec: int, *headers: Headers) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1_000_000)
    for offset, one in enumerate(headers):
        builder.append(offset, 5, b"key", b"value %d" % offset, one)
    return bytes(builder.build())


def spoilt(raw: bytes) -> bytes:
    return raw.replace(b"QQQQ", b"\xff\xfe\xff\xfe")


def read(raw: bytes) -> list[tuple[int, bytes | None, Headers]]:
    records, found = Records(raw), []
    assert records.size_in_bytes() == len(raw)
    while records.has_next():
        one = records.next_batch()
        assert one is not None
        found += [(record.offset, record.value, list(record.headers)) for record in one]
    assert records.next_batch() is None
    return found


def test_names_that_are_no_text_are_spelt_out_and_all_else_is_as_it_was() -> None:
    odd: Headers = [("a", b"1"), ("QQQQ", b"\xff"), ("имя", None)]
    raw = spoilt(batch(0, [("a", b"0")], odd, [], odd) + batch(0, []) + batch(0, odd))
    spelt = [("a", b"1"), ("\\xff\\xfe\\xff\\xfe", b"\xff"), ("имя", None)]
    assert read(raw) == [
        (0, b"value 0", [("a", b"0")]), (1, b"value 1", spelt), (2, b"value 2", []), (3, b"value 3", spelt),
        (0, b"value 0", []), (0, b"value 0", spelt),
    ]  # fmt: skip


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_other_batches_are_read_as_ever(codec: int) -> None:
    assert read(batch(codec, [("a", b"1")], [])) == [(0, b"value 0", [("a", b"1")]), (1, b"value 1", [])]


def test_a_batch_that_is_not_whole_is_left_for_the_next_fetch() -> None:
    whole = batch(0, [])
    records = Records(whole + whole[:-3])
    assert records.next_batch() is not None
    assert not records.has_next()


def test_every_consumer_reads_by_it() -> None:
    """The name in aiokafka's fetcher that is set: where it is another one day, this fails."""
    assert clients.client_options is not None
    assert fetcher.MemoryRecords is Records
    assert "MemoryRecords" in fetcher.Fetcher._proc_fetch_request.__code__.co_names
