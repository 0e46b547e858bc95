from __future__ import annotations

import pytest
from builders import feedback, judged, policy, reading, row, scene

from schemas.sensitivity import Sensitivity
from streams.runtimes import rows
from streams.runtimes.rows import RowStore
from streams.stages.threshold import tune


def lived(key: str) -> Sensitivity:
    rules = policy(expiry_turns=12)
    after = row(key=key)
    for turn in range(1, 40, 3):
        after = judged(scene(turn, user=key), reading(p_form=0.7, voice="poetic"), after, rules).row
        after = tune(after, feedback(turn, accepted=turn % 2 == 0, user=key), rules.gate).row
    return after


@pytest.fixture
def two_in_use(monkeypatch: pytest.MonkeyPatch) -> RowStore:
    monkeypatch.setattr(rows, "_ROWS_IN_USE", 2)
    return RowStore()


def test_a_new_key_gets_a_new_row() -> None:
    store = RowStore()
    assert store.get("u") == Sensitivity(key="u")
    assert list(store) == []


def test_rows_at_rest_come_back_as_they_were(two_in_use: RowStore) -> None:
    kept = {key: lived(key) for key in "abcde"}
    for one in kept.values():
        two_in_use.put(one)
    assert len(two_in_use._in_use) == 2
    assert len(two_in_use._at_rest) == 3
    for key in "aebdcab":
        assert two_in_use.get(key) == kept[key]
    assert len(two_in_use._in_use) == 2
    assert list(two_in_use) == [kept[key] for key in "abcde"]


def test_a_row_at_rest_is_small(two_in_use: RowStore) -> None:
    for key in "abc":
        two_in_use.put(lived(key))
    assert len(two_in_use._at_rest["a"]) < 700


def test_the_row_last_put_is_the_one_kept_even_over_one_at_rest(two_in_use: RowStore) -> None:
    for key in "abc":
        two_in_use.put(row(key=key))
    two_in_use.put(row(key="a", z=1.0))
    assert [one.z for one in two_in_use] == [1.0, 0.0, 0.0]
    assert two_in_use.get("a").z == 1.0
