"""--no-texts: no word of a dialogue in the run's directory, neither where it was right nor where it was refused."""

from __future__ import annotations

import json
from pathlib import Path

from tests.command_line import Shell, write_lines
from tests.replay.program import EXAMPLES
from tests.replay.run_contract import check_run, lines_of

MARK = "zqsecret"


def test_no_word_of_what_was_sent_is_kept(shell: Shell, tmp_path: Path) -> None:
    said = {"role": "user", "text": f"{MARK} asks when the ferry goes."}
    scene = {"type": "scene", "dialogue_id": "d", "turn": 0, "context": [said], "draft": f"{MARK} hears: at ten."}
    chat = [{"role": "user", "content": MARK}, {"role": "assistant", "content": f"{MARK}, wait.", "rating": MARK}]
    lines: list[object] = [
        scene, {"id": "c", "messages": chat}, {"id": "c2", "messages": [{"role": MARK, "content": MARK}]},
        [MARK], MARK, scene | {"type": MARK}, scene | {"version": MARK}, scene | {MARK: 1},
        scene | {"chain": [{"code": MARK}]}, scene | {"context": [said | {MARK: 1}]}, scene | {"register": MARK},
        scene | {"context": [said | {"role": MARK}]}, scene | {"embedding": MARK}, scene,
        scene | {"turn": MARK}, {"messages": MARK}, {"id": {MARK: 1}, "messages": chat},
        scene | {"draft": MARK * 9000}, {"type": "feedback", "dialogue_id": "d", "turn": 0, "rating": MARK},
    ]  # fmt: skip
    log = write_lines(tmp_path / "log.jsonl", lines)
    with log.open("a") as stream:
        stream.write(f'{{"broken": "{MARK}')
    ran = shell.run("replay", log, "--out", "run", "--json", "--no-texts", "--spoil", "shattered:0.5")
    assert (ran.code, ran.err) == (0, "")
    check_run(tmp_path / "run")
    assert ran.lines()[0]["dead"] == len(lines), "all but the first, and the last that breaks off"
    assert MARK not in ran.out
    for file in (tmp_path / "run").iterdir():
        assert MARK not in file.read_text("utf-8"), file.name
    for letter in lines_of(tmp_path / "run" / "dead.jsonl"):
        assert letter["raw"] is None


def test_no_word_of_a_memory_is_repeated(shell: Shell, tmp_path: Path) -> None:
    mornings = EXAMPLES / "mornings.jsonl"
    said = {
        message["content"]
        for line in mornings.read_text("utf-8").splitlines()
        for message in json.loads(line)["messages"]
        if len(message["content"]) > 20
    }
    assert shell.run("memory", "build", mornings, "--texts", "--out", "memory").code == 0
    # All fails, and what fails is bridged: each cue could quote.
    for name, value in (("THETA0", 1), ("INTENT_MIN", 1), ("GAIN_MIN", 0), ("MODE", "off")):
        shell.set(f"GATE__{name}", value)
    for more, quoted in (((), True), (("--no-texts",), False)):
        assert shell.run("replay", mornings, "--memory", "memory", "--out", "run", "--json", *more).code == 0
        check_run(tmp_path / "run")
        cues = [decision["cue"] or "" for decision in lines_of(tmp_path / "run" / "decisions.jsonl")]
        assert any("like: “" in cue for cue in cues) is quoted
    for file in (tmp_path / "run").iterdir():
        kept = file.read_text("utf-8")
        assert not [words for words in said if words in kept or json.dumps(words)[1:-1] in kept], file.name
