from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from builders import TERMS, decision, feedback, healing, row, scene

from schemas.base import SCHEMA_VERSION
from schemas.dead import DeadReason
from schemas.names import Origin
from streams.kafka import wire
from streams.stages.admit import Refusal

AT = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_scene_is_a_cloud_event_in_binary_mode() -> None:
    message = wire.encode(scene(turn=3), at=AT.astimezone(timezone(timedelta(hours=2))))
    assert message.key == b"u"
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": wire.event_id(scene(turn=3), "source").encode(),
        "ce_type": b"scenestream.scene.v1",
        "ce_source": b"/scenestream/source",
        "ce_subject": b"d:3",
        "ce_time": b"2026-03-01T07:30:00.000Z",
        "ce_dataschema": b"urn:scenestream:scene:1",
        "content-type": b"application/json",
    }


def test_without_a_user_the_dialogue_is_the_key() -> None:
    assert wire.encode(scene(user=None), at=AT).key == b"d"
    assert wire.encode(feedback(accepted=True, user=None), at=AT).key == b"d"


def test_ids_follow_from_their_origin_and_nothing_else() -> None:
    early, late = (wire.encode(decision(), at=at, stage="resonance") for at in (AT, AT + timedelta(days=1)))
    assert wire.header(early.headers, "ce_id") == wire.header(late.headers, "ce_id")
    ids = {
        wire.event_id(scene(), "source"),
        wire.event_id(scene(), "resonance"),
        wire.event_id(decision(), "resonance"),
        wire.row_id("d:1", "resonance", 0),
        wire.row_id("d:1", "threshold", 0),
        wire.event_id(feedback(accepted=True), "source"),
        wire.event_id(feedback(accepted=False), "source"),
    }
    assert len(ids) == 7


def test_a_scene_has_one_outcome_by_id_whatever_it_went_through() -> None:
    assert wire.event_id(decision(), "resonance") == wire.event_id(decision(attempt=1), "resonance")


def test_a_decision_says_which_models_decided() -> None:
    stamp = wire.models_stamp({"encoder": "aa", "heads": "bb"})
    assert stamp == wire.models_stamp({"heads": "bb", "encoder": "aa"}) != wire.models_stamp({"encoder": "aa"})
    message = wire.encode(decision(), at=AT, stage="resonance", models=stamp)
    assert wire.header(message.headers, wire.MODELS) == stamp


def test_the_trace_is_handed_on_and_nothing_else() -> None:
    came = [("traceparent", PARENT.encode()), ("tracestate", b"k=v"), ("ce_id", b"x"), ("secret", b"y"), ("odd", None)]
    handed = wire.passed(came)
    assert handed == (("traceparent", PARENT.encode()), ("tracestate", b"k=v"))
    assert wire.encode(decision(), at=AT, stage="resonance", passed=handed).headers[-2:] == handed


def test_a_scene_that_goes_on_takes_its_verdict_along() -> None:
    verdict = decision(final=False)
    message = wire.encode(scene(), at=AT, stage="resonance", decision=verdict)
    carried = wire.header(message.headers, wire.DECISION)
    assert carried is not None
    assert wire.decode_decision(message.key, carried.encode()) == verdict


def test_a_row_tells_what_it_follows_from() -> None:
    message = wire.encode_row(row(), scene_id="d:1", stage="threshold", attempt=0, at=AT, outcome="learnt")
    assert wire.header(message.headers, "ce_id") == wire.row_id("d:1", "threshold", 0)
    assert wire.header(message.headers, wire.OUTCOME) == "learnt"
    assert wire.decode_row(message.key, message.value) == row()


def test_headers_are_not_needed() -> None:
    body = json.dumps({"type": "scene", "dialogue_id": "d", "turn": 1, "draft": "Yes."}).encode()
    read = wire.decode_scene(b"d", body, TERMS)
    assert not isinstance(read, Refusal)
    assert read.scene_id == "d:1"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"u", None, DeadReason.NO_VALUE),
        (b"u", b"", DeadReason.BROKEN_JSON),
        (b"u", b"\xff\xfe{", DeadReason.NOT_TEXT),
        (b"u", b"[1]", DeadReason.UNKNOWN_FORMAT),
        (b"u", b'{"type": "poem"}', DeadReason.UNKNOWN_FORMAT),
        (b"u", b'{"messages": []}', DeadReason.UNKNOWN_FORMAT),
        (b"u", b'{"type": "scene", "version": 2}', DeadReason.UNKNOWN_VERSION),
        (b"u", b'{"type": "scene", "dialogue_id": "d", "turn": 1}', DeadReason.WRONG_FIELDS),
        (b"u", feedback(accepted=True).model_dump_json().encode(), DeadReason.UNKNOWN_FORMAT),
        (b"somebody", scene().model_dump_json().encode(), DeadReason.WRONG_KEY),
        (None, scene().model_dump_json().encode(), DeadReason.WRONG_KEY),
        (b"\xff", scene().model_dump_json().encode(), DeadReason.WRONG_KEY),
    ],
)
def test_what_is_no_scene_is_refused(key: bytes | None, value: bytes | None, reason: DeadReason) -> None:
    refused = wire.decode_scene(key, value, TERMS)
    assert isinstance(refused, Refusal)
    assert refused.reason is reason
    assert refused.detail


def test_what_is_no_feedback_is_refused() -> None:
    refused = wire.decode_feedback(b"u", scene().model_dump_json().encode(), TERMS)
    assert isinstance(refused, Refusal)
    assert refused.reason is DeadReason.UNKNOWN_FORMAT


@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, True, "1", None])
def test_a_row_of_another_version_is_refused_and_never_misread(version: object) -> None:
    body = json.dumps({**row().model_dump(mode="json"), "version": version}).encode()
    refused = wire.decode_row(b"u", body)
    assert isinstance(refused, Refusal)
    assert refused.reason is DeadReason.UNKNOWN_VERSION


@pytest.mark.parametrize("body", [None, b"[]", b"{}", b"{", b'{"key": "u", "offered": -1}'])
def test_what_is_no_row_is_refused(body: bytes | None) -> None:
    assert isinstance(wire.decode_row(b"u", body), Refusal)


def test_a_healed_scene_comes_through_whole() -> None:
    healed = scene(attempt=1, origin=Origin.BRIDGE, healing=healing(gain=0.41), register="poetic")
    message = wire.encode(healed, at=AT, stage="bridge")
    assert wire.decode_scene(message.key, message.value, TERMS) == healed
