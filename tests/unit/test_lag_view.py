"""Lag in the terminal: nothing that a group's or a client's name holds is obeyed, and numbers are never cut."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime

import pytest
from rich.console import Console, RenderableType

from streams.cli.lag_view import detail, overview
from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot, Verdict
from streams.ops.words import duration, rate

PARTITION = PartitionLag(
    topic="scenes",
    partition=3,
    committed=1_234_567,
    earliest=0,
    latest=1_240_000,
    lag=5_433,
    certainty="upper bound",
    age_seconds=724.0,
    age_at=datetime(2026, 3, 1, tzinfo=UTC),
    age_method="CreateTime of the record at offset 1234567",
    rate_in=41.0,
    rate_out=0.0,
    catch_up_seconds=math.inf,
    horizon_seconds=600_000.0,
    lost=17,
    member="worker-\x1b[31m1[/red]",
    host="/10.0.0.7",
    client="worker",
    verdict=Verdict(health="STALL", evidence="its offset stands still since 5 min"),
    open_records=2,
)
GROUP = GroupLag(
    group="scene\x1bstream [bold]",
    state="Stable",
    protocol="classic",
    members=1,
    lag=5_433,
    certainty="upper bound",
    age_seconds=724.0,
    rate_in=41.0,
    rate_out=0.0,
    catch_up_seconds=math.inf,
    verdict=Verdict(health="STALL", evidence="scenes[3]: its offset stands still since 5 min"),
    partitions=(PARTITION,),
    lost=17,
    unknown=1,
)
SNAPSHOT = Snapshot(
    clock_seconds=0.0,
    cluster="kafka",
    at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    took_seconds=0.04,
    groups=(GROUP,),
    topics=(),
    looks=2,
    failures=0,
)


def drawn(shown: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_every_number_is_there_at_any_width(width: int) -> None:
    text = drawn(detail(SNAPSHOT, GROUP, width), width)
    for number in ("1234567", "1240000", "≤5433", "12.1 min", "41/s", "0/s", "never", "STALL"):
        assert number in text
    assert "\x1b" not in text
    assert "[/red]" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_a_wide_terminal_has_the_columns_of_kafkas_own_tool() -> None:
    first = drawn(detail(SNAPSHOT, GROUP, 200), 200).splitlines()[0].split()
    assert first[:6] == ["GROUP", "TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"]
    assert first[-3:] == ["CONSUMER-ID", "HOST", "CLIENT-ID"]


def test_what_is_not_in_the_sum_is_said() -> None:
    text = drawn(detail(SNAPSHOT, GROUP, 200), 200)
    assert "17 records were deleted before they were read" in text
    assert "the lag of 1 of 1 partitions is not known" in text
    assert "2 records of transactions still open are not counted" in text
    assert "not caught up with, at these rates" in text


def test_where_not_all_has_room_the_worst_is_shown() -> None:
    fine = PARTITION.model_copy(update={"lag": 0, "verdict": Verdict(health="OK", evidence="caught up")})
    many = [fine.model_copy(update={"partition": number}) for number in range(100)]
    many[77] = PARTITION.model_copy(update={"partition": 77})
    text = drawn(detail(SNAPSHOT, GROUP.model_copy(update={"partitions": tuple(many)}), 200, rows=5), 200)
    assert "STALL" in text.splitlines()[5]
    assert "… 95 more partitions, none worse" in text
    groups = tuple(GROUP.model_copy(update={"group": f"g{number}"}) for number in range(40))
    assert "… 36 more groups, none worse" in drawn(overview(SNAPSHOT.model_copy(update={"groups": groups}), 4), 200)


def test_an_old_snapshot_says_that_it_is_old_and_why() -> None:
    stale = SNAPSHOT.model_copy(update={"error": "no Kafka answers"})
    text = drawn(overview(stale), 200)
    assert "THIS IS OLD, looked at 12:00:00 UTC" in text
    assert "no Kafka answers" in text
    assert "no consumer groups" in drawn(overview(SNAPSHOT.model_copy(update={"groups": ()})), 80)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.0, "59 s"),
        (90.0, "1.5 min"),
        (5400.0, "1.5 h"),
        (86400.0 * 6, "6 days"),
        (86400.0 * 20_000, "20,000 days"),
        (math.inf, "never"),
    ],
)
def test_a_length_of_time_is_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("per_second", "text"), [(0.0, "0/s"), (0.25, "0.25/s"), (9.94, "9.9/s"), (4200.0, "4,200/s")])
def test_a_rate_is_as_people_say_it(per_second: float, text: str) -> None:
    assert rate(per_second) == text
