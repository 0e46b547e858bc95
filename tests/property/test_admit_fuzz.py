"""Whatever stands on a line, admit answers: with an event, or with one line on why not."""

from __future__ import annotations

import json
from collections.abc import Callable

from builders import TERMS, feedback, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.dead import DeadLetter, DeadReason
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.replay.chat_log import read_dialogue
from streams.replay.items import Where
from streams.stages.admit import REMEDIES, Refusal, admit, read_json

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "user", "assistant", "system", "tool", "scene", "feedback", "dry", "\u2028", "\x1b", "a\nb"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted({*Scene.model_fields, *Feedback.model_fields})
VALID: tuple[dict[str, object], ...] = tuple(
    event.model_dump(mode="json")
    for event in (
        scene(),
        scene(embedding=[0.5] * 4, draft="x"),
        scene(chain=[{"code": "a"}], register="dry"),
        feedback(accepted=True),
        feedback(rating=0.5),
    )
)


@st.composite
def mutants(draw: Callable[[st.SearchStrategy[object]], object]) -> dict[str, object]:
    """A valid event with up to three of its fields, at any depth, set to anything or taken away."""
    event: object = json.loads(json.dumps(draw(st.sampled_from(VALID))))
    assert isinstance(event, dict)
    for _ in range(int(str(draw(st.integers(1, 3))))):
        inside: object = event
        while True:
            names = sorted(inside) if isinstance(inside, dict) else list(range(len(inside)))  # type: ignore[arg-type]
            known = names or [str(draw(st.sampled_from(FIELDS)))]
            name = draw(st.sampled_from(known) | st.sampled_from(FIELDS)) if inside is event else known[0]
            below = inside.get(name) if isinstance(inside, dict) else inside[name] if names else None  # type: ignore[index]
            if isinstance(below, dict | list) and below and draw(st.booleans()):
                inside = below
                continue
            break
        if isinstance(inside, dict) and draw(st.booleans()):
            inside.pop(name, None)
        elif isinstance(inside, dict) or names:
            inside[name] = draw(values)  # type: ignore[index]
    return event


def check(answer: Scene | Feedback | Refusal) -> None:
    if isinstance(answer, Refusal):
        assert answer.reason in REMEDIES
        assert answer.detail.isprintable()
        assert len(answer.detail.splitlines()) == 1
        letter = Where("log.jsonl", 1, b"\xff").dead(answer)
        assert DeadLetter.model_validate_json(letter.model_dump_json()) == letter
    else:
        assert type(answer).model_validate_json(answer.model_dump_json()) == answer


@given(values)
def test_any_json_value_is_answered(value: object) -> None:
    check(admit(value, TERMS))


@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=8), st.sampled_from(["scene", "feedback"]))
def test_any_object_that_calls_itself_an_event_is_answered(event: dict[str, object], kind: str) -> None:
    check(admit(event | {"type": kind}, TERMS))


@settings(max_examples=200)
@given(mutants())
def test_any_mutant_of_a_valid_event_is_answered(event: dict[str, object]) -> None:
    check(admit(event, TERMS))


@given(st.binary(max_size=60))
def test_any_bytes_are_answered(line: bytes) -> None:
    value = read_json(line)
    check(value if isinstance(value, Refusal) else admit(value, TERMS))


@given(st.sampled_from(VALID), st.integers(0, 400), st.binary(max_size=3))
def test_a_line_with_bytes_overwritten_is_answered(event: dict[str, object], at: int, patch: bytes) -> None:
    line = json.dumps(event, ensure_ascii=False).encode()
    value = read_json(line[:at] + patch + line[at + len(patch) :])
    check(value if isinstance(value, Refusal) else admit(value, TERMS))


@given(st.sampled_from(VALID))
def test_valid_events_are_admitted(event: dict[str, object]) -> None:
    assert not isinstance(admit(event, TERMS), Refusal)


messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "developer", "tool", "narrator"]) | values,
        "content": st.text(max_size=10)
        | values
        | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": values})),
        "rating": st.sampled_from(["up", "down", 0, 1, 0.5, True]) | values,
        "tool_calls": values,
    },
)
dialogues = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(messages | values, max_size=5) | values,
        "id": st.text(max_size=600) | values,
        "user_id": st.sampled_from(["u", 7, "x" * 512]) | values,
        "task": values,
    },
)


@settings(max_examples=200)
@given(dialogues, st.integers(1, 5))
def test_any_dialogue_is_read(line: dict[str, object], context_turns: int) -> None:
    for event in read_dialogue(line, context_turns):
        check(event)


@given(
    st.text(min_size=1) | st.sampled_from(["x" * 500, "x" * 501]) | st.integers(),
    st.lists(st.text(max_size=5), max_size=5),
)
def test_any_words_of_a_dialogue_become_scenes_or_refusals(name: str | int, said: list[str]) -> None:
    line = {"id": name, "messages": [{"role": "assistant", "content": text, "rating": "up"} for text in said]}
    events = list(read_dialogue(line, 32))
    scenes = [event for event in events if isinstance(event, Scene)]
    ratings = [event for event in events if isinstance(event, Feedback)]
    refused = [event for event in events if isinstance(event, Refusal)]
    if any(refusal.reason is DeadReason.WRONG_FIELDS for refusal in refused):
        assert len(events) == 1
        return
    assert len(scenes) == len(ratings)
    assert len(scenes) + len(refused) == len(said)
    assert [event.scene_id for event in ratings] == [event.scene_id for event in scenes]
