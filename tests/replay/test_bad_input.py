"""Bad input by hand: each fault dead with its reason where it stood, the rest of the log as if it were not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Shell, write_lines
from tests.replay.program import EXAMPLES
from tests.replay.run_contract import Line, check_run, lines_of, summary_of

BAD = EXAMPLES / "bad_input.jsonl"
KILOBYTES_64 = 64 * 1024
# What becomes of each line of bad_input.jsonl, in order; None of a line that is right.
EXPECTED: list[str | None] = [
    *[None] * 7, *["broken_json"] * 3, *["unknown_format"] * 4, *["wrong_fields"] * 9, "unknown_version",
    *["unknown_role"] * 2, "unknown_register", "unknown_code", "wrong_fields", *["wrong_vector"] * 6,
    *["wrong_fields"] * 2, *["empty_draft"] * 3, "broken_json", None, "duplicate", None, "out_of_order", None,
    *["unknown_scene"] * 2, *["wrong_fields"] * 4, "unknown_register", *["wrong_fields"] * 3, "empty_draft", None,
    "not_text",
]  # fmt: skip


def scene(dialogue: str, turn: int, draft: str = "Close the valve under the basin.", **more: object) -> Line:
    asked = [{"role": "user", "text": "The tap drips all night."}]
    return {"type": "scene", "dialogue_id": dialogue, "turn": turn, "context": asked, "draft": draft, **more}


def feedback(dialogue: str, turn: int, **more: object) -> Line:
    return {"type": "feedback", "dialogue_id": dialogue, "turn": turn, "accepted": True, **more}


def replayed(shell: Shell, folder: Path, log: Path) -> tuple[dict[str, Line], list[Line]]:
    """Return the final decision of every scene, and the dead letters."""
    ran = shell.run("replay", log, "--out", folder / "run", "--json")
    assert (ran.code, ran.err) == (0, "")
    check_run(folder / "run")
    decisions = [one for one in lines_of(folder / "run" / "decisions.jsonl") if one["final"]]
    return {one["scene_id"]: one for one in decisions}, list(lines_of(folder / "run" / "dead.jsonl"))


def test_each_kind_of_bad_input_is_dead_with_its_reason_where_it_stood(shell: Shell, tmp_path: Path) -> None:
    decided, dead = replayed(shell, tmp_path, BAD)
    assert [(letter["line"], letter["reason"]) for letter in dead] == [
        (number, reason) for number, reason in enumerate(EXPECTED, 1) if reason is not None
    ]
    assert {letter["source"] for letter in dead} == {str(BAD)}
    assert {"emoji:0", "emoji-family:0", "right-to-left:0", "zero-width:0", "combining:0"} <= decided.keys()
    said = {line["scene_id"]: line["draft"] for line in lines_of(tmp_path / "run" / "texts.jsonl")}
    for line in BAD.read_bytes().splitlines()[:6]:
        sent = json.loads(line)
        assert said[f"{sent['dialogue_id']}:{sent['turn']}"] == sent["draft"], "odd is right, and stays as it is"


def test_the_rest_of_the_log_is_as_if_the_bad_lines_were_not_there(shell: Shell, tmp_path: Path) -> None:
    good = (EXAMPLES / "scenes.jsonl").read_bytes().splitlines(keepends=True)
    # A duplicate needs the line that it repeats, and a reply whose rating is odd is a scene all the same.
    right = {None, "duplicate", "out_of_order"}
    lines = zip(BAD.read_bytes().splitlines(keepends=True), EXPECTED, strict=True)
    bad = [line for line, reason in lines if reason not in right and b"chat-odd-rating" not in line]
    mixed = [line for number, one in enumerate(good) for line in (*bad[number : number + 1], one)]
    (tmp_path / "mixed.jsonl").write_bytes(b"".join([*mixed, *bad[len(good) :]]))
    alone, _ = replayed(shell, tmp_path, EXAMPLES / "scenes.jsonl")
    digest = summary_of(tmp_path / "run")["digest"]
    beside, dead = replayed(shell, tmp_path, tmp_path / "mixed.jsonl")
    assert len(dead) == len(bad)
    assert list(beside.values()) == list(alone.values())
    assert summary_of(tmp_path / "run")["digest"] == digest


def test_texts_up_to_64_kilobytes_are_taken_cut_and_flagged(shell: Shell, tmp_path: Path) -> None:
    words = "The valve under the basin is closed now. " * 2000
    long, longer = words[:KILOBYTES_64], words[: KILOBYTES_64 + 1]
    cyrillic = "ж" * (KILOBYTES_64 // 2)
    lines = [
        scene("most", 0, long), scene("more", 0, longer), scene("wide", 0, cyrillic), scene("wider", 0, cyrillic + "!"),
        scene("context", 0, context=[{"role": "user", "text": long}]),
        scene("long context", 0, context=[{"role": "user", "text": longer}]),
        {"id": "chat", "messages": [{"role": "user", "content": longer}, {"role": "assistant", "content": "Well."}]},
    ]  # fmt: skip
    decided, dead = replayed(shell, tmp_path, write_lines(tmp_path / "log.jsonl", lines))
    assert {name for name, one in decided.items() if one["flags"] == ["cut"]} >= {"most:0", "context:0"}
    assert {"most:0", "wide:0", "context:0", "chat:1"} == decided.keys()
    assert [(letter["line"], letter["reason"]) for letter in dead] == [(line, "too_long") for line in (2, 4, 6, 7)]
    assert max(len(letter["raw"]) for letter in dead) == 2000


@pytest.mark.parametrize("depth", [100, 300, 100_000])
def test_nesting_of_any_depth_breaks_nothing(shell: Shell, tmp_path: Path, depth: int) -> None:
    nest = "[" * depth + "]" * depth
    lines = [
        nest, '{"a":' * depth + "1" + "}" * depth, f'{{"messages": {nest}}}',
        f'{{"messages": [{{"role": "user", "content": {nest}}}]}}',
        f'{{"type": "scene", "dialogue_id": "d", "turn": 0, "draft": "x", "context": {nest}}}',
        json.dumps(scene("fine", 0)),
    ]  # fmt: skip
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    decided, dead = replayed(shell, tmp_path, tmp_path / "log.jsonl")
    assert decided.keys() == {"fine:0"}
    assert [letter["line"] for letter in dead] == [1, 2, 3, 4, 5]


def test_lines_of_33_megabytes_and_bytes_of_nothing_are_dead_alone(shell: Shell, tmp_path: Path) -> None:
    with (tmp_path / "log.jsonl").open("wb") as log:
        for part in (scene("d", 0), b'"' + b"y" * (33 << 20) + b'"', scene("d", 1), b"\0\0\0", scene("d", 2, "a \0 b")):
            log.write((part if isinstance(part, bytes) else json.dumps(part).encode()) + b"\n")
        log.write(b" " * (33 << 20))
    decided, dead = replayed(shell, tmp_path, tmp_path / "log.jsonl")
    assert decided.keys() == {"d:0", "d:1", "d:2"}
    assert [(one["line"], one["reason"]) for one in dead] == [(2, "too_long"), (4, "broken_json"), (6, "too_long")]


def test_turns_are_known_for_256_turns_and_feedback_for_as_long(shell: Shell, tmp_path: Path) -> None:
    lines = [scene("w", turn, f"Turn the valve {turn % 5} times.") for turn in range(300)]
    lines += [scene("w", turn) for turn in (299, 44, 43, 0)]
    lines += [feedback("w", turn) for turn in (44, 43)]
    lines += [feedback("w", 299, user_id="somebody else"), feedback("nobody", 0), scene("w", 300)]
    decided, dead = replayed(shell, tmp_path, write_lines(tmp_path / "log.jsonl", lines))
    assert len(decided) == 301
    assert [(letter["line"], letter["reason"]) for letter in dead] == [
        (301, "duplicate"), (302, "duplicate"), (303, "out_of_order"), (304, "out_of_order"), (306, "unknown_scene"),
        (307, "unknown_scene"), (308, "unknown_scene"),
    ]  # fmt: skip


def test_what_is_picked_by_dialogue_is_picked_with_its_faults(shell: Shell, tmp_path: Path) -> None:
    chat = {"id": "c", "messages": [{"role": "user", "content": "Is it open?"}, {"role": "assistant", "content": ""}]}
    lines = [
        scene("c", 0),
        scene("d", 0),
        chat,
        chat | {"id": "d"},
        scene("d", 1, mood="odd"),
        scene("c", 2, mood="odd"),
    ]
    ran = shell.run("replay", write_lines(tmp_path / "log.jsonl", lines), "--out", "run", "--json", "--dialogue", "c")
    assert ran.code == 0
    assert [letter["line"] for letter in lines_of(tmp_path / "run" / "dead.jsonl")] == [3, 6]
