from __future__ import annotations

from collections import Counter

import pytest
from builders import row

from schemas.sensitivity import Account
from streams.ops.pulse import metastable
from streams.ops.pulse.ages import ages_of, bin_of, middle_seconds
from streams.ops.pulse.headroom import budgets_of, headroom
from streams.ops.pulse.masks import mask
from streams.ops.pulse.metastable import Labels, judge, lower_end
from streams.ops.pulse.pairs import Pairs
from streams.ops.pulse.windows import FewNames, Window
from streams.stages.policy import Gate

START = 1_000_000.0


def test_a_window_forgets_what_is_too_old_and_counts_what_comes_too_late() -> None:
    window = Window(5.0, 4, START)
    window.add(("a",), START)
    window.advance(START + 14)
    window.add(("a",), START + 14)
    assert window.sums()["a",] == 2
    assert window.sums(1) == {("a",): 1}
    window.advance(START + 20)
    assert window.sums() == {("a",): 1}
    assert not window.reaches(START + 4)
    assert window.late == 1
    window.advance(START + 10_000)
    assert window.sums() == {}


def test_a_time_to_come_counts_as_now_and_drives_nothing_out() -> None:
    window = Window(5.0, 4, START)
    window.add(("a",), START)
    assert window.reaches(START + 86_400)
    window.add(("a",), START + 86_400)
    assert window.ahead == 1
    assert window.sums(1) == {("a",): 2}


def test_moments_are_the_sums_in_parts() -> None:
    window = Window(1.0, 10, START)
    for second in range(10):
        window.advance(START + second)
        window.add(("a",), START + second, second)
    assert [(at, sums["a",]) for at, sums in window.moments(10, 2)] == [
        (START, 1), (START + 2, 5), (START + 4, 9), (START + 6, 13), (START + 8, 17),
    ]  # fmt: skip
    assert window.start(2) == START + 8


def test_names_that_others_chose_are_few_and_short() -> None:
    names = FewNames(2, characters=5)
    assert [names.name(text) for text in ("a", "b", "c", "a")] == ["a", "b", None, "a"]
    names.keep({"b"})
    assert names.name("a long name") == "a lo…"
    assert names.full


def test_pairs_meet_whichever_side_comes_first_and_wait_in_bounded_number() -> None:
    pairs: Pairs[int] = Pairs(2)
    assert pairs.meet("x", "went", 1) is None
    assert pairs.meet("x", "came", 2) == 1
    assert pairs.meet("y", "came", 3) is None
    assert pairs.meet("y", "came", 4) is None
    assert pairs.meet("y", "went", 5) == 3
    assert pairs.meet("y", "went", 6) == 4
    assert len(pairs) == 0
    for number in range(5):
        pairs.meet(number, "came", number)
    assert (len(pairs), pairs.let_go) == (2, 3)


@pytest.mark.parametrize("seconds", [0.0011, 0.05, 1.0, 59.0, 86_400.0])
def test_an_age_is_told_to_within_five_percent(seconds: float) -> None:
    assert middle_seconds(bin_of(seconds)) == pytest.approx(seconds, rel=0.05)


def test_percentiles_of_ages() -> None:
    ages = ages_of(Counter(bin_of(second / 10) for second in range(1, 101)))
    assert ages.count == 100
    assert ages.p50_seconds == pytest.approx(5.0, rel=0.05)
    assert ages.p99_seconds == pytest.approx(9.9, rel=0.05)
    assert ages_of({}).p50_seconds is None
    assert ages_of({bin_of(0.0): 3}).p99_seconds == 0.0


def test_wilsons_interval_is_that_of_the_tables() -> None:
    assert lower_end(1, 10) == pytest.approx(0.0179, abs=5e-4)
    assert lower_end(0, 10) == 0.0
    assert lower_end(50, 100) == pytest.approx(0.4038, abs=5e-4)


def test_an_error_rate_that_goes_over_its_target_and_comes_back() -> None:
    calm = [Labels(float(place), 20, 1) for place in range(10)]
    storm = [Labels(10.0 + place, 20, 12) for place in range(6)]
    after = [Labels(16.0 + place, 20, 1) for place in range(14)]
    assert judge(calm, 0.1).standing == "steady"
    assert judge([*calm, *storm], 0.1).standing == "over"
    found = judge([*calm, *storm, *after], 0.1)
    assert found.standing == "returned"
    assert found.over_since is not None
    assert found.over_since.timestamp() == 10.0 + 1
    assert found.returned_at is not None
    assert found.returned_at.timestamp() == 21.0
    assert found.worst_rate == 0.6
    assert (found.labels, found.errors) == (600, 10 + 72 + 14)


def test_few_labels_alarm_nobody() -> None:
    assert judge([Labels(0.0, metastable.FEWEST_LABELS - 1, metastable.FEWEST_LABELS - 1)], 0.1).standing == "unknown"
    assert judge([Labels(0.0, 20, 4)], 0.1).standing == "steady"


def test_headroom_is_the_bound_less_what_may_still_go_wrong() -> None:
    gate = Gate(mode="strict", alpha=0.1, slack=3.0, rho=0.01)
    one = row(offered=100, drafts=Account(emitted=20, errors=2, pending=3, expected=0.3))
    assert headroom(one, "drafts", gate) == pytest.approx(0.1 * 20 + 3 + 1 - 2 - 3)
    expected = gate.model_copy(update={"mode": "expected"})
    assert headroom(one, "drafts", expected) == pytest.approx(6 - 2 - (2 + 5) / 5 * 0.3)


def test_users_at_the_limit_are_counted_and_not_named() -> None:
    gate = Gate(mode="strict")
    full = Account(emitted=10, errors=2, pending=2)
    rows = [
        row(key="ann", task="t", offered=10),
        row(key="bob", task="t", offered=10, drafts=full),
        row(key="cyd", task=None, offered=1),
        *(row(key=f"u{number}", task=f"task {number}") for number in range(5)),
    ]
    budgets = budgets_of(rows, gate, 100)
    found = budgets.by_task(2, b"salt")
    assert [(one.task, one.other, one.account, one.users) for one in found[:2]] == [
        ("t", False, "drafts", 2),
        ("t", False, "healed", 2),
    ]
    assert found[0].at_limit == 1
    assert found[0].headroom_worst == pytest.approx(0.1 * 10 + 3 + 0.1 - 4)
    assert found[0].worst_user == mask("bob", b"salt") != mask("bob", b"other")
    assert sum(one.users for one in found if one.account == "drafts") == len(rows)
    assert [one.other for one in found[4:]] == [True, True]
    assert "bob" not in "".join(one.model_dump_json() for one in found)


def test_an_earlier_row_of_a_user_changes_nothing_and_users_are_bounded() -> None:
    budgets = budgets_of([row(key=f"u{number}") for number in range(10)], Gate(), 4)
    assert (len(budgets), budgets.forgotten) == (4, 6)
    budgets.take(row(key="u9", task="late"), (0, 0))
    assert {one.task for one in budgets.by_task(5, b"")} == {None}
