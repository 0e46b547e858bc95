"""Verdicts on real groups: plain clients that keep up, fall behind, stand still, go back or leave, looked at each time.

No clock decides: the floors are low, and looks are taken when something was done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from kafka_server import Broker
from lag_scenery import PATIENT, Scenery, of
from typer.testing import CliRunner

from streams.cli.app import app
from streams.ops.lag.snapshot import PartitionLag, Snapshot
from streams.ops.lag.watch import Watcher

HOUR_MS = 3_600_000
# All looks of a test are within the window, two of them are enough, and ten records that just came are worth an alarm.
QUICK = PATIENT.model_copy(
    update={
        "settle_seconds": 0.0,
        "window_seconds": 3600.0,
        "rate_seconds": 3600.0,
        "floor_messages": 10,
        "floor_age_seconds": 0.0,
    }
)
OF_THE_COMMAND = {"SETTLE_SECONDS": "0", "FLOOR_MESSAGES": "10", "FLOOR_AGE_SECONDS": "0", "TIMEOUT_SECONDS": "20"}


class Reader:
    """A plain client with a group and topic of its own; it reads as much as it is told to, and each look is kept."""

    def __init__(self, scenery: Scenery, name: str, **config: str) -> None:
        self._scenery = scenery
        self._name = name
        self.group = scenery.called(name)
        self.topic = scenery.topic(name, 1, **config)
        self.produced = 0
        self._read = 0
        # So that the member is assigned before anything is to be read, and its first poll returns.
        self._member: Consumer | None = scenery.member(name, self.topic)
        self._watcher = Watcher.of(scenery.kafka, QUICK, self.group)

    def produce(self, count: int, at_ms: int = 0) -> None:
        self._scenery.produce(self.topic, 0, count, at_ms)
        self.produced += count

    def commit(self, offset: int) -> None:
        assert self._member is not None
        self._member.commit(offsets=[TopicPartition(self.topic, 0, offset)], asynchronous=False)

    def read_to(self, offset: int) -> None:
        """Read on until the record before `offset` was seen, and commit that."""
        assert self._member is not None
        deadline = time.monotonic() + 60.0
        while self._read < offset:
            assert time.monotonic() < deadline
            for message in self._member.consume(offset - self._read, 1.0):
                assert message.error() is None
                self._read = (message.offset() or 0) + 1
        self.commit(offset)

    def leave(self) -> None:
        assert self._member is not None
        self._member.close()
        self._scenery.members.remove(self._member)
        self._member = None

    def go_back(self, offset: int) -> None:
        self._scenery.commit(self._name, self.topic, {0: offset})

    def look(self) -> PartitionLag:
        snapshot = self._watcher.look()
        assert snapshot.error is None
        (one,) = of(snapshot, self.group, self.topic)
        assert one.lag is None or one.lag == self.produced - (one.committed or 0)
        return one

    def asked(self) -> PartitionLag:
        """What `scenestream lag GROUP --json` says, of two looks; an alarm is its exit code."""
        ran = CliRunner().invoke(app, ["lag", self.group, "--json", "--span", "0.5"])
        snapshot = Snapshot.model_validate_json(ran.stdout)
        (one,) = of(snapshot, self.group, self.topic)
        assert ran.exit_code == (one.verdict.health not in {"OK", "UNKNOWN"})
        return one

    def close(self) -> None:
        self._watcher.close()


@pytest.fixture(scope="module")
def scenery(broker: Broker) -> Iterator[Scenery]:
    one = Scenery(broker.bootstrap)
    yield one
    for member in one.members:
        member.close()


@pytest.fixture(autouse=True)
def settings_of_the_command(scenery: Scenery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", scenery.bootstrap)
    for name, value in OF_THE_COMMAND.items():
        monkeypatch.setenv(f"SCENESTREAM_OPS__{name}", value)


def test_who_reads_slower_than_records_come_is_warned_of_until_lag_falls(scenery: Scenery) -> None:
    slow = Reader(scenery, "slow", retention_ms="-1")
    for turn in range(1, 5):
        slow.produce(200)
        slow.read_to(turn)
        one = slow.look()
    assert (one.lag, one.verdict.health) == (796, "WARN")
    assert one.verdict.evidence.startswith("it commits, and lag never fell: from 199 to 796 in ")
    assert one.verdict.evidence.partition("; ")[2].startswith("796 records to read, the oldest for ")
    assert one.rate_in is not None
    assert one.rate_out is not None
    assert one.rate_in > one.rate_out > 0
    assert one.catch_up_seconds == float("inf")
    slow.read_to(700)
    gaining = slow.look()
    assert (gaining.lag, gaining.verdict.health) == (100, "OK")
    assert gaining.verdict.evidence.startswith("catching up; 100 records to read")
    slow.read_to(800)
    assert slow.look().verdict.evidence == "caught up"
    slow.close()


def test_who_will_not_be_there_before_the_retention_is_warned_of_with_both_times(scenery: Scenery) -> None:
    late = Reader(scenery, "late", retention_ms=str(2 * HOUR_MS))
    now = int(time.time() * 1000)
    for turn in range(1, 4):
        late.produce(200, now - HOUR_MS)
        late.read_to(turn)
        one = late.look()
    assert one.verdict.health == "WARN"
    assert one.horizon_seconds == pytest.approx(3600, abs=120)
    evidence = one.verdict.evidence
    assert "597 records to read, the oldest for 1 h" in evidence
    assert "that is never caught up with at these rates, and the oldest may be deleted in " in evidence
    late.close()


def test_who_commits_without_moving_while_lag_grows_is_said_to_stall(scenery: Scenery) -> None:
    # With the retention that topics have by default: that it will be deleted some day is not what is wrong here.
    stuck = Reader(scenery, "stuck")
    stuck.produce(50)
    stuck.read_to(7)
    for lag in (43, 93, 143):
        stuck.commit(7)
        one = stuck.look()
        assert one.lag == lag
        stuck.produce(50)
    assert one.verdict.health == "STALL"
    assert one.verdict.evidence.startswith("its offset stands still since ")
    assert one.verdict.evidence.partition("; ")[2].startswith("143 records to read, the oldest for ")
    assert one.member is not None
    asked = stuck.asked()
    assert (asked.verdict.health, asked.lag, asked.member) == ("STALL", 193, one.member)
    assert "its offset stands still since " in asked.verdict.evidence
    stuck.read_to(200)
    assert stuck.look().verdict.evidence == "caught up"
    stuck.close()


def test_who_was_set_back_is_said_to_have_gone_back_until_it_has_caught_up(scenery: Scenery) -> None:
    back = Reader(scenery, "back")
    back.produce(90)
    back.read_to(90)
    assert back.look().verdict.evidence == "caught up"
    back.leave()
    back.go_back(20)
    one = back.look()
    assert (one.lag, one.committed, one.verdict.health) == (70, 20, "REWIND")
    assert one.verdict.evidence.startswith("its offset went back from 90 to 20 ")
    assert one.verdict.evidence.partition("; ")[2].startswith("70 records to read, the oldest for ")
    # A step back is no rate of work, so how long it takes is not known.
    assert (one.rate_out, one.catch_up_seconds) == (None, None)
    back.go_back(60)
    assert back.look().verdict.health == "REWIND"
    back.go_back(90)
    assert back.look().verdict.evidence == "caught up"
    back.close()


def test_who_leaves_is_said_to_have_stopped_once_that_is_worth_an_alarm(scenery: Scenery) -> None:
    gone = Reader(scenery, "gone")
    gone.produce(40)
    gone.read_to(40)
    assert gone.look().verdict.health == "OK"
    gone.leave()
    gone.produce(8)
    assert gone.look().verdict.evidence.startswith("8 records to read, the oldest for ")
    assert "under the floor (10 records and " in gone.look().verdict.evidence
    gone.produce(22)
    gone.look()
    one = gone.look()
    assert (one.lag, one.member, one.host) == (30, None, None)
    asked = gone.asked()
    assert (asked.lag, asked.verdict.health) == (30, "STOP")
    assert asked.verdict.evidence.startswith("no member of the group reads it; 30 records to read, the oldest for ")
    gone.close()
