from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from test_partition_runner import Record

from streams.runtimes.placing import Placing, usual_partition


@pytest.mark.parametrize(("key", "partition"), [(b"foo", 0), (b"foobar", 2), ("сцена".encode(), 3), (b"", 1)])
def test_keys_go_where_javas_clients_put_them(key: bytes, partition: int) -> None:
    assert usual_partition(key, 4) == partition


def test_feedback_in_an_odd_partition_is_doubted_and_the_log_says_so_once_a_minute() -> None:
    clock = [100.0]
    placing = Placing(4, lambda: clock[0])
    at_home, astray = Record("feedback", 7, key=b"foo", partition=0), Record("feedback", 7, key=b"foo", partition=1)
    with capture_logs() as told:
        assert placing.doubt(at_home) == ""
        assert "same partitioner" in placing.doubt(astray)
        for passed in (59.0, 60.0, 61.0):
            clock[0] = 100.0 + passed
            assert "most clients put its key into 0" in placing.doubt(astray)
    assert [event["event"] for event in told] == ["partitioners_differ", "partitioners_differ"]
