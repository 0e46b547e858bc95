"""The wire: events as messages, JSON in the value and CloudEvents 1.0 in the headers, and back again.

The body decides: a message without our headers is read like any other. The key decides the partition and so who writes
the key's row: a message under another key than its event's is refused. Ids follow from their origin, so that a repeat
is recognisable. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from schemas.base import SCHEMA_VERSION, unknown_version
from schemas.dead import DeadReason
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.ids import output_id
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.stages.admit import Refusal, Terms, admit, read_json

Headers = tuple[tuple[str, bytes], ...]
Written = TypeVar("Written", Decision, Sensitivity)
Received = Sequence[tuple[str, bytes | None]]

# Who made an event: a stage of the pipeline, or whoever sends to it.
SOURCE = "source"
MODELS, DECISION, OUTCOME = "ce_modelssha256", "decision", "outcome"
_LONGEST_TRACE_BYTES = 1024
_TRACE = frozenset({"traceparent", "tracestate"})


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a key, a JSON value, and headers."""

    key: bytes
    value: bytes
    headers: Headers


def encode(
    event: Scene | Feedback | Decision,
    *,
    at: datetime,
    stage: str = SOURCE,
    models: str | None = None,
    passed: Headers = (),
    decision: Decision | None = None,
) -> Message:
    """Return the message for what `stage` makes of a scene, or for what somebody sends to the pipeline.

    `at` is the time of the event, with its zone; `models` the stamp of the models that decided; `passed` the trace of
    the message that this one follows from; `decision` the verdict with which a scene goes on to be healed.
    """
    body = event.model_dump_json(by_alias=True, exclude_none=not isinstance(event, Decision)).encode()
    headers = _cloud_event(_NAMES[type(event)], event_id(event, stage), stage, event.scene_id, at)
    stamp = () if models is None else ((MODELS, models.encode()),)
    verdict = () if decision is None else ((DECISION, decision.model_dump_json(by_alias=True).encode()),)
    return Message(event.key.encode(), body, (*headers, *stamp, *verdict, *passed))


def encode_row(
    row: Sensitivity,
    *,
    scene_id: str,
    stage: str,
    attempt: int,
    at: datetime,
    passed: Headers = (),
    outcome: str | None = None,
) -> Message:
    """Return the message for a row as `stage` left it after this scene's `attempt` (0 for feedback on it).

    `outcome` says what feedback came to, for whoever waits for its echo.
    """
    headers = _cloud_event("sensitivity", row_id(scene_id, stage, attempt), stage, row.key, at)
    came_to = () if outcome is None else ((OUTCOME, outcome.encode()),)
    return Message(row.key.encode(), row.model_dump_json().encode(), (*headers, *came_to, *passed))


def event_id(event: Scene | Feedback | Decision, stage: str) -> str:
    """Return the id of an event that `stage` made."""
    if isinstance(event, Feedback):
        # A scene may be spoken of more than once: what is said is part of the origin.
        return output_id(event.scene_id, f"{stage}.feedback {event.model_dump_json(exclude_none=True)}", 0)
    if isinstance(event, Decision):
        # A scene has one outcome, whatever it went through: at least once it may be judged again, and otherwise, and
        # who drops what came before must drop that as well.
        return output_id(event.scene_id, f"{stage}.outcome", 0)
    return output_id(event.scene_id, stage, event.attempt)


def row_id(scene_id: str, stage: str, attempt: int) -> str:
    """Return the id of the row that `stage` left after a scene's `attempt`."""
    return output_id(scene_id, f"{stage}.sensitivity", attempt)


def models_stamp(models: Mapping[str, str]) -> str:
    """Return one sha256 for {name: sha256} of all models, so that two workers with different ones are noticed."""
    return hashlib.sha256(json.dumps(sorted(models.items())).encode()).hexdigest()


def source(stage: str) -> str:
    """Return what an event that `stage` made says of where it comes from."""
    return f"/scenestream/{stage}"


def passed(headers: Received) -> Headers:
    """Return what is handed on from a message to those that follow from it: the W3C trace context.

    It has room for what W3C asks for (512 characters at least of a `tracestate`) and some more: beyond, it is dropped,
    or a header of a megabyte would travel with everything that follows, and fit no topic.
    """
    return tuple(
        (name, value)
        for name, value in headers
        if name in _TRACE and value is not None and len(value) <= _LONGEST_TRACE_BYTES
    )


def header(headers: Received, name: str) -> str | None:
    """Return the last header of this name as text, None where there is none."""
    found = next((value for known, value in reversed(headers) if known == name), None)
    return None if found is None else found.decode("utf-8", "replace")


def decode_scene(key: bytes | None, value: bytes | None, terms: Terms) -> Scene | Refusal:
    """Return the scene of a message, or why it is none."""
    event = _decode_input(key, value, terms)
    if isinstance(event, Feedback):
        return Refusal(DeadReason.UNKNOWN_FORMAT, "feedback stands where scenes are read")
    return event


def decode_feedback(key: bytes | None, value: bytes | None, terms: Terms) -> Feedback | Refusal:
    """Return the feedback of a message, or why it is none."""
    event = _decode_input(key, value, terms)
    if isinstance(event, Scene):
        return Refusal(DeadReason.UNKNOWN_FORMAT, "a scene stands where feedback is read")
    return event


def decode_decision(key: bytes | None, value: bytes | None) -> Decision | Refusal:
    """Return the decision of a message, or why it is none."""
    return _decode_output(Decision, key, value)


def decode_row(key: bytes | None, value: bytes | None) -> Sensitivity | Refusal:
    """Return the row of a message, or why it is none; a row of a newer version is refused, never misread."""
    return _decode_output(Sensitivity, key, value)


def _decode_output(model: type[Written], key: bytes | None, value: bytes | None) -> Written | Refusal:
    read = _NOTHING if value is None else read_json(value)
    if isinstance(read, Refusal):
        return read
    version = unknown_version(read) if isinstance(read, dict) else None
    if version is not None:
        return Refusal(DeadReason.UNKNOWN_VERSION, f"`version` is {version:.60}")
    try:
        event = model.model_validate(read)
    except (ValidationError, RecursionError) as error:
        where = _first(error) if isinstance(error, ValidationError) else "the object is nested too deeply"
        return Refusal(DeadReason.WRONG_FIELDS, where)
    return _check_key(key, event.key) or event


def _decode_input(key: bytes | None, value: bytes | None, terms: Terms) -> Scene | Feedback | Refusal:
    read = _NOTHING if value is None else read_json(value)
    event = read if isinstance(read, Refusal) else admit(read, terms)
    return event if isinstance(event, Refusal) else _check_key(key, event.key) or event


def _check_key(key: bytes | None, wanted: str) -> Refusal | None:
    if key == wanted.encode():
        return None
    given = "no key" if key is None else f"the key {key[:80].decode('utf-8', 'replace')!r}"
    return Refusal(DeadReason.WRONG_KEY, f"the message has {given}, its event {wanted!r:.80}")


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"`{'.'.join(map(str, fault['loc']))}`: {fault['msg']}"


def _cloud_event(name: str, ce_id: str, stage: str, subject: str, at: datetime) -> Headers:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", ce_id.encode()),
        ("ce_type", f"scenestream.{name}.v{SCHEMA_VERSION}".encode()),
        ("ce_source", source(stage).encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()),
        ("ce_dataschema", f"urn:scenestream:{name}:{SCHEMA_VERSION}".encode()),
        ("content-type", b"application/json"),
    )


_NAMES: Mapping[type, str] = {Scene: "scene", Feedback: "feedback", Decision: "decision"}
_NOTHING = Refusal(DeadReason.NO_VALUE, "the message has no value")
