from __future__ import annotations

import base64
from typing import Literal

import numpy as np
import pytest
from builders import decision, feedback, healing, row, scene
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas import topics
from schemas.base import Frozen
from schemas.dead import DeadLetter
from schemas.feedback import Feedback, Preference
from schemas.ids import dialogue_id_of, output_id
from schemas.scene import Scene
from schemas.sensitivity import DialogueRow, Sensitivity
from schemas.vector import Dtype, Vector


def vectors(bits: Literal[16, 32]) -> st.SearchStrategy[NDArray[np.floating]]:
    finite = st.floats(width=bits, allow_nan=False, allow_infinity=False)
    return arrays.arrays(f"<f{bits // 8}", st.integers(1, 50), elements=finite)


@given(vectors(32), vectors(16))
def test_a_vector_comes_back_to_the_bit(single: NDArray[np.floating], half: NDArray[np.floating]) -> None:
    kinds: tuple[tuple[NDArray[np.floating], Dtype], ...] = ((single, "float32"), (half, "float16"))
    for values, dtype in kinds:
        there = Vector.model_validate_json(Vector.pack(values, dtype).model_dump_json())
        assert there.to_numpy().dtype == np.float32
        assert there.to_numpy().tobytes() == values.astype(np.float32).tobytes()


@given(vectors(32))
def test_a_list_of_numbers_is_a_vector_too(values: NDArray[np.floating]) -> None:
    listed = Vector.model_validate(values.tolist())
    assert listed.to_numpy().tobytes() == values.tobytes()
    assert Vector.model_validate_json(listed.model_dump_json()) == listed


def test_bytes_on_the_wire_are_little_endian() -> None:
    big = np.array([1.0, -2.0], ">f4")
    assert Vector.pack(big).model_dump() == {
        "dtype": "float32",
        "base64": base64.b64encode(np.array([1.0, -2.0], "<f4").tobytes()).decode(),
    }


def packed(values: NDArray[np.floating]) -> str:
    return base64.b64encode(values.tobytes()).decode()


@pytest.mark.parametrize(
    "value",
    [
        [], [float("inf")], [1e39], [None], "x", 5, {}, {"base64": ""}, {"base64": "AAA"}, {"base64": "é"},
        {"base64": "AAAA", "dtype": "float64"}, {"base64": "AAAA", "dtype": "float32"},
        {"base64": packed(np.array([np.nan], "<f2"))},
        {"base64": packed(np.array([np.inf], "<f4")), "dtype": "float32"},
        {"base64": packed(np.array([0x7F800001], "<u4").view("<f4")), "dtype": "float32"},
        {"base64": "A" * 60_000}, [0.0] * 8193, {"base64": packed(np.zeros(8193, "<f2"))},
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_is_no_vector_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Vector.model_validate(value)


@pytest.mark.parametrize(
    "event",
    [
        scene(), scene(embedding=[0.5] * 4), scene(chain=[{"code": "a", "weight": 0.5}], register="dry"),
        scene(origin="bridge", healing=healing(), attempt=1), feedback(accepted=True), feedback(rating=0.25),
        feedback(preference=Preference(register="dry", brevity=1.0)), decision(), row(z=-0.1, offered=3),
        row(dialogues=(DialogueRow(dialogue_id="d", seen=1 << 255 | 1, base=7, last_turn=262),)),
        DeadLetter.model_validate({"source": "x", "line": 3, "reason": "duplicate", "detail": "y"}),
    ],
    ids=lambda event: type(event).__name__,
)  # fmt: skip
def test_an_event_is_what_its_line_says_and_never_changes(event: Frozen) -> None:
    again = type(event).model_validate_json(event.model_dump_json())
    assert again == event
    assert again.model_dump_json() == event.model_dump_json()
    assert '"version":1' in event.model_dump_json()
    with pytest.raises(ValidationError):
        event.version = 2  # type: ignore[attr-defined]
    with pytest.raises(ValidationError):
        type(event).model_validate(event.model_dump() | {"more": 1})


def test_windows_travel_as_hex_for_numbers_of_json_end_at_2_to_the_53() -> None:
    line = row(dialogues=(DialogueRow(dialogue_id="d", seen=1 << 255),)).model_dump_json()
    assert f'"seen":"8{"0" * 63}"' in line
    with pytest.raises(ValidationError):
        DialogueRow.model_validate({"dialogue_id": "d", "seen": "no hex"})


def test_a_row_has_a_like_for_each_register() -> None:
    with pytest.raises(ValidationError):
        Sensitivity(key="u", likes=(0.0,) * 3)


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (scene(), "u"), (scene(user=None), "d"), (feedback(accepted=True), "u"),
        (feedback(accepted=True, user=None), "d"), (decision(), "u"), (decision(user_id=None), "d"),
    ],
)  # fmt: skip
def test_events_of_a_scene_share_its_key(event: Scene | Feedback, key: str) -> None:
    assert event.key == key


@pytest.mark.parametrize(
    ("accepted", "rating", "error"),
    [(True, None, 0), (False, None, 1), (None, 0.5, 0), (None, 0.4999, 1), (True, 1, 0)],
)
def test_what_is_an_error(accepted: bool | None, rating: float | None, error: int) -> None:
    assert feedback(accepted=accepted, rating=rating).error == error
    assert feedback(preference=Preference()).error is None


def test_ids_follow_from_their_origin() -> None:
    assert output_id("d:1", "bridge", 1) == output_id("d:1", "bridge", 1)
    assert len({output_id("d:1", "bridge", 1), output_id("d:1", "bridge", 2), output_id("d:11", "bridge", 1)}) == 3
    assert dialogue_id_of([("user", "a"), ("user", "b")]) != dialogue_id_of([("user", "ab")])
    assert dialogue_id_of([("user", "\ud800")])
    assert len(dialogue_id_of([])) == len(output_id("", "", 0)) == 32


def test_topics_have_their_dead_ones_beside_them() -> None:
    assert topics.dead_topic(topics.SCENES) == "scenes.dead"
    assert len(set(topics.TOPICS)) == 8
