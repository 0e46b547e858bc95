"""What `scenestream dead` prints, of letters that somebody hostile wrote."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from streams.cli import dead
from streams.kafka.dead_letters import Failure, Letter, bury, read_letter
from streams.ops.reading.seen import Record

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


def letter() -> Letter:
    record = Record(
        "scenes", 0, 1, 0.0, HOSTILE.encode(), HOSTILE.encode(), (("ce_id", HOSTILE.encode()), ("empty", None))
    )
    failure = Failure("g", HOSTILE, HOSTILE, HOSTILE, datetime(2026, 3, 1, tzinfo=UTC))
    buried = bury(record.received, failure)
    return read_letter(Record(buried.topic, 0, 1, 0.0, buried.key, buried.value, buried.headers).received)


@pytest.mark.parametrize("texts", [True, False])
def test_a_letter_steers_no_terminal(
    texts: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def letter_at(*_: object) -> Letter:
        return letter()

    monkeypatch.setattr(dead, "letter_at", letter_at)
    dead.show_letter("scenes.dead:0:1", texts=texts)
    dead._print([letter()], texts=texts)
    printed = capsys.readouterr().out
    assert "]0;owned" in printed
    assert "header empty: no value" in printed
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(printed)
