from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead import DeadReason
from streams.kafka import dead_letters
from streams.kafka.dead_letters import Failure, bury, marked, read_letter, send_back
from streams.kafka.letter_words import lies_elsewhere, show_body, show_message
from streams.kafka.records import Outgoing, Place
from streams.stages.admit import REMEDIES

FAILURE = Failure("scenestream", "resonance", "unknown_code", "`chain.0.code` is 'x'", datetime(2026, 3, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Record:
    topic: str = "scenes"
    partition: int = 2
    offset: int = 17
    key: bytes | None = b"u"
    value: bytes | None = b'{"type": "scene"}'
    headers: tuple[tuple[str, bytes | None], ...] = (("traceparent", b"00-1-2-01"), ("x", b"1"), ("x", b"2"))
    timestamp: int = 1_772_000_000_000


def landed(letter: Outgoing, offset: int = 5) -> Record:
    return Record(letter.topic, 1, offset, letter.key, letter.value, letter.headers)


def test_a_letter_says_where_it_was_who_failed_and_why() -> None:
    letter = bury(Record(), FAILURE)
    assert letter.topic == "scenes.dead"
    assert dict(letter.headers[3:]) == {
        "__dlq.errors.topic": b"scenes",
        "__dlq.errors.partition": b"2",
        "__dlq.errors.offset": b"17",
        "__dlq.errors.group": b"scenestream",
        "__dlq.errors.delivery.count": b"1",
        "__dlq.errors.message": b"`chain.0.code` is 'x'",
        "__dlq.errors.exception": b"unknown_code",
        "__dlq.errors.stage": b"resonance",
        "__dlq.errors.failed.at": b"2026-03-01T00:00:00.000+00:00",
    }


# Any client may send a header without a value.
header_values = st.none() | st.binary(max_size=8)
headers = st.lists(st.tuples(st.text(st.characters(codec="ascii"), max_size=8), header_values), max_size=4)


@given(st.none() | st.binary(max_size=30), st.none() | st.binary(max_size=300), headers)
def test_key_bytes_and_headers_are_untouched_there_and_back(
    key: bytes | None, value: bytes | None, given_headers: list[tuple[str, bytes | None]]
) -> None:
    record = Record(key=key, value=value, headers=tuple(given_headers))
    letter = bury(record, FAILURE)
    assert (letter.key, letter.value, letter.headers[: len(given_headers)]) == (key, value, tuple(given_headers))
    found = read_letter(landed(letter))
    assert (found.key, found.value, found.headers, found.failure) == (key, value, record.headers, FAILURE)
    back, mark = send_back(found)
    assert (back.topic, back.key, back.value) == ("scenes", key, value)
    assert back.headers == (*record.headers, ("redrive.count", b"1"), ("redrive.deliveries", b"1"))
    assert back.partition == 2
    assert marked(landed(mark)) == 5


def test_a_message_that_comes_back_dead_again_counts_on() -> None:
    back, _ = send_back(read_letter(landed(bury(Record(), FAILURE))))
    again = read_letter(landed(bury(replace(Record(), headers=back.headers), FAILURE)))
    assert (again.redrives, again.failure.delivery_count) == (1, 2)
    back, _ = send_back(again)
    assert [value for name, value in back.headers if name == "redrive.count"] == [b"2"]
    assert [value for name, value in back.headers if name == "redrive.deliveries"] == [b"2"]
    assert not any(name.startswith("__dlq") for name, _ in back.headers)


def test_a_dead_tombstone_is_a_letter_and_no_mark() -> None:
    assert marked(landed(bury(Record(value=None), FAILURE))) is None


@pytest.mark.parametrize(
    ("key", "value", "header", "left_out"),
    [
        (b"u", b"x" * 500, b"h", ()),
        (b"u", b"x" * 5000, b"h", ("value",)),
        (b"u", b"x", b"h" * 5000, ("value", "headers")),
        (b"u" * 5000, b"x" * 5000, b"h" * 5000, ("value", "headers", "key")),
        (b"u" * 5000, None, b"h", ("value", "headers", "key")),
    ],
)
def test_what_a_dead_topic_would_not_take_is_left_out_and_told(
    key: bytes, value: bytes | None, header: bytes, left_out: tuple[str, ...]
) -> None:
    record = Record(key=key, value=value, headers=(("mine", header),))
    letter = bury(record, FAILURE, 2000)
    size = len(letter.key or b"") + len(letter.value or b"") + sum(len(n) + len(v or b"") for n, v in letter.headers)
    assert size < 2000
    found = read_letter(landed(letter))
    assert (found.left_out, found.failure, found.source_offset) == (left_out, FAILURE, 17)
    assert found.value_bytes == len(value or b"")
    assert found.key == (None if "key" in left_out else key)
    assert found.value == (None if "value" in left_out else value)
    assert found.headers == (() if "headers" in left_out else record.headers)
    if left_out:
        said = dict(letter.headers)
        assert said["__dlq.errors.value.sha256"] == hashlib.sha256(value or b"").hexdigest().encode()
        assert "the message lies at scenes:2:17" in lies_elsewhere(found)
        assert marked(landed(letter)) is None


def test_headers_of_our_names_that_a_message_brings_along_are_its_own() -> None:
    brought = (("__dlq.errors.left.out", b"value"), ("__dlq.errors.stage", b"x"), ("__dlq.redriven.offset", b"0"))
    letter = landed(bury(Record(value=None, headers=brought), FAILURE))
    found = read_letter(letter)
    assert (found.headers, found.failure, found.left_out) == (brought, FAILURE, ())
    assert marked(letter) is None


def test_what_somebody_else_put_there_is_read_with_gaps() -> None:
    found = read_letter(Record(topic="scenes.dead", headers=(("__dlq.errors.partition", b"many"),)))
    assert found.source == Place("scenes", -1)
    assert found.failure.exception == ""
    assert found.failure.failed_at == datetime.fromtimestamp(1_772_000_000, UTC)


def test_a_letter_is_sent_back_to_the_topic_of_its_dead_topic_whatever_it_says() -> None:
    """Whoever redrives may write where those who write letters may not."""
    forged = (("__dlq.errors.topic", b"sensitivity"), ("__dlq.errors.partition", b"1"))
    back, mark = send_back(read_letter(Record(topic="scenes.dead", headers=forged)))
    assert (back.topic, back.partition, mark.topic) == ("scenes", 1, "scenes.dead")


def test_numbers_that_nobody_wrote_in_earnest_are_none_and_break_nothing() -> None:
    huge = b"9" * 5000
    letter = landed(bury(Record(headers=(("redrive.deliveries", huge), ("redrive.count", huge))), FAILURE))
    assert (read_letter(letter).redrives, read_letter(letter).failure.delivery_count) == (0, 1)
    said = tuple((f"__dlq.errors.{name}", huge) for name in ("partition", "offset", "delivery.count"))
    found = read_letter(Record(headers=said))
    assert (found.source.partition, found.source_offset, found.failure.delivery_count) == (-1, -1, 0)
    # A mark of no letter hides none.
    assert marked(Record(value=None, headers=(("__dlq.redriven.offset", huge),))) is None


def test_a_long_reason_is_cut() -> None:
    letter = bury(Record(), replace(FAILURE, message="x" * 100_000))
    assert sum(len(value) for _, value in letter.headers) < dead_letters._MAX_MESSAGE + 200


def test_words_are_counted_and_not_shown_unless_asked() -> None:
    body = {"draft": "My secret.", "context": [{"role": "user", "text": "Another."}], "turn": 1, "dialogue_id": "d"}
    value = json.dumps(body).encode()
    shown = show_body(value, texts=False)
    assert "secret" not in shown
    assert "Another" not in shown
    assert "<10 characters>" in shown
    assert '"dialogue_id": "d"' in shown
    assert "My secret." in show_body(value, texts=True)


def test_bytes_that_are_no_json_are_not_shown_unless_asked() -> None:
    assert "My" not in show_body(b"{My secret", texts=False)
    assert show_body(b"{My \xff", texts=True) == "{My \\xff"
    assert show_body(None, texts=False) == "no value"


def test_what_a_stage_raised_may_quote_and_is_hidden() -> None:
    raised = replace(FAILURE, exception="ValueError", message="cannot read 'My secret.'")
    assert show_message(raised, texts=False) == "a stage raised ValueError"
    assert "secret" in show_message(raised, texts=True)


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ("`chain.0.code` is no code: 'My secret.'", "`chain.0.code`: "),
        ("`draft` is empty; My secret.", "`draft`: "),
        ("My secret. `draft`", ""),
        ("`secret`: My", ""),
        ("`draft.secret`", ""),
        ("`draft.12345678`", ""),
        ("", ""),
    ],
)
def test_a_refusal_says_where_and_what_to_do_whoever_wrote_it(message: str, where: str) -> None:
    refused = replace(FAILURE, message=message)
    assert show_message(refused, texts=False) == where + REMEDIES[DeadReason.UNKNOWN_CODE]
    assert show_message(refused, texts=True) == message


@pytest.mark.parametrize("timestamp", [-1, 0, 2**62, 253_402_300_800_000])
def test_a_letter_without_a_time_takes_its_records_whatever_that_is(timestamp: int) -> None:
    found = read_letter(Record(topic="scenes.dead", headers=(), timestamp=timestamp)).failure.failed_at
    assert datetime(1970, 1, 1, tzinfo=UTC) <= found <= datetime(9999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "we met at the pier"},
        {"said": {"reply": ["we met at the pier"]}},
        {"prompt": "埠" * 65},
        ["pier"],
        "pier",
    ],
)
def test_words_are_masked_under_names_that_no_event_has(body: object) -> None:
    shown = show_body(json.dumps(body, ensure_ascii=False).encode(), texts=False)
    assert "pier" not in shown
    assert "埠" not in shown
    assert "characters>" in shown
