"""What was written is read for ever, and what is newer than its reader is refused, never misread."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from builders import TERMS

from schemas.base import SCHEMA_VERSION, Event
from schemas.dead import DeadLetter, DeadReason
from schemas.export import EVENTS
from schemas.suspect import Suspect
from streams.kafka import wire
from streams.runtimes.worker_rows import PartitionRows, RowError
from streams.stages.admit import Refusal

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = sorted(GOLDEN.glob("v*/*.json"))
# Never to be brought up to date: a reader that fails on one of these is at fault.
DIGEST = "31080882e6f504605c330b2e20cd4169675d1a8bc577d60a113f2325948b50bc"

Read = Callable[[bytes, bytes], Event | Refusal]
READERS: Mapping[str, Read] = {
    "scene": lambda key, value: wire.decode_scene(key, value, TERMS),
    "feedback": lambda key, value: wire.decode_feedback(key, value, TERMS),
    "decision": wire.decode_decision,
    "sensitivity": wire.decode_row,
    "suspect": lambda _, value: Suspect.model_validate_json(value),
    "dead_letter": lambda _, value: DeadLetter.model_validate_json(value),
}
# The key of every golden event that is a message.
KEYS = {"full": b"u-3", "least": b"d-7"}


def kind(path: Path) -> str:
    return path.name.split(".")[0]


def key_of(path: Path) -> bytes:
    return b"u-3" if kind(path) == "sensitivity" else KEYS[path.name.split(".")[1]]


def names(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_what_was_written_stays_as_it_was() -> None:
    assert {kind(path) for path in FILES} == EVENTS.keys()
    whole = hashlib.sha256()
    for path in FILES:
        whole.update(path.name.encode() + path.read_bytes())
    assert whole.hexdigest() == DIGEST


@pytest.mark.parametrize("path", FILES, ids=names)
def test_what_an_older_version_wrote_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    written = json.loads(path.read_bytes())
    event = READERS[kind(path)](key_of(path), path.read_bytes())
    assert not isinstance(event, Refusal), event.detail
    assert event.version == SCHEMA_VERSION
    assert without_defaults(json.loads(event.model_dump_json(by_alias=True)), written) == written


def without_defaults(read: object, written: object) -> object:
    """Return what is read with only what was written of it."""
    if isinstance(read, dict) and isinstance(written, dict):
        return {name: without_defaults(read[name], written[name]) for name in written}
    if isinstance(read, list) and isinstance(written, list) and len(read) == len(written):
        return [without_defaults(*pair) for pair in zip(read, written, strict=True)]
    return read


FULL = [path for path in FILES if path.name.endswith("full.json")]


MESSAGES = [path for path in FULL if kind(path) not in {"suspect", "dead_letter"}]


@pytest.mark.parametrize("path", MESSAGES, ids=names)
@pytest.mark.parametrize("version", [SCHEMA_VERSION + 1, 0, "1", True, None])
def test_another_version_is_refused_and_says_so(path: Path, version: object) -> None:
    newer = json.dumps(json.loads(path.read_bytes()) | {"version": version}).encode()
    refusal = READERS[kind(path)](key_of(path), newer)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is DeadReason.UNKNOWN_VERSION
    assert "upgrade scenestream" in refusal.detail


@pytest.mark.parametrize("path", MESSAGES, ids=names)
def test_a_field_of_a_later_writer_is_refused_and_not_passed_over(path: Path) -> None:
    newer = json.dumps(json.loads(path.read_bytes()) | {"mood": "calm"}).encode()
    refusal = READERS[kind(path)](key_of(path), newer)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is DeadReason.WRONG_FIELDS


def test_a_newer_row_stops_who_needs_it_and_leaves_the_others_alone() -> None:
    row = json.loads((GOLDEN / "v1" / "sensitivity.full.json").read_bytes())
    rows = PartitionRows("sensitivity", positions=False)
    rows.restore(b"u-3", json.dumps(row).encode(), None)
    rows.restore(b"u-4", json.dumps(row | {"key": "u-4", "version": 2}).encode(), None)
    assert rows.get("u-3").offered == row["offered"]
    with pytest.raises(RowError, match=r"a row on sensitivity cannot be read .*: `version` is 2; .*upgrade"):
        rows.get("u-4")


def test_a_row_whose_positions_were_written_otherwise_stops_who_needs_it() -> None:
    rows = PartitionRows("sensitivity", positions=True)
    rows.restore(b"u-3", (GOLDEN / "v1" / "sensitivity.full.json").read_bytes(), b'{"scenes": "17"}')
    with pytest.raises(RowError, match="the header `applied` cannot be read"):
        rows.get("u-3")


def test_a_restore_that_meets_positions_written_otherwise_stops_as_well() -> None:
    rows, value = PartitionRows("sensitivity", positions=True), (GOLDEN / "v1" / "sensitivity.full.json").read_bytes()
    rows.restore(b"u-3", value, b'{"scenes": [17, 0, 17, []]}')
    with pytest.raises(RowError, match="the header `applied` cannot be read"):
        rows.restore(b"u-3", value, b'{"scenes": "17"}')
