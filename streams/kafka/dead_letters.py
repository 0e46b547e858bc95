"""Dead letters: a message that could not be read or handled, put aside with its key, bytes and headers untouched.

What its dead topic would not take is left out, and the letter says what, how much it was, and where it lies: Kafka
limits what a message is when it is compressed, so one that a topic took may be larger than any topic takes.

What is added says where it was, who failed on it, when and why, in headers that begin with `__dlq.errors.`. A letter
that was sent back stays where it is, for topics only grow: a mark beside it, without a value, says that it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from schemas.topics import dead_topic
from streams.kafka.numbers import number_in
from streams.kafka.records import Headers, Outgoing, Place, Received

PREFIX = "__dlq.errors."
REDRIVE_COUNT = "redrive.count"
# How often it was delivered before it was sent back the last time.
_DELIVERED = "redrive.deliveries"
_REDRIVEN = "__dlq.redriven.offset"
_MAX_MESSAGE = 4000
# Kafka's own bytes of a batch with one message, and of a header of it, at most.
_BATCH_BYTES, _HEADER_BYTES = 128, 16
_LATEST_SECONDS = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


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
    """A dead letter as it is found: where it lies, where it came from (-1 where nobody says), what it was, and why.

    `left_out` names what did not fit its topic: value, headers, key. `value_bytes` is the value's size in any case.
    """

    place: Place
    offset: int
    source: Place
    source_offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    failure: Failure
    left_out: tuple[str, ...] = ()
    value_bytes: int = 0

    @property
    def redrives(self) -> int:
        """How often it was sent back before it came here again."""
        return _number(dict(self.headers).get(REDRIVE_COUNT))

    @property
    def origin(self) -> str:
        """Where its message lies, named as letters are."""
        return f"{self.source.topic}:{self.source.partition}:{self.source_offset}"

    @property
    def home(self) -> str:
        """The topic whose dead letter it is, to which it is sent back."""
        return _alive(self.place.topic)

    @property
    def name(self) -> str:
        """What `scenestream dead show` calls it."""
        return f"{self.place.topic}:{self.place.partition}:{self.offset}"


def bury(record: Received, failure: Failure, most_bytes: int | None = None) -> Outgoing:
    """Return the dead letter for a message; deliveries before it was sent back count.

    With `most_bytes`, what its topic takes, the value is left out where it would be larger, then headers, then the key.
    """
    before = _number(dict(record.headers).get(_DELIVERED))
    said: dict[str, object] = {
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
    letter = Outgoing(dead_topic(record.topic), record.key, record.value, (*record.headers, *_said(said)))
    return letter if most_bytes is None or _size(letter) <= most_bytes else _cut(record, letter, said, most_bytes)


def _cut(record: Received, letter: Outgoing, said: Mapping[str, object], most_bytes: int) -> Outgoing:
    """Return a letter without its value, and without headers and key where that is not enough."""
    value = record.value or b""
    found = {"value.bytes": len(value), "value.sha256": hashlib.sha256(value).hexdigest()}
    parts = ("value", "headers", "key")
    for count in range(1, len(parts) + 1):
        left_out = parts[:count]
        added = _said({**said, **found, "left.out": ",".join(left_out)})
        headers = added if "headers" in left_out else (*record.headers, *added)
        letter = replace(letter, key=None if "key" in left_out else record.key, value=None, headers=headers)
        if _size(letter) <= most_bytes:
            break
    return letter


def _said(said: Mapping[str, object]) -> Headers:
    return tuple((PREFIX + name, str(value).encode("utf-8", "replace")) for name, value in said.items())


def _size(letter: Outgoing) -> int:
    """Return how many bytes a topic must take at once for a message, at most."""
    headers = sum(_HEADER_BYTES + len(name.encode()) + len(value or b"") for name, value in letter.headers)
    return _BATCH_BYTES + len(letter.key or b"") + len(letter.value or b"") + headers


def counted(letter: Outgoing, tries: int) -> Outgoing:
    """Return a dead letter with so many tries more than it says."""
    name = f"{PREFIX}delivery.count"
    headers = tuple(
        (key, str(_number(value) + tries).encode() if key == name else value) for key, value in letter.headers
    )
    return replace(letter, headers=headers)


def read_letter(record: Received) -> Letter:
    """Return the letter that a record of a dead topic is; what somebody else put there has gaps in its failure."""
    kept, added = _apart(record.headers)
    said = {name.removeprefix(PREFIX): value for name, value in added}
    source = _text(said.get("topic")) or _alive(record.topic)
    failure = Failure(
        group=_text(said.get("group")),
        stage=_text(said.get("stage")),
        exception=_text(said.get("exception")),
        message=_text(said.get("message")),
        failed_at=_time(said.get("failed.at"), record.timestamp),
        delivery_count=_number(said.get("delivery.count")),
    )
    return Letter(
        place=Place(record.topic, record.partition),
        offset=record.offset,
        source=Place(source, _number(said.get("partition"), -1)),
        source_offset=_number(said.get("offset"), -1),
        key=record.key,
        value=record.value,
        headers=kept,
        failure=failure,
        left_out=tuple(one for one in _text(said.get("left.out")).split(",") if one),
        value_bytes=_number(said.get("value.bytes"), len(record.value or b"")),
    )


def _apart(headers: Sequence[tuple[str, bytes | None]]) -> tuple[Headers, Headers]:
    """Return the headers of a message and those that were added when it was buried, which begin with its topic.

    Whatever a message brings along under our names is its own.
    """
    added = [at for at, (name, _) in enumerate(headers) if name == f"{PREFIX}topic"]
    if added:
        return tuple(headers[: added[-1]]), tuple(headers[added[-1] :])
    ours = tuple(one for one in headers if one[0].startswith(PREFIX))
    return tuple(one for one in headers if not one[0].startswith(PREFIX)), ours


def send_back(letter: Letter) -> tuple[Outgoing, Outgoing]:
    """Return the message as it was, counted, and the mark that says so; they belong into one transaction.

    It goes to the partition that it came from, where its row is whichever partitioner its sender has; and to the topic
    whose dead letters these are, whatever the letter says: who may write to a dead topic may not write everywhere.
    """
    headers = tuple((name, value) for name, value in letter.headers if name not in {REDRIVE_COUNT, _DELIVERED})
    deliveries = str(letter.failure.delivery_count).encode()
    sent = (*headers, (REDRIVE_COUNT, str(letter.redrives + 1).encode()), (_DELIVERED, deliveries))
    mark = ((_REDRIVEN, str(letter.offset).encode()),)
    return (
        Outgoing(letter.home, letter.key, letter.value, sent, letter.source.partition),
        Outgoing(letter.place.topic, letter.key, None, mark, letter.place.partition),
    )


def marked(record: Received) -> int | None:
    """Return the offset of the letter that this mark says was sent back; None where it is none, or names none.

    Whatever was buried is a letter: a message without a value may bring the header of a mark along.
    """
    if record.value is not None or any(name.startswith(PREFIX) for name, _ in record.headers):
        return None
    return number_in(dict(record.headers).get(_REDRIVEN) or b"")


def _alive(topic: str) -> str:
    return topic.removesuffix(dead_topic(""))


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _number(value: bytes | None, unknown: int = 0) -> int:
    number = number_in(value or b"")
    return unknown if number is None else number


def _time(value: bytes | None, timestamp_ms: int) -> datetime:
    try:
        found = datetime.fromisoformat(_text(value))
    except ValueError:
        # Any producer may write any timestamp.
        return datetime.fromtimestamp(min(max(timestamp_ms, 0) / 1000, _LATEST_SECONDS), UTC)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
