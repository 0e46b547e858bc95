"""Lag out of looks: what is known is computed, what is not known is None and says why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from streams.ops.lag.found import Ends, Found, FoundGroup, Gone, Member, Oldest, Point, Retention, Slot
from streams.ops.lag.looks import History
from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot
from streams.settings import OpsSettings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLOT = Slot("scenes", 0)
ONE = Member("one-1", "one", "/127.0.0.1")
FOR_A_WEEK = Retention("delete", 7 * 86_400_000, -1)


def found(
    committed: int | None,
    ends: Ends | str,
    seconds: float = 0.0,
    oldest: Mapping[Point, Oldest] | None = None,
    retention: Retention | str = FOR_A_WEEK,
    members: tuple[Member, ...] = (ONE,),
    error: str | None = None,
) -> Found:
    group = FoundGroup(
        "readers",
        "Stable" if members else "Empty",
        "classic",
        at=seconds,
        members=members,
        owners={SLOT: members[0]} if members else {},
        committed={} if committed is None else {SLOT: committed},
        error=error,
    )
    at = NOON + timedelta(seconds=seconds)
    return Found("kafka", at, seconds, 0.01, (group,), {SLOT: ends}, oldest or {}, {"scenes": retention})


def record(offset: int, seconds_before_noon: float, end: int | None = None) -> dict[Point, Oldest]:
    stamp = int((NOON.timestamp() - seconds_before_noon) * 1000)
    return {Point(*SLOT, offset): Oldest(NOON, end or offset, offset, stamp, "CreateTime")}


def looked(*looks: Found) -> Snapshot:
    history = History(OpsSettings())
    snapshots = [history.add(look) for look in looks]
    return snapshots[-1]


def partition(*looks: Found) -> PartitionLag:
    return group(*looks).partitions[0]


def group(*looks: Found) -> GroupLag:
    return looked(*looks).groups[0]


def test_lag_is_the_end_less_what_was_committed_and_says_that_it_is_a_bound() -> None:
    one = partition(found(40, Ends(0, 100, 100), oldest=record(40, 5)))
    assert (one.lag, one.certainty, one.lost) == (60, "upper bound", 0)
    assert one.age_seconds == 5.0
    assert one.age_method == "CreateTime of the record at offset 40"


def test_markers_at_the_end_are_no_messages() -> None:
    at_the_end = {Point(*SLOT, 99): Oldest(NOON, end=100)}
    one = partition(found(99, Ends(0, 100, 100), oldest=at_the_end))
    assert (one.lag, one.certainty, one.age_seconds, one.verdict.health) == (0, "exact", 0.0, "OK")


def test_a_record_that_came_after_the_ends_were_read_does_not_wait_yet() -> None:
    one = partition(found(99, Ends(0, 100, 100), oldest=record(99, 5, end=100)))
    assert one.lag == 0


def test_the_last_record_is_counted_exactly_once_it_was_fetched() -> None:
    assert partition(found(99, Ends(0, 100, 100), oldest=record(99, 5))).certainty == "exact"
    assert partition(found(99, Ends(0, 100, 100))).certainty == "upper bound"


def test_no_commit_is_unknown_and_not_zero() -> None:
    one = group(found(None, Ends(0, 100, 100)))
    assert one.lag is None
    assert one.unknown == 1
    assert one.partitions[0].lag is None
    assert one.verdict.health == "UNKNOWN"
    assert "no commit yet; 100 records are there at most" in one.verdict.evidence


def test_no_commit_where_nothing_is_to_be_read_alarms_nobody_and_is_not_zero_either() -> None:
    one = partition(found(None, Ends(7, 7, 7)))
    assert (one.lag, one.verdict.health) == (None, "OK")


def test_what_was_deleted_unread_is_part_of_the_lag_and_told() -> None:
    one = partition(found(10, Ends(30, 100, 100), oldest=record(30, 600)))
    assert (one.lag, one.lost) == (90, 20)
    gone = {Point(*SLOT, 100): Oldest(NOON, end=100)}
    all_gone = partition(found(10, Ends(100, 100, 100), oldest=gone))
    assert (all_gone.lag, all_gone.lost, all_gone.catch_up_seconds) == (90, 90, 0.0)


def test_a_changelog_is_read_without_commits_and_makes_no_group_unknown() -> None:
    one = group(replace(found(None, Ends(0, 100, 100)), changelogs=frozenset({"scenes"})))
    assert (one.lag, one.unknown, one.verdict.health) == (None, 0, "OK")
    assert one.partitions[0].lag is None


def test_a_commit_beyond_the_end_is_no_lag_of_anything() -> None:
    one = partition(found(500, Ends(0, 20, 20)))
    assert one.lag is None
    assert "beyond the end 20" in one.verdict.evidence


def test_a_reader_of_uncommitted_records_is_never_below_zero() -> None:
    one = partition(found(60, Ends(0, 50, 80)))
    assert (one.lag, one.open_records) == (0, 30)


@pytest.mark.parametrize(
    ("oldest", "why"),
    [
        ({}, "not fetched yet"),
        ({Point(*SLOT, 40): Oldest(NOON, 40, 40, None, None)}, "no timestamp"),
        ({Point(*SLOT, 40): Oldest(NOON, 40, error="Topic authorization failed")}, "Topic authorization failed"),
        (record(40, -90), "CreateTime is 1.5 min ahead of the clock here"),
    ],
)
def test_an_age_that_is_not_known_says_why(oldest: dict[Point, Oldest], why: str) -> None:
    one = partition(found(40, Ends(0, 100, 100), oldest=oldest))
    assert one.lag == 60
    assert one.age_seconds is None
    assert why in one.age_method
    assert one.horizon_seconds is None


def test_clocks_that_differ_by_a_moment_make_nothing_of_it() -> None:
    assert partition(found(40, Ends(0, 100, 100), oldest=record(40, -0.5))).age_seconds == 0.0


def test_rates_are_those_between_looks_and_give_the_time_to_catch_up() -> None:
    one = partition(found(0, Ends(0, 1000, 1000)), found(300, Ends(0, 1100, 1100), seconds=10.0))
    assert (one.rate_in, one.rate_out) == (10.0, 30.0)
    assert one.catch_up_seconds == pytest.approx(800 / 20)


def test_one_look_gives_no_rate() -> None:
    one = partition(found(0, Ends(0, 1000, 1000)))
    assert (one.rate_in, one.rate_out, one.catch_up_seconds) == (None, None, None)


def test_who_is_not_faster_than_what_comes_never_catches_up() -> None:
    one = group(found(0, Ends(0, 1000, 1000)), found(100, Ends(0, 1100, 1100), seconds=10.0))
    assert one.catch_up_seconds == math.inf
    assert '"catch_up_seconds":"Infinity"' in one.model_dump_json()


def test_rates_forget_what_is_longer_ago_than_asked_for() -> None:
    looks = [found(0, Ends(0, 0, 0))]
    looks += [found(100, Ends(0, 100, 100), seconds=seconds) for seconds in (100.0, 130.0, 160.0)]
    assert partition(*looks).rate_in == 0.0


def test_going_back_is_no_rate_of_work() -> None:
    one = partition(found(500, Ends(0, 1000, 1000)), found(0, Ends(0, 1000, 1000), seconds=10.0))
    assert one.rate_out is None
    assert one.catch_up_seconds is None


def test_a_topic_made_anew_has_no_history() -> None:
    one = partition(found(500, Ends(0, 1000, 1000)), found(0, Ends(0, 10, 10), seconds=10.0))
    assert (one.rate_in, one.verdict.health) == (None, "OK")


def test_the_horizon_is_when_the_oldest_unread_record_may_be_deleted() -> None:
    hour = Retention("delete", 3_600_000, -1)
    one = partition(found(40, Ends(0, 100, 100), oldest=record(40, 600), retention=hour))
    assert one.horizon_seconds == pytest.approx(3000.0)
    late = partition(found(40, Ends(0, 100, 100), oldest=record(40, 7200), retention=hour))
    assert late.horizon_seconds == 0.0


@pytest.mark.parametrize(
    ("retention", "seconds", "why"),
    [
        (Retention("delete", -1, -1), math.inf, "kept for ever"),
        (Retention("delete", 3_600_000, 10**9), None, "retention.bytes"),
        (Retention("compact", 3_600_000, -1), None, "compacted"),
        ("Topic authorization failed", None, "Topic authorization failed"),
    ],
)
def test_a_horizon_that_is_no_time_says_why(retention: Retention | str, seconds: float | None, why: str) -> None:
    one = partition(found(40, Ends(0, 100, 100), oldest=record(40, 600), retention=retention))
    assert one.horizon_seconds == seconds
    assert why in one.horizon_method


def test_a_group_that_may_not_be_looked_at_is_told_and_costs_no_history() -> None:
    history = History(OpsSettings())
    history.add(found(0, Ends(0, 1000, 1000)))
    bad = history.add(found(None, Ends(0, 1000, 1000), seconds=5.0, error="Group authorization failed")).groups[0]
    assert (bad.error, bad.lag, bad.verdict.health) == ("Group authorization failed", None, "UNKNOWN")
    assert history.add(found(100, Ends(0, 1000, 1000), seconds=10.0)).groups[0].rate_out == 10.0


def test_the_floor_is_of_the_group_and_not_of_each_partition() -> None:
    slots = [Slot("scenes", number) for number in range(20)]
    stamp = int((NOON.timestamp() - 600) * 1000)

    def look(seconds: float) -> Found:
        group = FoundGroup("readers", "Empty", "classic", at=seconds, committed=dict.fromkeys(slots, 0))
        oldest = {Point(*slot, 0): Oldest(NOON, 0, 0, stamp, "CreateTime") for slot in slots}
        ends = dict.fromkeys(slots, Ends(0, 25, 25))
        return Found("kafka", NOON, seconds, 0.01, (group,), ends, oldest, {"scenes": FOR_A_WEEK})

    one = group(look(0.0), look(10.0))
    assert one.lag == 500
    assert one.verdict.health == "STOP"
    assert one.verdict.evidence.startswith("20 of 20 partitions; scenes[0]: no member of the group reads it; 25 rec")


@pytest.mark.parametrize(
    ("state", "health"), [("Empty", "STOP"), ("PreparingRebalance", "UNKNOWN"), ("Unknown", "UNKNOWN")]
)
def test_a_group_that_divides_its_partitions_has_not_stopped(state: str, health: str) -> None:
    history = History(OpsSettings())
    for seconds in (0.0, 10.0):
        look = found(0, Ends(0, 500, 500), seconds, record(0, 600), members=())
        last = history.add(replace(look, groups=(replace(look.groups[0], state=state),)))
    assert last.groups[0].verdict.health == health


def test_what_is_gone_is_said_of_that_partition_and_has_no_history() -> None:
    one = partition(found(5, Ends(0, 20, 20)), found(5, Gone("the topic is gone"), seconds=5.0))
    assert (one.lag, one.latest, one.verdict.evidence) == (None, None, "the topic is gone")
    assert (one.last_lag, one.last_at) == (None, None)


def test_a_leader_that_does_not_answer_costs_its_partition_alone_and_no_history() -> None:
    slots = [SLOT, Slot("scenes", 1)]

    def look(seconds: float, committed: int, *, silent: bool = False) -> Found:
        group = FoundGroup("readers", "Empty", "classic", at=seconds, committed=dict.fromkeys(slots, committed))
        ends = {
            SLOT: "its leader did not answer in time" if silent else Ends(10, 100, 100),
            slots[1]: Ends(0, 100, 100),
        }
        at = NOON + timedelta(seconds=seconds)
        return Found("kafka", at, seconds, 0.01, (group,), ends, {}, {"scenes": FOR_A_WEEK})

    history = History(OpsSettings())
    history.add(look(0.0, 0))
    history.add(look(10.0, 20, silent=True))
    group = history.add(look(12.0, 20, silent=True)).groups[0]
    silent, well = group.partitions
    assert (silent.lag, silent.committed, silent.rate_out, silent.verdict.health) == (None, 20, None, "UNKNOWN")
    # What it was, those included that were deleted unread, and when: the look before the silence.
    assert silent.verdict.evidence == "its leader did not answer in time; 12 s ago 100 records waited"
    assert (silent.last_lag, silent.last_at) == (100, NOON)
    assert (well.lag, well.rate_out, well.last_lag) == (80, 20 / 12, None)
    assert (group.lag, group.unknown) == (80, 1)
    back = history.add(look(20.0, 40)).groups[0].partitions[0]
    assert (back.lag, back.rate_out, back.last_lag) == (60, 2.0, None)
