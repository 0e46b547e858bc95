from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import measures
from models.arrays import unit
from models.situation import Situation, context_vector, weigh_context

AXES = np.eye(4, dtype=np.float32)


def directions(rows: int, seed: int) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32))


def test_cosines_of_no_rows_are_none() -> None:
    assert measures.cosines(AXES[0], np.zeros((0, 4), np.float32)).shape == (0,)
    assert measures.cosines(AXES[0], AXES).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_activation_is_the_highest_of_context_and_memory() -> None:
    assert measures.activation(np.array([0.1, 0.4])) == 0.4
    assert measures.activation(np.array([0.1, 0.4]), [0.2, 0.7]) == 0.7
    assert measures.activation(np.array([]), [0.2]) == 0.2
    assert measures.activation(np.array([-0.2])) == -0.2
    assert measures.activation(np.array([])) == 0.0


def test_depth_is_the_expected_age() -> None:
    assert measures.depth(np.array([])) == 0.0
    assert measures.depth(np.array([0.9])) == 0.0
    assert measures.depth(np.array([0.1, 0.9])) == pytest.approx(0.0, abs=1e-6)
    assert measures.depth(np.array([0.9, 0.1, 0.1])) == pytest.approx(1.0, abs=1e-6)
    assert measures.depth(np.array([0.3, 0.3, 0.3])) == pytest.approx(0.5)
    older = math.exp(0.35 / 0.05)
    assert measures.depth(np.array([0.35, 0.0])) == pytest.approx(older / (older + 1))


def test_field_weighs_what_agrees_with_the_context() -> None:
    vectors = AXES[[[0, 1, 2], [0, 1, 2], [0, 0, 0]]]
    weights = np.array([[2, 1, 1], [0, 1, 0], [0, 0, 0]], np.float32)
    contexts = np.stack([AXES[0], -AXES[1], AXES[0]])
    assert measures.field(vectors, weights, contexts).tolist() == [0.5, 0.0, 0.0]


def test_field_of_an_empty_context_is_zero() -> None:
    assert measures.field(AXES[None, :2], np.ones((1, 2), np.float32), np.zeros((1, 4), np.float32)).tolist() == [0.0]


def test_tension_grows_as_codes_pull_apart() -> None:
    vectors = np.stack([AXES[[0, 0]], AXES[[0, 1]], np.stack([AXES[0], -AXES[0]]), AXES[[0, 1]], AXES[[0, 1]]])
    weights = np.array([[1, 2], [1, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    assert measures.tension(vectors, weights).tolist() == pytest.approx([0.0, 1 - math.sqrt(0.5), 1.0, 0.0, 0.0])


def test_density_counts_codes_per_ten_words() -> None:
    assert measures.density(3, "one two three four five six", k=3) == 5.0
    assert measures.density(3, "  🙂 ", k=3) == 30.0
    assert measures.density(3, " ", k=3) == 30.0
    assert measures.density(2, None, k=3) == pytest.approx(2 / 3)


@given(seed=st.integers(0, 999), chains=st.integers(1, 9), codes=st.integers(1, 5))
def test_chain_measures_are_bounded_and_do_not_depend_on_the_batch(seed: int, chains: int, codes: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = directions(chains * codes, seed).reshape(chains, codes, 8)
    weights = rng.random((chains, codes), np.float32)
    contexts = directions(chains, seed + 1)
    field, tension = measures.field(vectors, weights, contexts), measures.tension(vectors, weights)
    for values in (field, tension):
        assert values.dtype == np.float32
        assert ((values >= 0) & (values <= 1)).all()
    for row in range(chains):
        one = slice(row, row + 1)
        assert measures.field(vectors[one], weights[one], contexts[one])[0] == field[row]
        assert measures.tension(vectors[one], weights[one])[0] == tension[row]


@given(st.lists(st.floats(-1, 1), max_size=30))
def test_depth_is_bounded(context: list[float]) -> None:
    assert 0.0 <= measures.depth(np.array(context)) <= 1.0


def situation(turns: NDArray[np.float32]) -> Situation:
    return Situation(None, None, ("",) * len(turns), ("user",) * len(turns), turns)


def test_the_context_vector_halves_with_each_turn_back() -> None:
    expected = unit(AXES[2] + AXES[1] / 2 + AXES[0] / 4)
    np.testing.assert_allclose(context_vector(situation(AXES[:3])), expected, atol=1e-7)


def test_the_context_vector_of_nothing_is_zero() -> None:
    assert context_vector(situation(np.zeros((0, 4), np.float32))).tolist() == [0.0] * 4


@given(seed=st.integers(0, 999), turns=st.integers(1, 12))
def test_the_context_vector_has_unit_length(seed: int, turns: int) -> None:
    assert np.linalg.norm(weigh_context(directions(turns, seed))) == pytest.approx(1.0, abs=1e-6)


@given(seed=st.integers(0, 999), older=st.integers(1, 5))
def test_the_context_vector_forgets_what_is_older_than_six_turns(seed: int, older: int) -> None:
    recent = directions(6, seed)
    longer = np.concatenate([directions(older, seed + 1), recent])
    np.testing.assert_array_equal(weigh_context(longer), weigh_context(recent))


def test_rows_of_zeros_have_no_unit() -> None:
    np.testing.assert_allclose(unit(np.array([[0, 0], [3, 4]], np.float32)), [[0, 0], [0.6, 0.8]], atol=1e-7)
