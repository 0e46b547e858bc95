from __future__ import annotations

import pytest

from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.ids import dialogue_id_of
from schemas.scene import Scene
from streams.replay.chat_log import read_dialogue
from streams.stages.admit import Refusal

Event = Scene | Feedback | Refusal


def said(role: str, content: object = "Good evening.", **fields: object) -> dict[str, object]:
    return {"role": role, "content": content} | fields


def read(*messages: object, context_turns: int = 32, **fields: object) -> list[Event]:
    return list(read_dialogue({"messages": list(messages)} | fields, context_turns))


def only(events: list[Event]) -> Event:
    (event,) = events
    return event


def test_each_assistant_turn_is_a_draft_in_its_context() -> None:
    first, second = read(
        said("system", "Be kind."), said("user", "Hello"), said("assistant", "Hi!"), said("user", "And?"),
        said("assistant", "Well."), id="d", user_id="u", task="chat",
    )  # fmt: skip
    assert isinstance(first, Scene)
    assert isinstance(second, Scene)
    assert (first.scene_id, first.turn, first.draft, first.key, first.task) == ("d:2", 2, "Hi!", "u", "chat")
    assert [(one.role, one.text) for one in first.context] == [("system", "Be kind."), ("user", "Hello")]
    assert (second.scene_id, second.turn, len(second.context)) == ("d:4", 4, 4)


def test_only_so_much_context_is_brought() -> None:
    event = read(*[said("user", str(n)) for n in range(9)], said("assistant"), context_turns=2)[-1]
    assert isinstance(event, Scene)
    assert [one.text for one in event.context] == ["7", "8"]


def test_without_an_id_the_words_name_the_dialogue() -> None:
    one, other = (only(read(said("user", text), said("assistant"))) for text in ("Hello", "Goodbye"))
    assert isinstance(one, Scene)
    assert isinstance(other, Scene)
    assert one.dialogue_id == dialogue_id_of([("user", "Hello"), ("assistant", "Good evening.")]) != other.dialogue_id
    assert one.key == one.dialogue_id


def test_numbers_serve_as_ids() -> None:
    event = only(read(said("assistant"), id=17, user_id=0))
    assert isinstance(event, Scene)
    assert (event.dialogue_id, event.user_id) == ("17", "0")


@pytest.mark.parametrize(
    ("rating", "value"), [("up", 1.0), ("down", 0.0), (1, 1.0), (0, 0.0), (0.3, 0.3), (True, 1.0), (False, 0.0)]
)
def test_a_rating_is_feedback_right_after_its_scene(rating: object, value: float) -> None:
    scene, feedback, following = read(said("assistant", rating=rating), said("assistant"), id="d", user_id="u")
    assert isinstance(scene, Scene)
    assert isinstance(feedback, Feedback)
    assert isinstance(following, Scene)
    assert (feedback.rating, feedback.scene_id, feedback.turn, feedback.key) == (value, scene.scene_id, 0, "u")


@pytest.mark.parametrize("rating", ["good", 2, -0.1, float("nan"), 10**400, [], {}])
def test_a_rating_that_is_none_is_refused_in_its_place(rating: object) -> None:
    scene, refusal = read(said("assistant", rating=rating))
    assert isinstance(scene, Scene)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is DeadReason.WRONG_FIELDS
    assert "`messages.0.rating`" in refusal.what


def test_ratings_of_what_others_said_are_no_feedback() -> None:
    assert [type(event) for event in read(said("user", rating="down"), said("assistant"))] == [Scene]


def test_the_talk_between_programs_is_left_out() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    event = only(
        read(said("developer", "Be brief."), call, said("tool", "42"), said("function", {}), said("assistant"))
    )
    assert isinstance(event, Scene)
    assert [(one.role, one.text) for one in event.context] == [("system", "Be brief.")]
    assert event.turn == 4


def test_a_content_in_parts_is_read_for_its_texts() -> None:
    content = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {}},
        {"type": "text", "text": "Yes"},
    ]
    event = only(read(said("assistant", content)))
    assert isinstance(event, Scene)
    assert event.draft == "Look:\nYes"


def test_an_empty_turn_is_dead_in_its_place_and_what_follows_does_not_see_it() -> None:
    refusal, event = read(said("assistant", " ", rating="up"), said("user", ""), said("assistant", "Yes"))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.what) == (DeadReason.EMPTY_DRAFT, "`messages.0.content` is empty")
    assert isinstance(event, Scene)
    assert (event.context, event.turn) == ((), 2)


def test_too_long_a_turn_is_dead_whoever_said_it() -> None:
    events = read(said("user", "x" * 65_537), said("assistant", "é" * 32_768), said("assistant", "é" * 32_769), id="d")
    assert [event.reason if isinstance(event, Refusal) else event.scene_id for event in events] == [
        DeadReason.TOO_LONG, "d:1", DeadReason.TOO_LONG,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "reason", "says"),
    [
        ({"messages": []}, DeadReason.WRONG_FIELDS, "`messages`"),
        ({"messages": "hello"}, DeadReason.WRONG_FIELDS, "`messages`"),
        ({"messages": [said("user"), "hello"]}, DeadReason.WRONG_FIELDS, "`messages.1` is not an object"),
        ({"messages": [said("assistant"), said("narrator")]}, DeadReason.UNKNOWN_ROLE, "`messages.1.role`"),
        ({"messages": [said("assistant"), {"content": "x"}]}, DeadReason.UNKNOWN_ROLE, "is None"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, DeadReason.UNKNOWN_ROLE, "['user']"),
        ({"messages": [said("assistant", 5)]}, DeadReason.WRONG_FIELDS, "`messages.0.content`"),
        ({"messages": [said("assistant", None)]}, DeadReason.WRONG_FIELDS, "`messages.0.content`"),
        ({"messages": [said("assistant")], "id": ""}, DeadReason.WRONG_FIELDS, "`id`"),
        ({"messages": [said("assistant")], "user_id": True}, DeadReason.WRONG_FIELDS, "`user_id`"),
        ({"messages": [said("assistant")], "task": {}}, DeadReason.WRONG_FIELDS, "`task`"),
        ({"messages": [said("assistant")], "id": "x" * 501}, DeadReason.WRONG_FIELDS, "`id`"),
    ],
)
def test_a_fault_of_the_whole_is_one_refusal(line: dict[str, object], reason: DeadReason, says: str) -> None:
    refusal = only(list(read_dialogue(line, 32)))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert says in refusal.what


def test_the_longest_id_leaves_room_for_the_turn() -> None:
    assert isinstance(only(read(said("assistant"), id="x" * 500)), Scene)
