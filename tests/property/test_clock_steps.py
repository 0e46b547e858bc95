"""Whatever is done to the clock: looks keep their order, and what lies between them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ops.clock import WallClock
from streams.ops.dashboard.lag_history import MOST_LOOKS, LagHistory
from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot, Verdict

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
FINE = Verdict(health="OK", evidence="caught up")
# Seconds between two looks, and by how much the clock is set in between: mostly not at all.
steps = st.lists(
    st.tuples(
        st.floats(0.5, 60.0).map(lambda value: round(value, 3)),
        st.sampled_from([0, 0, 0, 0.5, -0.5, 3, -3, 90, -90, 3600, -3600, 10**7, -(10**7)]),
    ),
    min_size=1,
    max_size=60,
)


def seen(clock: float, wall: float, lag: int, place: tuple[str, int] = ("scenes", 0)) -> Snapshot:
    one = PartitionLag(
        topic=place[0], partition=place[1], committed=0, earliest=0, latest=lag, lag=lag, certainty="exact",
        age_seconds=None, age_at=None, age_method="", rate_in=None, rate_out=None, catch_up_seconds=None,
        horizon_seconds=None, lost=0, member=None, host=None, verdict=FINE,
    )  # fmt: skip
    group = GroupLag(
        group="g", state="Empty", protocol="classic", members=0, lag=lag, certainty="exact", age_seconds=None,
        rate_in=None, rate_out=None, catch_up_seconds=None, verdict=FINE, partitions=(one,),
    )  # fmt: skip
    at = datetime.fromtimestamp(wall, UTC)
    return Snapshot(
        cluster="c", at=at, clock_seconds=clock, took_seconds=0.1, groups=(group,), topics=(), looks=1, failures=0
    )


@given(steps)
def test_every_look_is_remembered_in_its_order_and_the_latest_is_when_the_clock_says(
    path: list[tuple[float, float]],
) -> None:
    history = LagHistory()
    clock, wall, clocks = 1000.0, NOON, []
    for number, (passed, was_set) in enumerate(path):
        clock, wall = clock + passed, wall + passed + was_set
        clocks.append(clock)
        for _ in range(2):
            # After a failed look the same one stands once more.
            history.add(seen(clock, wall, number))
    found: Any = history.of_group("g")
    assert found["rows"][0]["lag"] == list(range(len(path)))
    assert found["at"][-1] == pytest.approx(wall, abs=2.01)
    gaps = [later - earlier for earlier, later in itertools.pairwise(found["at"])]
    assert gaps == pytest.approx([later - earlier for earlier, later in itertools.pairwise(clocks)], abs=0.01)
    assert history.sums(MOST_LOOKS)["at"] == found["at"]


@given(st.lists(st.integers(0, 5), max_size=MOST_LOOKS + 200))
def test_partitions_that_come_and_go_take_no_more_room_than_looks_remember(topics: list[int]) -> None:
    history = LagHistory()
    for number, step in enumerate(topics):
        # Each topic lives for a look or a few, and never comes again.
        history.add(seen(float(number), NOON + number, 1, (f"t{number // (step + 1)}-{step}", number)))
    rows: Any = (history.of_group("g") or {"rows": []})["rows"]
    assert len(rows) <= MOST_LOOKS + 1


@given(st.floats(0, 1e6), st.lists(st.tuples(st.floats(0, 1000), st.floats(-1e7, 1e7))))
def test_a_clock_was_set_where_it_and_the_steady_one_part(start: float, path: list[tuple[float, float]]) -> None:
    wall, steady, apart = NOON, start, 0.0
    clock = WallClock(wall, steady)
    for passed, was_set in path:
        wall, steady, apart = wall + passed + was_set, steady + passed, apart + was_set
        if abs(abs(apart) - 2.0) > 0.001:
            assert clock.was_set(wall, steady) is (abs(apart) > 2.0)
            apart = 0.0 if abs(apart) > 2.0 else apart
        else:
            apart = 0.0 if clock.was_set(wall, steady) else apart
        assert clock.at(steady) == pytest.approx(wall - apart, abs=0.01)
