"""Dead letters: a message that could not be read or handled, put aside with its key, bytes and headers untouched.

What is added says where it was, who failed on it, when and why, in headers that begin with `__dlq.errors.`. A letter
that was sent back stays where it is, for topics only grow: a mark beside it, without a value, says that it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from pydantic_core import from_json

from schemas.dead import DeadReason
from schemas.decision import Decision
from schemas.feedback import Feedback, Preference
from schemas.scene import Code, Healing, Scene, Step, Swap, Utterance, Wanted
from schemas.sensitivity import Sensitivity
from schemas.topics import dead_topic
from streams.kafka.records import Headers, Outgoing, Place, Received
from streams.stages.admit import REMEDIES

PREFIX = "__dlq.errors."
REDRIVE_COUNT = "redrive.count"
# How often it was delivered before it was sent back the last time.
_DELIVERED = "redrive.deliveries"
_REDRIVEN = "__dlq.redriven.offset"
_MAX_MESSAGE = 4000
_LATEST_SECONDS = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_TEXT_FIELDS = frozenset({"text", "draft", "content", "cue", "nearest_reply"})
# An id or a digest; ideographs need no blanks.
_LONGEST_PLAIN = 64
_REASONS = {reason.value: reason for reason in DeadReason}
_MODELS = (Scene, Utterance, Code, Healing, Swap, Wanted, Step, Feedback, Preference, Decision, Sensitivity)
_FIELD = rf"(?:{'|'.join(sorted({name for model in _MODELS for name in model.model_fields}))})(?:\.\d{{1,4}})?"
# Where in an event something is wrong, as a refusal begins; of our names alone, so that no words are among them.
_WHERE = re.compile(rf"`{_FIELD}(?:\.{_FIELD}){{0,2}}`")


@dataclass(frozen=True, slots=True)
class Failure:
    """Who failed on a message, when and why: `exception` is a DeadReason, or the class of what a stage raised."""

    group: str
    stage: str
    exception: str
    message: str
    failed_at: datetime
    delivery_count: int = 1


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it is found: where it lies, where it came from, what it was, and the failure."""

    place: Place
    offset: int
    source: Place
    source_offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    failure: Failure

    @property
    def redrives(self) -> int:
        """How often it was sent back before it came here again."""
        return _number(dict(self.headers).get(REDRIVE_COUNT))

    @property
    def name(self) -> str:
        """What `scenestream dead show` calls it."""
        return f"{self.place.topic}:{self.place.partition}:{self.offset}"


def bury(record: Received, failure: Failure) -> Outgoing:
    """Return the dead letter for a message; deliveries before it was sent back count."""
    before = _number(dict(record.headers).get(_DELIVERED))
    said: Mapping[str, object] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "group": failure.group,
        "delivery.count": before + failure.delivery_count,
        "message": failure.message[:_MAX_MESSAGE],
        "exception": failure.exception,
        "stage": failure.stage,
        "failed.at": failure.failed_at.astimezone(UTC).isoformat(timespec="milliseconds"),
    }
    added = tuple((PREFIX + name, str(value).encode("utf-8", "replace")) for name, value in said.items())
    return Outgoing(dead_topic(record.topic), record.key, record.value, (*record.headers, *added))


def counted(letter: Outgoing, tries: int) -> Outgoing:
    """Return a dead letter with so many tries more than it says."""
    name = f"{PREFIX}delivery.count"
    headers = tuple(
        (key, str(_number(value) + tries).encode() if key == name else value) for key, value in letter.headers
    )
    return replace(letter, headers=headers)


def read_letter(record: Received) -> Letter:
    """Return the letter that a record of a dead topic is; what somebody else put there has gaps in its failure."""
    said = {name.removeprefix(PREFIX): value for name, value in record.headers if name.startswith(PREFIX)}
    source = _text(said.get("topic")) or record.topic.removesuffix(dead_topic(""))
    failure = Failure(
        group=_text(said.get("group")),
        stage=_text(said.get("stage")),
        exception=_text(said.get("exception")),
        message=_text(said.get("message")),
        failed_at=_time(said.get("failed.at"), record.timestamp),
        delivery_count=_number(said.get("delivery.count")),
    )
    kept = tuple((name, value) for name, value in record.headers if not name.startswith(PREFIX))
    return Letter(
        place=Place(record.topic, record.partition),
        offset=record.offset,
        source=Place(source, _number(said.get("partition"))),
        source_offset=_number(said.get("offset")),
        key=record.key,
        value=record.value,
        headers=kept,
        failure=failure,
    )


def send_back(letter: Letter) -> tuple[Outgoing, Outgoing]:
    """Return the message as it was, counted, and the mark that says so; they belong into one transaction."""
    headers = tuple((name, value) for name, value in letter.headers if name not in {REDRIVE_COUNT, _DELIVERED})
    deliveries = str(letter.failure.delivery_count).encode()
    sent = (*headers, (REDRIVE_COUNT, str(letter.redrives + 1).encode()), (_DELIVERED, deliveries))
    # Without a key nothing else says where it belongs.
    partition = letter.source.partition if letter.key is None else None
    mark = ((_REDRIVEN, str(letter.offset).encode()),)
    return (
        Outgoing(letter.source.topic, letter.key, letter.value, sent, partition),
        Outgoing(letter.place.topic, letter.key, None, mark, letter.place.partition),
    )


def marked(record: Received) -> int | None:
    """Return the offset of the letter that this mark says was sent back; None where it is a letter."""
    if record.value is not None:
        return None
    value = dict(record.headers).get(_REDRIVEN)
    return None if value is None else _number(value)


def show_body(value: bytes | None, *, texts: bool) -> str:
    """Return a body for a person: without `texts` no words of a dialogue, only how many there were."""
    if value is None:
        return "no value"
    if texts:
        return value.decode("utf-8", "backslashreplace")
    try:
        read = from_json(value)
    except ValueError:
        return f"{len(value)} bytes that are not JSON, sha256 {hashlib.sha256(value).hexdigest()[:16]}; see --texts"
    # What is no object at all has no names to tell words by.
    return json.dumps(_masked(read, text=not isinstance(read, dict)), ensure_ascii=False, indent=2)


def show_message(failure: Failure, *, texts: bool) -> str:
    """Return why it failed; it may quote the dialogue, so without `texts` only where it was and what to do.

    Anybody may put a message of their own under a reason of ours.
    """
    if texts:
        return failure.message
    reason = _REASONS.get(failure.exception)
    if reason is None:
        return f"a stage raised {failure.exception}"
    where = _WHERE.match(failure.message)
    return f"{where[0]}: {REMEDIES[reason]}" if where else REMEDIES[reason]


def _masked(value: object, *, text: bool = False) -> object:
    if isinstance(value, dict):
        return {name: _masked(one, text=text or name in _TEXT_FIELDS) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, text=text) for one in cast("Sequence[object]", value)]
    return f"<{len(value)} characters>" if isinstance(value, str) and (text or _may_be_words(value)) else value


def _may_be_words(value: str) -> bool:
    """Return whether a field that no event has may hold words: letters are dead for such fields."""
    return len(value) > _LONGEST_PLAIN or any(map(str.isspace, value))


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _number(value: bytes | None) -> int:
    text = _text(value)
    return int(text) if text.isdecimal() else 0


def _time(value: bytes | None, timestamp_ms: int) -> datetime:
    try:
        found = datetime.fromisoformat(_text(value))
    except ValueError:
        # Any producer may write any timestamp.
        return datetime.fromtimestamp(min(max(timestamp_ms, 0) / 1000, _LATEST_SECONDS), UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
