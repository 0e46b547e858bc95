"""The rules of lag, whatever is seen: when they never alarm, when they must, and what cannot change them."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import assume, example, given
from hypothesis import strategies as st

from streams.ops.lag.rules import RULES, Case, Floors, Look, Reader, judge
from streams.ops.lag.snapshot import WORST_FIRST, Health

FLOORS = Floors(messages=100, age_seconds=60.0, old_seconds=3600.0, settle_seconds=60.0)
ALARMS = {"WARN", "STOP", "STALL", "REWIND"}
amounts = st.integers(0, 10_000)
seconds = st.floats(0.0, 10_000.0)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    steps = draw(st.lists(st.tuples(st.floats(0.5, 60.0), amounts, amounts), min_size=1, max_size=40))
    looks, at = [], 0.0
    for step, committed, unread in steps:
        at += step
        looks.append(Look(at, committed, unread))
    readers: list[Reader] = ["member", "nobody", "unknown"]
    return Case(
        looks,
        draw(st.sampled_from(readers)),
        age_seconds=draw(st.none() | seconds),
        lost=draw(st.sampled_from([0, 0, 0, 1, 99, 100, 5_000])),
        group_unread=looks[-1].unread + draw(amounts),
        catch_up_seconds=draw(st.none() | seconds | st.just(float("inf"))),
        horizon_seconds=draw(st.none() | seconds | st.just(float("inf"))),
    )


def health(case: Case, floors: Floors = FLOORS) -> Health:
    verdict = judge(case, floors)
    assert verdict.evidence
    return verdict.health


def severity(of: Health) -> int:
    return len(WORST_FIRST) - WORST_FIRST.index(of)


@given(cases())
def test_who_has_read_all_is_never_alarmed_about(case: Case) -> None:
    done = replace(case, looks=[*case.looks, Look(case.now.at + 1, case.now.committed, 0)], lost=0)
    assert health(done) == "OK"


@given(cases())
@example(Case([Look(0, 0, 25), Look(900, 0, 25)], "nobody", age_seconds=3599.0))
def test_a_lag_of_25_alarms_nobody_until_it_is_old(case: Case) -> None:
    little = replace(case, looks=[*case.looks[:-1], case.now._replace(unread=25)], lost=0, group_unread=25)
    assume(little.age_seconds is None or little.age_seconds < FLOORS.old_seconds)
    assert health(little) == "OK"


@given(cases())
def test_what_is_young_alarms_nobody_however_much(case: Case) -> None:
    assert health(replace(case, age_seconds=59.0, lost=0)) == "OK"


@given(cases(), st.integers(0, 1_000), seconds, seconds)
def test_higher_floors_never_alarm_more(case: Case, messages: int, age: float, old: float) -> None:
    higher = Floors(
        FLOORS.messages + messages, FLOORS.age_seconds + age, FLOORS.old_seconds + old, FLOORS.settle_seconds
    )
    assert health(case, higher) not in ALARMS or severity(health(case, higher)) <= severity(health(case))


@given(cases(), st.integers(0, 10**6), seconds)
def test_neither_the_clock_nor_where_offsets_begin_matters(case: Case, offset: int, later: float) -> None:
    moved = [one._replace(at=one.at + 64 * round(later), committed=one.committed + offset) for one in case.looks]
    assert health(replace(case, looks=moved)) == health(case)


@given(cases())
def test_rewind_is_said_only_of_an_offset_that_went_back(case: Case) -> None:
    offsets = [one.committed for one in case.looks]
    if health(case) == "REWIND":
        assert any(later < earlier for earlier, later in itertools.pairwise(offsets))
    forward = [one._replace(committed=number) for number, one in enumerate(case.looks)]
    assert health(replace(case, looks=forward)) != "REWIND"


@given(cases())
def test_stop_is_said_only_where_nobody_reads_and_stall_only_where_somebody_may(case: Case) -> None:
    found = health(case)
    if found == "STOP":
        assert case.reader == "nobody"
        last = [one for one in case.looks if case.now.at - one.at <= FLOORS.settle_seconds]
        assert {one.committed for one in (*last, case.looks[-2])} == {case.now.committed}
    if found == "STALL":
        assert len({one.committed for one in case.looks}) == 1
        assert case.span >= FLOORS.settle_seconds


@given(cases())
def test_a_reader_who_left_is_told_when_it_could_have_committed_twice(case: Case) -> None:
    left = replace(case, reader="nobody", age_seconds=120.0, lost=0, horizon_seconds=None)
    looks = [Look(float(second), 7, 5_000) for second in range(0, 12, 2)]
    assert health(replace(left, looks=looks)) == "STOP"
    for count in range(1, 6):
        assert health(replace(left, looks=looks[:count])) == "UNKNOWN"


@given(cases(), st.integers(0, 5))
def test_one_that_commits_without_being_a_member_has_not_stopped(case: Case, place: int) -> None:
    looks = [Look(2.0 * number, 7 + (number > place), 5_000 + number) for number in range(7)]
    reads = replace(case, looks=looks, reader="nobody", age_seconds=120.0, lost=0)
    assert health(reads) != "STOP"


@given(cases())
def test_one_look_says_nothing_of_a_direction(case: Case) -> None:
    assert health(replace(case, looks=[case.now], lost=0)) in {"OK", "UNKNOWN", "WARN"}
    assert health(replace(case, looks=[case.now], lost=0, horizon_seconds=None)) in {"OK", "UNKNOWN"}


@given(st.integers(2, 40), st.integers(100, 9_999), st.integers(1, 500))
def test_a_lag_that_only_grows_while_it_commits_is_warned_of(count: int, unread: int, more: int) -> None:
    looks = [Look(60.0 * number, number, unread + number * more) for number in range(count)]
    assert health(Case(looks, "member", age_seconds=120.0)) == "WARN"
    falling = [one._replace(unread=looks[-1 - number].unread) for number, one in enumerate(looks)]
    assert health(Case(falling, "member", age_seconds=120.0)) == "OK"


@given(cases(), st.integers(2, 40), st.integers(100, 9_999))
def test_an_offset_that_stands_still_with_somebody_there_stalls(case: Case, count: int, unread: int) -> None:
    # Whatever else is true of it: it is never caught up with either, and some day it will be deleted.
    looks = [Look(60.0 * number, 3, unread + number) for number in range(count)]
    assert health(replace(case, looks=looks, reader="member", age_seconds=120.0)) == "STALL"


@given(st.integers(1, 30), st.integers(100, 9_999))
def test_who_worked_and_left_has_stopped_after_a_minute(count: int, unread: int) -> None:
    worked = [Look(5.0 * number, number * 10, 0) for number in range(count)]
    left = [Look(5.0 * (count + number), count * 10, unread) for number in range(14)]
    for seen in range(1, 14):
        found = health(Case([*worked, *left[:seen]], "nobody", age_seconds=120.0))
        assert (found == "STOP") is (left[seen - 1].at - left[0].at > FLOORS.settle_seconds - 5.0)


def test_between_two_commits_lag_may_rise_without_a_warning_and_fall_without_an_all_clear() -> None:
    # It commits each 25 s, and each time it is further behind than the time before.
    behind = [Look(5.0 * n, n // 5 * 100, 1000 + n // 5 * 50 + n % 5 * 30) for n in range(60)]
    assert health(Case(behind, "member", age_seconds=120.0)) == "WARN"
    # The same, but what is left after a commit gets less.
    better = [Look(5.0 * n, n // 5 * 100, 1000 - n // 5 * 50 + n % 5 * 30) for n in range(60)]
    assert health(Case(better, "member", age_seconds=120.0)) == "OK"


def test_unread_records_that_will_be_deleted_first_are_warned_of() -> None:
    looks = [Look(60.0 * n, n * 10, 1000 - n) for n in range(5)]
    case = Case(looks, "member", age_seconds=120.0, catch_up_seconds=7_200.0, horizon_seconds=3_600.0)
    verdict = judge(case, FLOORS)
    assert verdict.health == "WARN"
    assert "takes 2 h to catch up with at these rates, and the oldest may be deleted in 1 h" in verdict.evidence


def test_the_last_rule_always_holds() -> None:
    assert RULES[-1].health == "WARN"
    assert RULES[-1].holds(Case((), "member"), FLOORS)
