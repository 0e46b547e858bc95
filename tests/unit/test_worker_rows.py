from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.sensitivity import Sensitivity
from streams.runtimes.worker_rows import Note, RowError, TableRows

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def note(turn: int, outcome: str | None = None) -> Note:
    return Note(f"d:{turn}", "resonance", 0, NOW, (), outcome)


def test_a_batch_sends_the_last_row_of_a_key_and_every_echo() -> None:
    rows = TableRows({}, "sensitivity")
    rows.put(Sensitivity(key="a", offered=1), note(1))
    rows.put(Sensitivity(key="a", offered=2), note(2))
    rows.echo(Sensitivity(key="b", offered=1), note(3, "learnt"))
    rows.echo(Sensitivity(key="b", offered=1), note(4, "repeated"))
    sent = rows.take_changes()
    assert [(key, dict(headers).get("outcome")) for key, _, headers in sent] == [
        (b"b", b"learnt"), (b"b", b"repeated"), (b"a", None),
    ]  # fmt: skip
    assert Sensitivity.model_validate_json(sent[2][1] or b"").offered == 2
    assert rows.take_changes() == []


def test_what_was_sent_is_what_is_restored() -> None:
    store: dict[str, bytes] = {}
    rows = TableRows(store, "sensitivity")
    row = Sensitivity(key="ключ", offered=3, z=0.125)
    rows.put(row, note(1))
    [(key, value, _)] = rows.take_changes()
    again = TableRows({}, "sensitivity")
    again.restore(key, value)
    assert again.get("ключ") == row
    again.restore(key, None)
    assert again.get("ключ") == Sensitivity(key="ключ")
    rows.clear()
    assert (store, rows.get("ключ")) == ({}, Sensitivity(key="ключ"))


def test_a_row_of_a_newer_version_is_never_begun_anew() -> None:
    rows = TableRows({}, "sensitivity")
    rows.restore(b"a", b'{"version": 99, "type": "sensitivity", "key": "a"}')
    with pytest.raises(RowError, match="sensitivity"):
        rows.get("a")


def test_rows_are_many_and_those_in_use_few() -> None:
    rows = TableRows({}, "sensitivity")
    for number in range(5000):
        rows.put(Sensitivity(key=f"k{number}", offered=number), note(number))
    rows.take_changes()
    assert rows.get("k3").offered == 3
    assert rows.get("k4999").offered == 4999
