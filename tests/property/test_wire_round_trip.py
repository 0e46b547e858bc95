from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from builders import DIMENSIONS, TERMS, decision, row, scene
from hypothesis import given
from hypothesis import strategies as st

from schemas.decision import Decision, Parts
from schemas.feedback import Feedback, Preference
from schemas.names import REGISTERS, ROLES
from schemas.scene import Code, Scene, Utterance
from schemas.sensitivity import DialogueRow, Sensitivity
from schemas.vector import Vector
from streams.kafka import wire
from streams.stages.admit import MAX_TEXT_BYTES, Refusal, check_text

AT = datetime(2026, 3, 1, tzinfo=UTC)
texts = st.text(st.characters(codec="utf-8"), max_size=60)
drafts = texts.filter(lambda text: check_text(text, "") is None)
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
units = st.floats(0.0, 1.0)
turns = st.integers(0, 2**31)
registers = st.none() | st.sampled_from(REGISTERS)
chains = st.lists(st.sampled_from(("step", "tension", "morning")), unique=True, max_size=3).map(
    lambda codes: tuple(Code(code=code, weight=0.5) for code in codes)
)
numbers = st.floats(-4.0, 4.0, width=16).filter(lambda number: abs(number) > 0.01)
embeddings = st.builds(
    lambda values, dtype: Vector.pack(np.asarray(values, np.float32), dtype),
    st.lists(numbers, min_size=DIMENSIONS, max_size=DIMENSIONS),
    st.sampled_from(("float16", "float32")),
)
scenes = st.builds(
    Scene,
    dialogue_id=ids,
    user_id=st.none() | ids,
    task=st.none() | ids,
    turn=turns,
    context=st.lists(st.builds(Utterance, role=st.sampled_from(ROLES), text=texts), max_size=3).map(tuple),
    draft=drafts,
    embedding=st.none() | embeddings,
    chain=st.none() | chains,
    register=registers,
)
opinions = st.builds(
    Feedback,
    dialogue_id=ids,
    user_id=st.none() | ids,
    turn=turns,
    rating=units,
    preference=st.none() | st.builds(Preference, register=registers, brevity=st.none() | units),
)
decisions = st.builds(
    lambda one, parts, resonance: decision(
        dialogue_id=one.dialogue_id, user_id=one.user_id, parts=parts, resonance=resonance, chain=one.chain or ()
    ),
    scenes,
    st.builds(Parts, intent=st.none() | units, fidelity=st.none() | st.floats(-1.0, 1.0)),
    units,
)
rows = st.builds(
    lambda key, z, bits: row(key=key, z=z, dialogues=(DialogueRow(dialogue_id="d", seen=bits, last_turn=3),)),
    ids,
    st.floats(-9.0, 9.0),
    st.integers(0, 2**256 - 1),
)


@given(scenes)
def test_a_scene_comes_through_as_it_was(one: Scene) -> None:
    message = wire.encode(one, at=AT)
    assert wire.decode_scene(message.key, message.value, TERMS) == one


@given(opinions)
def test_feedback_comes_through_as_it_was(one: Feedback) -> None:
    message = wire.encode(one, at=AT)
    assert wire.decode_feedback(message.key, message.value, TERMS) == one


@given(decisions)
def test_a_decision_comes_through_to_the_last_bit(one: Decision) -> None:
    message = wire.encode(one, at=AT, stage="resonance")
    assert wire.decode_decision(message.key, message.value) == one


@given(rows)
def test_a_row_comes_through_to_the_last_bit(one: Sensitivity) -> None:
    message = wire.encode_row(one, scene_id="d:1", stage="resonance", attempt=0, at=AT)
    assert wire.decode_row(message.key, message.value) == one


@given(st.none() | st.binary(max_size=60), st.none() | st.binary(max_size=200))
def test_no_bytes_raise(key: bytes | None, value: bytes | None) -> None:
    for read in (
        wire.decode_scene(key, value, TERMS),
        wire.decode_feedback(key, value, TERMS),
        wire.decode_decision(key, value),
        wire.decode_row(key, value),
    ):
        assert isinstance(read, Refusal)


@given(scenes, st.integers(0, 400), st.binary(max_size=3))
def test_a_message_with_a_hole_is_read_or_refused(one: Scene, place: int, hole: bytes) -> None:
    message = wire.encode(one, at=AT)
    body = message.value[:place] + hole + message.value[place + 1 :]
    assert isinstance(wire.decode_scene(message.key, body, TERMS), Scene | Refusal)


@given(st.integers(MAX_TEXT_BYTES - 2, MAX_TEXT_BYTES + 2))
def test_the_limit_of_a_text_is_sharp(size: int) -> None:
    message = wire.encode(scene(draft="x" * size), at=AT)
    read = wire.decode_scene(message.key, message.value, TERMS)
    assert isinstance(read, Refusal) == (size > MAX_TEXT_BYTES)
