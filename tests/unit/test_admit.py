from __future__ import annotations

import json

import pytest
from builders import TERMS, feedback, scene

from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import DialogueRow
from streams.stages import rows
from streams.stages.admit import (
    MAX_TEXT_BYTES,
    REMEDIES,
    Refusal,
    admit,
    check_fresh,
    check_text,
    place,
    read_json,
    unknown_scene,
)

SCENE: dict[str, object] = {"type": "scene", "dialogue_id": "d", "turn": 3, "draft": "Yes."}
FEEDBACK: dict[str, object] = {"type": "feedback", "dialogue_id": "d", "turn": 3, "accepted": True}
UNIT = [0.5, 0.5, 0.5, 0.5]


def admitted(**fields: object) -> Scene:
    event = admit(SCENE | fields, TERMS)
    assert isinstance(event, Scene)
    return event


@pytest.mark.parametrize(
    "text",
    [
        "😀", "👩‍👩‍👧", "שלום עולם", "مرحبا", "\u200bYes\u200d.", "\u202eright to left\u202c", "Да, входите.", "…",
        "a\x00b", "é" * (MAX_TEXT_BYTES // 2), " " * 5000 + "late words",
    ],
    ids=lambda text: ascii(text[:8]),
)  # fmt: skip
def test_any_words_are_admitted(text: str) -> None:
    assert admitted(draft=text, context=[{"role": "user", "text": text}]).draft == text


def test_an_empty_context_is_admitted() -> None:
    assert admitted(context=[]).context == ()
    assert admitted(context=[{"role": "system", "text": ""}]).context[0].text == ""


def test_a_scene_may_come_as_an_embedding() -> None:
    given = admitted(draft=None, embedding=UNIT)
    assert given.embedding is not None
    assert given.embedding.to_numpy().tolist() == UNIT


def test_a_chain_comes_out_in_the_lexicons_own_codes() -> None:
    given = admitted(draft=None, chain=[{"code": "Entrance"}, {"code": "tremor", "weight": 0.5}])
    assert [(code.code, code.weight) for code in given.chain or ()] == [("entrance", 1.0), ("tremor", 0.5)]


def test_ids_follow_from_the_dialogue_and_the_turn() -> None:
    assert admitted().scene_id == "d:3"
    assert admitted(scene_id="mine").scene_id == "mine"
    given = admit(FEEDBACK, TERMS)
    assert isinstance(given, Feedback)
    assert given.scene_id == "d:3"


BAD: list[tuple[object, DeadReason, str]] = [
    ([], DeadReason.UNKNOWN_FORMAT, "a list"),
    ("scene", DeadReason.UNKNOWN_FORMAT, "a text"),
    (None, DeadReason.UNKNOWN_FORMAT, "null"),
    (True, DeadReason.UNKNOWN_FORMAT, "true or false"),
    (1.5, DeadReason.UNKNOWN_FORMAT, "a number"),
    ({}, DeadReason.UNKNOWN_FORMAT, "`type` is none of ours: None"),
    ({"type": "decision"}, DeadReason.UNKNOWN_FORMAT, "'decision'"),
    ({"type": ["scene"]}, DeadReason.UNKNOWN_FORMAT, "['scene']"),
    (SCENE | {"version": 2}, DeadReason.UNKNOWN_VERSION, "`version` is not 1: 2"),
    (SCENE | {"version": "1"}, DeadReason.UNKNOWN_VERSION, "'1'"),
    (SCENE | {"version": True}, DeadReason.UNKNOWN_VERSION, "True"),
    (SCENE | {"version": None}, DeadReason.UNKNOWN_VERSION, "None"),
    ({"type": "scene"}, DeadReason.WRONG_FIELDS, "`dialogue_id`"),
    (SCENE | {"dialogue_id": ""}, DeadReason.WRONG_FIELDS, "`dialogue_id`"),
    (SCENE | {"dialogue_id": 7}, DeadReason.WRONG_FIELDS, "`dialogue_id`"),
    (SCENE | {"turn": -1}, DeadReason.WRONG_FIELDS, "`turn`"),
    (SCENE | {"turn": "3"}, DeadReason.WRONG_FIELDS, "`turn`"),
    (SCENE | {"turn": 3.0}, DeadReason.WRONG_FIELDS, "`turn`"),
    (SCENE | {"turn": True}, DeadReason.WRONG_FIELDS, "`turn`"),
    (SCENE | {"turn": float("nan")}, DeadReason.WRONG_FIELDS, "`turn`"),
    (SCENE | {"drafts": "Yes."}, DeadReason.WRONG_FIELDS, "`drafts`"),
    (SCENE | {"draft": 5}, DeadReason.WRONG_FIELDS, "`draft`"),
    (SCENE | {"draft": None}, DeadReason.WRONG_FIELDS, "brings none"),
    (SCENE | {"draft": None, "chain": []}, DeadReason.WRONG_FIELDS, "brings none"),
    (SCENE | {"origin": "bridge"}, DeadReason.WRONG_FIELDS, "healing"),
    (SCENE | {"context": [{"role": "user"}]}, DeadReason.WRONG_FIELDS, "`context.0.text`"),
    (SCENE | {"context": [{"role": "narrator", "text": "x"}]}, DeadReason.UNKNOWN_ROLE, "`context.0.role`"),
    (SCENE | {"register": "loud"}, DeadReason.UNKNOWN_REGISTER, "`register`"),
    (SCENE | {"chain": [{"code": "x" * 50}]}, DeadReason.UNKNOWN_CODE, "`chain.0.code`"),
    (SCENE | {"chain": [{"code": "a"}, {"code": "A"}]}, DeadReason.WRONG_FIELDS, "repeats 'a'"),
    (SCENE | {"chain": [{"code": "a", "weight": float("nan")}]}, DeadReason.WRONG_FIELDS, "`chain.0.weight`"),
    (SCENE | {"chain": [{"code": str(n)} for n in range(6)]}, DeadReason.WRONG_FIELDS, "`chain`"),
    (SCENE | {"embedding": UNIT[:3]}, DeadReason.WRONG_VECTOR, "has 3 numbers, the encoder gives 4"),
    (SCENE | {"embedding": [0.5, float("nan"), 0.5, 0.5]}, DeadReason.WRONG_VECTOR, "finite"),
    (SCENE | {"embedding": [1e300, 0.5, 0.5, 0.5]}, DeadReason.WRONG_VECTOR, "finite"),
    (SCENE | {"embedding": [0.5, "x", 0.5, 0.5]}, DeadReason.WRONG_VECTOR, "`embedding.1`: Input should be a valid n"),
    (SCENE | {"embedding": [0.0] * 4}, DeadReason.WRONG_VECTOR, "length 0"),
    (SCENE | {"embedding": [3e38] * 4}, DeadReason.WRONG_VECTOR, "length 6e+38"),
    (SCENE | {"embedding": []}, DeadReason.WRONG_VECTOR, "has 0"),
    (SCENE | {"embedding": {"base64": "!"}}, DeadReason.WRONG_VECTOR, "`embedding.base64`"),
    (SCENE | {"embedding": {"dtype": "float64", "base64": ""}}, DeadReason.WRONG_VECTOR, "`embedding.dtype`"),
    (SCENE | {"embedding": "zzz"}, DeadReason.WRONG_VECTOR, "`embedding`"),
    (SCENE | {"draft": ""}, DeadReason.EMPTY_DRAFT, "`draft` is empty"),
    (SCENE | {"draft": " \n\t\u200b\u00a0\ufeff"}, DeadReason.EMPTY_DRAFT, "`draft` is empty"),
    (SCENE | {"draft": "é" * (MAX_TEXT_BYTES // 2 + 1)}, DeadReason.TOO_LONG, f"`draft` is {MAX_TEXT_BYTES + 2} bytes"),
    (
        SCENE | {"context": [{"role": "user", "text": "x" * (MAX_TEXT_BYTES + 1)}]},
        DeadReason.TOO_LONG,
        "`context.0.text`",
    ),
    (FEEDBACK | {"accepted": None}, DeadReason.WRONG_FIELDS, "brings none"),
    (FEEDBACK | {"rating": 0.2}, DeadReason.WRONG_FIELDS, "contradict"),
    (FEEDBACK | {"rating": 1.5}, DeadReason.WRONG_FIELDS, "`rating`"),
    (FEEDBACK | {"preference": {"register": "loud"}}, DeadReason.UNKNOWN_REGISTER, "`preference.register`"),
    (FEEDBACK | {"turn": 1.0}, DeadReason.WRONG_FIELDS, "`turn`"),
]


@pytest.mark.parametrize(("value", "reason", "says"), BAD)
def test_what_cannot_be_admitted_says_why_and_what_to_do(value: object, reason: DeadReason, says: str) -> None:
    refusal = admit(value, TERMS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert says in refusal.detail
    assert refusal.detail.endswith(REMEDIES[reason])
    assert len(refusal.detail.splitlines()) == 1


def test_every_reason_has_a_remedy() -> None:
    assert set(REMEDIES) == set(DeadReason)


def test_what_others_wrote_cannot_break_the_line_nor_fill_the_screen() -> None:
    for name in ("a\nb", "a\u2028b", "\x1b[2J", "x" * 10_000):
        refusal = admit(SCENE | {name: 1}, TERMS)
        assert isinstance(refusal, Refusal)
        assert refusal.detail.isprintable()
        assert len(refusal.detail) < 400


@pytest.mark.parametrize(
    ("line", "reason", "says"),
    [
        (b"{", DeadReason.BROKEN_JSON, "not JSON"),
        (b"", DeadReason.BROKEN_JSON, "not JSON"),
        (b'{"a": 1} trailing', DeadReason.BROKEN_JSON, "trailing"),
        (b"[" * 5000, DeadReason.BROKEN_JSON, "recursion"),
        (b'{"draft": "\\ud800"}', DeadReason.BROKEN_JSON, "not JSON"),
        (b'{"turn": ' + b"9" * 5000 + b"}", DeadReason.BROKEN_JSON, "not JSON"),
        (b'{"draft": "\xff"}', DeadReason.NOT_TEXT, "byte 11 is not UTF-8"),
    ],
)
def test_a_line_that_is_no_json_says_where(line: bytes, reason: DeadReason, says: str) -> None:
    refusal = read_json(line)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert says in refusal.detail


def test_a_line_of_json_is_what_it_says_with_a_byte_order_mark_or_without() -> None:
    line = json.dumps(SCENE).encode()
    assert read_json(line) == read_json(b"\xef\xbb\xbf" + line) == SCENE


def test_a_log_holds_no_scene_that_was_healed() -> None:
    assert check_fresh(scene()) is None
    for given in (scene(attempt=1), scene().model_copy(update={"origin": "bridge"})):
        refusal = check_fresh(given)
        assert refusal is not None
        assert refusal.reason is DeadReason.WRONG_FIELDS


def test_a_turn_is_told_its_place() -> None:
    dialogue = rows.see(rows.see(DialogueRow(dialogue_id="d"), 3), 5)
    assert place(scene(6), dialogue) is None
    # Whatever it is called now.
    duplicate, disorder = place(scene(3, scene_id="another"), dialogue), place(scene(4), dialogue)
    assert duplicate is not None
    assert disorder is not None
    assert (duplicate.reason, disorder.reason) == (DeadReason.DUPLICATE, DeadReason.OUT_OF_ORDER)
    assert disorder.what == "turn 4 of dialogue d came after turn 5"


def test_feedback_for_a_scene_that_is_not_known_says_which() -> None:
    assert "no scene d:9 within the last 256 turns" in unknown_scene(feedback(9, accepted=True)).detail


def test_a_text_of_marks_alone_is_a_text() -> None:
    assert check_text("?!", "`draft`") is None
    assert check_text("\u200e\u200f", "`draft`") is not None
