from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from builders import TERMS

from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.replay import reader
from streams.replay.items import Item
from streams.replay.reader import LogError, Selection, check_logs, read_logs, size_of
from streams.stages.admit import Refusal

ALL = Selection(context_turns=32)


def chat(name: str, turns: int = 1, rating: str | None = None) -> str:
    said = [{"role": "assistant", "content": f"{name} {turn}", "rating": rating} for turn in range(turns)]
    return json.dumps({"id": name, "messages": said}, ensure_ascii=False)


def event(turn: int, **fields: object) -> str:
    return json.dumps({"type": "scene", "dialogue_id": "own", "turn": turn, "draft": "Yes."} | fields)


def write(path: Path, *lines: str | bytes) -> str:
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    return str(path)


def names(items: Iterable[Item]) -> list[str]:
    return [
        item.event.scene_id if isinstance(item.event, Scene | Feedback) else item.event.reason.value for item in items
    ]


def test_logs_are_read_in_order_and_chat_and_events_mix(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", chat("a", 2), event(4))
    two = write(tmp_path / "two.jsonl", chat("b", 1, "up"))
    items = list(read_logs([two, one], TERMS, ALL))
    assert names(items) == ["b:0", "b:0", "a:0", "a:1", "own:4"]
    assert [(Path(item.where.source).name, item.where.line) for item in items] == [
        ("two.jsonl", 1), ("two.jsonl", 1), ("one.jsonl", 1), ("one.jsonl", 1), ("one.jsonl", 2),
    ]  # fmt: skip
    assert isinstance(items[1].event, Feedback)


def test_a_bad_line_is_dead_in_its_place_and_the_rest_is_read(tmp_path: Path) -> None:
    log = write(
        tmp_path / "log.jsonl", chat("a"), "{broken", "", '{"type": "poem"}', b'"\xff"', event(1, attempt=1), event(2),
        json.dumps({"messages": [{"role": "assistant", "content": ""}]}), event(3, version=9),
    )  # fmt: skip
    items = list(read_logs([log], TERMS, ALL))
    assert names(items) == [
        "a:0", "broken_json", "unknown_format", "not_text", "wrong_fields", "own:2", "empty_draft", "unknown_version",
    ]  # fmt: skip
    assert [item.where.line for item in items] == [1, 2, 4, 5, 6, 7, 8, 9]
    refused = items[1].event
    assert isinstance(refused, Refusal)
    letter = items[1].where.dead(refused)
    assert (letter.source, letter.line, letter.raw, letter.reason) == (log, 2, "{broken", DeadReason.BROKEN_JSON)


def test_a_dead_letter_keeps_the_head_of_what_stood_there(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", "é" * 5000)
    (item,) = read_logs([log], TERMS, ALL)
    assert isinstance(item.event, Refusal)
    assert item.where.dead(item.event).raw == "é" * 2000


def test_line_ends_of_either_kind(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(f"{event(1)}\r\n\r\n  \n{event(2)}".encode())
    assert names(read_logs([str(path)], TERMS, ALL)) == ["own:1", "own:2"]


def test_gzip_is_known_by_its_bytes_and_its_parts_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(gzip.compress(f"{chat('a')}\n".encode()) + gzip.compress(f"{chat('б')}\n".encode()))
    assert names(read_logs([str(path)], TERMS, ALL)) == ["a:0", "б:0"]


@pytest.mark.parametrize("kept", [30, 200])
def test_a_gzip_that_breaks_off_is_one_dead_letter(tmp_path: Path, kept: int) -> None:
    whole = gzip.compress(b"".join(f"{event(turn, draft=os.urandom(40).hex())}\n".encode() for turn in range(50)))
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(whole[: len(whole) * kept // 200 if kept < 200 else len(whole) - 4])
    items = list(read_logs([str(path), write(tmp_path / "next.jsonl", chat("a"))], TERMS, ALL))
    last = items[-2].event
    assert isinstance(last, Refusal)
    assert last.reason is DeadReason.BROKEN_JSON
    assert "the gzip stream breaks off" in last.what
    assert names(items[:-2]) == [f"own:{turn}" for turn in range(len(items) - 2)]
    assert names(items[-1:]) == ["a:0"]


@pytest.mark.parametrize("packed", [False, True])
def test_stdin_and_a_file_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    text = json.dumps({"messages": [{"role": "assistant", "content": "Hm."}]}).encode()
    path = tmp_path / "log.jsonl"
    path.write_bytes(text)
    piped = io.TextIOWrapper(io.BytesIO(gzip.compress(text) if packed else text))
    monkeypatch.setattr(sys, "stdin", piped)
    (from_stdin,) = read_logs(["-"], TERMS, ALL)
    (from_file,) = read_logs([str(path)], TERMS, ALL)
    assert from_stdin.event == from_file.event
    assert from_stdin.where.source == "stdin"


def test_a_log_may_have_any_name(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jsonl")
    (item,) = read_logs([write(tmp_path / name, "{")], TERMS, ALL)
    assert isinstance(item.event, Refusal)
    assert item.where.dead(item.event).source.endswith("caf\ufffd.jsonl")


def test_an_empty_log_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.touch()
    assert list(read_logs([str(path)], TERMS, ALL)) == []


def test_too_long_a_line_is_dead_without_being_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 100)
    fits, over, far_over = ("x" * length for length in (100, 101, 1000))
    log = write(tmp_path / "log.jsonl", fits, over, far_over, event(5))
    items = list(read_logs([log], TERMS, ALL))
    assert names(items) == ["broken_json", "too_long", "too_long", "own:5"]
    assert [item.where.line for item in items] == [1, 2, 3, 4]
    assert all(len(item.where.raw) <= 101 for item in items)


def test_a_limit_is_of_scenes_and_keeps_the_feedback_on_the_last(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", chat("a", 3, "up"), chat("b"))
    assert names(read_logs([log], TERMS, Selection(32, limit=2))) == ["a:0", "a:0", "a:1", "a:1"]
    assert names(read_logs([log], TERMS, Selection(32, limit=0))) == []
    assert len(names(read_logs([log], TERMS, Selection(32, limit=99)))) == 7


def test_one_dialogue_can_be_picked(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", chat("a", 2), "{", chat("b", 1, "up"), event(1))
    assert names(read_logs([log], TERMS, Selection(32, dialogue_id="b"))) == ["b:0", "b:0"]
    assert names(read_logs([log], TERMS, Selection(32, limit=1, dialogue_id="own"))) == ["own:1"]


def test_missing_logs_are_named_before_anything_is_read(tmp_path: Path) -> None:
    here = write(tmp_path / "log.jsonl", chat("a"))
    check_logs([here, "-"])
    with pytest.raises(LogError, match=r"cannot read .*nowhere\.jsonl: No such file"):
        check_logs([here, str(tmp_path / "nowhere.jsonl")])
    with pytest.raises(LogError, match="is a folder; name the log files in it"):
        check_logs([str(tmp_path)])
    with pytest.raises(LogError, match=r"cannot read .*gone\.jsonl"):
        list(read_logs([str(tmp_path / "gone.jsonl")], TERMS, ALL))


def test_sizes_are_known_where_all_are_files(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one.jsonl", "ab"), write(tmp_path / "two.jsonl", "abc")
    assert size_of([one, two]) == 7
    assert size_of([one, "-"]) is None
