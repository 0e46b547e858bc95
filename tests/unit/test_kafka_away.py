"""What reads Kafka for the dashboard, where there is none."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streams.kafka.clients import BrokerAway
from streams.ops.follow.scan import scan
from streams.ops.replays.export import export
from streams.ops.tail import Tail
from streams.settings import KafkaSettings, OpsSettings
from streams.stages.policy import Gate

OPS = OpsSettings(timeout_seconds=0.3)


@pytest.fixture
def nobody() -> Iterator[KafkaSettings]:
    """An address that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield KafkaSettings(bootstrap_servers=f"127.0.0.1:{taken.getsockname()[1]}")


def test_an_export_says_so_and_writes_nothing(nobody: KafkaSettings, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with pytest.raises(BrokerAway, match="no Kafka answers"):
        export(nobody, OPS, now - timedelta(hours=1), now, tmp_path / "log.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_scan_says_so(nobody: KafkaSettings) -> None:
    with pytest.raises(BrokerAway, match="no Kafka answers"):
        list(scan(nobody, OPS, Gate(), user="u"))


def test_a_tail_says_so_and_goes_on_trying(nobody: KafkaSettings) -> None:
    tail = Tail(nobody, Gate(), OPS, b"salt")
    with closing(tail):
        tail.start()
        began = time.monotonic()
        while tail.state().error is None:
            assert time.monotonic() - began < 10
            time.sleep(0.01)
        state = tail.state()
        assert "no Kafka answers" in (state.error or "")
        assert (state.caught_up, state.behind_records, state.partitions) == (False, None, 0)
        assert state.failing_since is not None
        assert tail.pulse().records == 0
