from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pytest

from schemas.sensitivity import DialogueRow, Sensitivity
from streams.kafka.records import Headers, Received
from streams.runtimes import applied
from streams.runtimes.packing import pack, unpack
from streams.runtimes.worker_rows import Change, Note, RowError, TableRows

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Record:
    topic: str = "scenes"
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()
    partition: int = 0


def note(offset: int, outcome: str | None = None, *, topic: str = "scenes", goes_on: bool = False) -> Note:
    return Note(Record(topic, offset), f"d:{offset}", "resonance", 0, NOW, outcome, goes_on)


def changelog(changes: Iterable[Change]) -> list[Received]:
    return cast("list[Received]", [Record("rows", 0, 0, key, value, headers) for key, value, headers in changes])


def test_a_batch_sends_the_last_row_of_a_key_and_every_echo() -> None:
    table = TableRows("sensitivity")
    rows = table.of(0)
    rows.put(Sensitivity(key="a", offered=1), note(1))
    rows.put(Sensitivity(key="a", offered=2), note(2))
    rows.echo(Sensitivity(key="b", offered=1), note(3, "learnt"))
    rows.echo(Sensitivity(key="b", offered=1), note(4, "repeated"))
    sent = table.take_changes(0)
    assert [(key, dict(headers).get("outcome")) for key, _, headers in sent] == [
        (b"b", b"learnt"), (b"b", b"repeated"), (b"a", None),
    ]  # fmt: skip
    assert Sensitivity.model_validate_json(sent[2][1] or b"").offered == 2
    assert table.take_changes(0) == []


@pytest.mark.parametrize("positions", [False, True])
def test_what_was_sent_is_what_is_restored(positions: bool) -> None:
    table = TableRows("sensitivity", positions=positions)
    row = Sensitivity(key="ключ", offered=3, z=0.125)
    table.of(2).put(row, note(1))
    changes = table.take_changes(2)
    again = TableRows("sensitivity", positions=positions)
    again.restore(2, changelog(changes))
    assert again.of(2).get("ключ") == row
    assert again.of(1).get("ключ") == Sensitivity(key="ключ")
    assert again.of(2).has("ключ", Record(offset=1)) is positions
    again.restore(2, changelog([("ещё".encode(), None, ())]))
    assert len(again) == 1
    again.drop(2)
    assert (len(again), again.of(2).get("ключ")) == (0, Sensitivity(key="ключ"))


def test_a_row_of_a_newer_version_is_never_begun_anew() -> None:
    table = TableRows("sensitivity")
    table.restore(0, changelog([(b"a", b'{"version": 99, "type": "sensitivity", "key": "a"}', ())]))
    with pytest.raises(RowError, match="sensitivity"):
        table.of(0).get("a")


def test_rows_are_many_and_those_in_use_few() -> None:
    table = TableRows("sensitivity", positions=True)
    for number in range(5000):
        table.of(0).put(Sensitivity(key=f"k{number}", offered=number), note(number))
    table.take_changes(0)
    assert len(table) == 5000
    assert table.of(0).get("k3").offered == 3
    assert table.of(0).get("k4999").offered == 4999
    assert table.of(0).has("k3", Record(offset=3))
    assert not table.of(0).has("k3", Record(offset=4))
    assert len(table) == 5000


def test_exactly_once_rows_say_nothing_of_offsets() -> None:
    exactly, at_least = TableRows("sensitivity"), TableRows("sensitivity", positions=True)
    for table in (exactly, at_least):
        table.of(0).put(Sensitivity(key="a"), note(7, goes_on=True))
    [(key, value, headers)] = exactly.take_changes(0)
    [(same_key, same_value, more_headers)] = at_least.take_changes(0)
    assert (key, value) == (same_key, same_value)
    assert more_headers == (*headers, ("applied", b'{"scenes":[7,0,7,[7]]}'))


def test_what_a_zombie_wrote_over_its_successor_is_not_restored() -> None:
    zombie, successor = (TableRows("sensitivity", positions=True) for _ in range(2))
    zombie.of(0).put(Sensitivity(key="a", offered=1), note(1))
    first = zombie.take_changes(0)
    successor.restore(0, changelog(first))
    for offset in (2, 3):
        successor.of(0).put(Sensitivity(key="a", offered=offset), note(offset))
    newest = successor.take_changes(0)
    zombie.of(0).put(Sensitivity(key="a", offered=2), note(2))
    late = zombie.take_changes(0)
    again = TableRows("sensitivity", positions=True)
    again.restore(0, changelog([*first, *newest, *late]))
    assert again.of(0).get("a").offered == 3


def test_packed_rows_are_small_and_come_back() -> None:
    talks = tuple(DialogueRow(dialogue_id=f"talk-{n}", seen=2**n, last_turn=n, z=0.1 * n) for n in range(6))
    value = Sensitivity(key="user-1", offered=17, dialogues=talks).model_dump_json().encode()
    assert unpack(pack(value)) == value
    assert len(pack(value)) < len(value) / 5
    assert unpack(pack(b"")) == b""


@pytest.mark.parametrize(
    ("source", "known"), [("/scenestream/bridge", 7), ("/scenestream/regeneration", 7), ("/bot", None)]
)
def test_only_a_healer_says_where_a_scene_was_judged(source: str, known: int | None) -> None:
    """A sender may have copied the headers of a scene that it read: its own scene must not be taken for that one."""
    headers = (("ce_source", source.encode()), (applied.JUDGED_AT, b"7"))
    assert applied.judged_at(cast("Received", Record("scenes", 9, headers=headers))) == known
