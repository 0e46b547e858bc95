from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import scene
from fake_runs import decisions_of, some_dead, write_run

from streams.kafka.dead_letters import Failure, Letter, bury, read_letter
from streams.kafka.records import Headers
from streams.ops import letters
from streams.ops.letters import Graveyard, Grouped, graveyard_of_run, preview
from streams.ops.reading.seen import Record

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = "A little, towards morning."
HOSTILE = "<script>alert(1)</script>\x1b[2J"


def letter(number: int, reason: str = "duplicate", *, value: bytes | None = None, redrives: int = 0) -> Letter:
    value = scene(number).model_dump_json().encode() if value is None else value
    # Any client may send a header without a value.
    headers: Headers = (("empty", None), *([("redrive.count", b"%d" % redrives)] if redrives else []))
    record = Record("p.scenes", 0, number, 0.0, b"u", value, headers)
    buried = bury(record.received, Failure("g", "resonance", reason, f"why {HOSTILE}", AT + timedelta(hours=number)))
    return read_letter(Record(buried.topic, 1, number, 0.0, b"u", buried.value, buried.headers).received)


def grouped(letters: list[Letter], *, texts: bool = False) -> Graveyard:
    made = Grouped(3, texts=texts, prefix="p.")
    for one in letters:
        made.take(one)
    return made.graveyard(AT)


def test_letters_are_grouped_by_topic_stage_and_reason_with_the_latest_as_samples() -> None:
    found = grouped([*(letter(n) for n in range(5)), letter(9, "too_long", redrives=3)])
    assert found.letters == 6
    first, second = found.groups
    assert first.name.model_dump() == {"topic": "scenes", "stage": "resonance", "reason": "duplicate"}
    assert (first.count, first.held_back, second.held_back) == (5, 0, 1)
    assert (first.oldest, first.newest) == (AT, AT + timedelta(hours=4))
    assert [sample.place for sample in first.samples] == [f"p.scenes.dead:1:{n}" for n in (4, 3, 2)]
    assert first.samples[0].source == "p.scenes:0:4"
    assert first.total_bytes == sum(len(scene(n).model_dump_json()) for n in range(5))


def test_only_what_is_shown_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[bytes | None] = []

    def show_body(value: bytes | None, *, texts: bool, name: object) -> str:
        assert name is None
        rendered.append(value)
        return str(texts)

    monkeypatch.setattr(letters, "show_body", show_body)
    grouped([letter(n) for n in range(50)])
    assert len(rendered) == 3


def test_words_are_masked_until_they_may_be_shown() -> None:
    stage_failed = letter(1, "ValueError")
    assert WORDS not in grouped([stage_failed]).model_dump_json()
    assert "alert" not in grouped([stage_failed]).groups[0].samples[0].message
    assert WORDS in grouped([stage_failed], texts=True).groups[0].samples[0].body


def test_hostile_text_stays_the_text_it_is() -> None:
    hostile = letter(1, HOSTILE, value=json.dumps({"dialogue_id": HOSTILE}).encode())
    found = grouped([hostile], texts=True)
    assert found.groups[0].name.reason == HOSTILE
    assert HOSTILE in json.loads(found.model_dump_json())["groups"][0]["samples"][0]["message"]
    assert "\x1b" not in found.model_dump_json()


def test_a_letter_of_ten_megabytes_is_shown_in_little() -> None:
    value = b'{"draft": "' + b"x" * (10 * 2**20) + b'"}'
    for texts in (False, True):
        found = grouped([letter(1, value=value)], texts=texts)
        sample = found.groups[0].samples[0]
        assert (sample.body_bytes, sample.body_cut) == (len(value), True)
        assert len(found.model_dump_json()) < 10_000
    shown, cut = preview(value, texts=False)
    assert "x" * 20 not in shown
    assert cut
    assert preview(None, texts=False) == ("no value", False)
    assert preview(b"\xff\xfe", texts=True) == ("\\xff\\xfe", False)


def test_strange_groups_are_bounded() -> None:
    found = grouped([letter(n, f"reason {n}" * 100) for n in range(300)])
    assert (found.letters, len(found.groups), found.cut) == (300, 200, True)
    assert all(len(group.name.reason) <= 200 for group in found.groups)


def test_a_runs_dead_letters_are_grouped_as_those_of_kafka(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", decisions_of(3), dead=some_dead())
    found = graveyard_of_run(run)
    assert found.letters == len(some_dead())
    assert {group.name.reason: group.count for group in found.groups} == {
        "empty_draft": 2, "broken_json": 1, "too_long": 1,
    }  # fmt: skip
    assert found.groups[0].held_back == 2
    assert found.groups[0].samples[0].place == "log.jsonl:9"
