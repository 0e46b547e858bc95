from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from schemas.decision import Parts
from tests.command_line import Shell, write_lines

GOOD = {
    "id": "good",
    "context": ["Is there a ferry to the island on Sunday?"],
    "draft": "Yes, at 9:15 and at 16:40. How many are you?",
}
ECHO = {"id": 7, "context": GOOD["context"], "draft": GOOD["context"][0]}


def test_each_draft_gets_its_line_in_order(shell: Shell, tmp_path: Path) -> None:
    ran = shell.run("score", write_lines(tmp_path / "in", [GOOD, ECHO]))
    assert (ran.code, ran.err) == (0, "")
    good, echo = ran.lines()
    assert [good["id"], echo["id"]] == ["good", 7]
    assert set(good) == {"id", "resonance", "parts", "chain", "flags"}
    assert set(good["parts"]) == set(Parts.model_fields)
    assert good["parts"]["gain"] is None
    assert 1 <= len(good["chain"]) <= 3
    assert good["resonance"] > echo["resonance"]


def test_batches_stdin_and_gzip_change_nothing(shell: Shell, tmp_path: Path) -> None:
    lines = [GOOD | {"id": number, "draft": f"{GOOD['draft']} {'And so on. ' * number}"} for number in range(9)]
    plain = write_lines(tmp_path / "in", lines)
    (tmp_path / "in.gz").write_bytes(gzip.compress(plain.read_bytes()))
    whole = shell.run("score", plain).out
    assert len(whole.splitlines()) == 9
    assert shell.run("score", tmp_path / "in.gz").out == whole
    shell.set("MODELS__MAX_BATCH", 2)
    assert shell.run("score", "-", stdin=plain.read_bytes()).out == whole


def test_roles_may_be_told_or_left_to_alternate(shell: Shell, tmp_path: Path) -> None:
    said = ["Two of us.", "And when?", "On Sunday."]
    told = [{"role": role, "content": text} for role, text in zip(["user", "assistant", "user"], said, strict=True)]
    spoken = [{"role": one["role"], "text": one["content"]} for one in told]
    lines = [{"id": 1, "context": context, "draft": "At 9:15 then."} for context in (said, told, spoken)]
    ran = shell.run("score", write_lines(tmp_path / "in", lines))
    assert len({json.dumps(line) for line in ran.lines()}) == 1


@pytest.mark.parametrize(
    ("line", "reason", "what"),
    [
        (b"{broken", "broken_json", "not JSON"),
        (b'{"id": 1, "draft": "caf\xe9"}', "not_text", "UTF-8"),
        (b"[1, 2]", "wrong_fields", "draft"),
        (b'{"id": 1}', "wrong_fields", "draft"),
        (b'{"id": 1, "draft": 7}', "wrong_fields", "draft"),
        (b'{"id": 1, "draft": ""}', "empty_draft", "draft"),
        (b'{"id": [1], "draft": "b"}', "wrong_fields", "id"),
        (b'{"id": 1, "draft": "b", "context": "a"}', "wrong_fields", "context"),
        (b'{"id": 1, "draft": "b", "context": [{"role": "wizard", "text": "a"}]}', "unknown_role", "context.0.role"),
        (b'{"id": 1, "draft": "' + b"x" * 70_000 + b'"}', "too_long", "draft"),
    ],
)
def test_a_bad_line_is_told_and_the_rest_is_unaffected(shell: Shell, line: bytes, reason: str, what: str) -> None:
    good = json.dumps(GOOD).encode()
    ran = shell.run("score", "-", stdin=good + b"\n" + line + b"\n\n" + good + b"\n")
    assert ran.code == 1
    assert [answer["id"] for answer in ran.lines()] == ["good", "good"]
    (told,) = ran.err.splitlines()
    assert told.startswith("stdin:2: ")
    assert reason in told
    assert what in told


def test_texts_longer_than_the_encoder_reads_are_flagged(shell: Shell) -> None:
    long = GOOD | {"draft": "and the ferry goes on " * 400}
    (answer,) = shell.run("score", "-", stdin=json.dumps(long).encode()).lines()
    assert answer["flags"] == ["cut"]


def test_nothing_in_nothing_out(shell: Shell) -> None:
    ran = shell.run("score", "-")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_a_missing_file_is_one_line_and_exit_code_two(shell: Shell) -> None:
    ran = shell.run("score", "nowhere.jsonl")
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert "nowhere.jsonl" in ran.err
