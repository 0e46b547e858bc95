from __future__ import annotations

import pytest
from builders import row

from schemas.sensitivity import Account, Sensitivity
from streams.stages.policy import Gate, Priors
from streams.stages.priors import SHRINKAGE_USERS, Taught, fold

GATE = Gate()


def taught(key: str, z: float, task: str | None = "booking", priors: Priors | None = None) -> Taught:
    return Taught(row(key=key, z=z, task=task), GATE, priors or Priors())


def test_a_task_is_the_shrunk_mean_of_its_users_shifts() -> None:
    folded = fold([taught("a", 10.0), taught("b", 30.0)], Priors())
    everyone = (0.1 + 0.3) / (2 + SHRINKAGE_USERS)
    assert folded.priors.everyone == pytest.approx(everyone, abs=1e-4)
    assert folded.priors.tasks["booking"] == pytest.approx((0.4 + SHRINKAGE_USERS * everyone) / 7, abs=1e-4)
    assert (folded.everyone.users, folded.everyone.mean) == (2, pytest.approx(0.2))


def test_a_users_shift_is_clipped_as_their_threshold_was() -> None:
    folded = fold([taught("a", 1000.0)], Priors())
    assert folded.everyone.mean == pytest.approx(GATE.clip_user[1])


def test_the_version_rises_and_tasks_without_rows_stay() -> None:
    before = Priors(version=4, everyone=0.05, tasks={"writing": -0.02})
    folded = fold([taught("a", 10.0)], before).priors
    assert folded.version == 5
    assert folded.tasks["writing"] == pytest.approx(-0.02)


def test_rows_that_no_label_reached_teach_nothing() -> None:
    before = Priors(version=1, everyone=0.05)
    folded = fold([taught("a", 0.0), taught("b", 0.0)], before)
    assert folded.everyone.users == 0
    assert folded.priors.everyone == pytest.approx(0.05)


def test_a_user_whose_labels_even_out_counts_as_one_who_is_content() -> None:
    even = row(key="a", task="booking").model_copy(update={"drafts": Account(emitted=10, labelled=10)})
    assert fold([Taught(even, GATE, Priors())], Priors()).everyone.users == 1


def test_what_a_run_learnt_comes_on_top_of_the_priors_it_ran_with() -> None:
    before = Priors(version=1, everyone=0.1, tasks={"booking": 0.2})
    settled = fold([taught(f"user{n}", 1e-6, priors=before) for n in range(50)], before).priors
    assert settled.tasks["booking"] == pytest.approx(0.2, abs=1e-3)


def test_a_user_of_two_runs_counts_once() -> None:
    folded = fold([taught("a", 10.0), taught("a", 30.0), taught("b", 20.0)], Priors())
    assert (folded.everyone.users, folded.everyone.mean) == (2, pytest.approx(0.2))


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [taught(f"u{n}", float(n) * 1.7, task=f"t{n % 3}") for n in range(20)]
    assert fold(rows, Priors()) == fold(rows[::-1], Priors())


def test_users_without_a_task_count_for_everyone_alone() -> None:
    folded = fold([taught("a", 10.0, task=None)], Priors()).priors
    assert folded.tasks == {}
    assert folded.everyone > 0


def test_a_row_read_again_folds_alike() -> None:
    one = taught("a", 12.3)
    again = Taught(Sensitivity.model_validate_json(one.row.model_dump_json()), GATE, Priors())
    assert fold([one], Priors()) == fold([again], Priors())
