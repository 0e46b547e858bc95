from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from tests.command_line import Shell, write_lines

WORKED = "вход + дрожь + неясность"
MORNING = "I'm awake before the house is. The floor is cold and my shoulders are tight already, up round my ears."
FERRY = "Is there a ferry to the island on Sunday?"
HOSTILE = "\x1b[2J[/bold] [red]x[/red] \u202eback\u2066 \x9b31m [link=http://x]y[/link] \x07"


def narrow(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


def test_the_worked_example_is_shown_with_its_baseline(shell: Shell) -> None:
    ran = shell.run("explain", "--chain", WORKED, "--context", MORNING)
    assert (ran.code, ran.err) == (0, "")
    assert narrow(ran.out)
    for shown in ("entrance", "tremor", "vagueness", "of 200 random chains", "step + tension + morning", "authored"):
        assert shown in ran.out
    assert shell.run("explain", "--chain", WORKED, "--context", MORNING).out == ran.out


def test_without_its_line_the_authored_chain_is_not_offered(shell: Shell, tmp_path: Path) -> None:
    copied = tmp_path / "artifacts"
    shutil.copytree(Path(str(files("models") / "artifacts")), copied)
    analogues = copied / "analogues.tsv"
    kept = [line for line in analogues.read_text(encoding="utf-8").splitlines(keepends=True) if "+" not in line]
    analogues.write_text("".join(kept), encoding="utf-8")
    shell.set("MODELS__ARTIFACTS_FOLDER", copied)
    ran = shell.run("explain", "--chain", WORKED, "--context", MORNING)
    assert ran.code == 0
    assert "step + tension + morning" not in ran.out


def test_an_authored_choice_is_said_to_be_no_find_of_geometry(shell: Shell) -> None:
    ran = shell.run("explain", "--chain", WORKED, "--context", MORNING, "--json")
    chosen = ran.lines()[-1]["healing"]["source"]
    shown = shell.run("explain", "--chain", WORKED, "--context", MORNING).out
    assert ("authored in analogues.tsv, not found by geometry" in shown) == (chosen == "authored")


def test_codes_may_be_english_and_carry_weights(shell: Shell) -> None:
    ran = shell.run("explain", "--chain", "tremor .5 + Entrance 1 + vagueness 0.25", "--context", MORNING, "--json")
    first = ran.lines()[0]
    assert first["chain"] == [
        {"code": "entrance", "weight": 1.0},
        {"code": "tremor", "weight": 0.5},
        {"code": "vagueness", "weight": 0.25},
    ]


def test_a_draft_is_explained_in_its_context(shell: Shell) -> None:
    asked = ("explain", "--draft", "Yes, at 9:15 and at 16:40.", "--context", "Morning.", "--context", FERRY)
    shown = shell.run(*asked).out
    assert "assistant Morning." in shown
    assert FERRY in shown
    decisions = shell.run(*asked, "--json").lines()
    assert [decision["attempt"] for decision in decisions] == list(range(len(decisions)))
    assert decisions[-1]["final"] is True


@pytest.mark.parametrize("register", ["dry", "poetic", "bodily", "symbolic"])
def test_a_register_may_be_asked_for(shell: Shell, register: str) -> None:
    ran = shell.run("explain", "--draft", "Yes, at 9:15.", "--context", FERRY, "--register", register, "--json")
    assert ran.lines()[0]["register"] == register


def test_hostile_words_reach_the_terminal_as_words(shell: Shell) -> None:
    ran = shell.run("explain", "--draft", HOSTILE, "--context", HOSTILE)
    assert ran.code == 0
    assert not {"\x1b", "\x9b", "\x07", "\u202e", "\u2066"} & set(ran.out)
    assert "[red]x[/red]" in ran.out
    assert "[/bold]" in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--context", "x"),
        ("--chain", "a + b", "--draft", "x"),
        ("run",),
        ("run", "id", "--draft", "x"),
        ("--draft", ""),
        ("--draft", "x" * 70_000),
        ("--chain", "tremr + entrance"),
        ("--chain", "tremor + tremor"),
        ("--chain", " + "),
        ("--draft", "x", "--register", "loud"),
        ("run", "id"),
    ],
)
def test_what_cannot_be_explained_is_exit_code_two(shell: Shell, arguments: tuple[str, ...]) -> None:
    ran = shell.run("explain", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


def test_a_word_that_is_no_code_is_told_its_neighbours(shell: Shell) -> None:
    assert "tremor" in shell.run("explain", "--chain", "tremr + entrance").err


@pytest.fixture
def run_dir(shell: Shell, tmp_path: Path) -> Path:
    said = [FERRY, "See wall the or no blue.", f"{HOSTILE} two of us", "At 9:15 then, for two."]
    roles = ["user", "assistant"] * 2
    messages = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    log = write_lines(tmp_path / "log.jsonl", [{"id": "ferry", "user_id": "[u]", "messages": messages}])
    folder = tmp_path / "run"
    assert shell.run("replay", log, "--out", folder, "--no-progress").code == 0
    return folder


def test_a_scene_of_a_run_is_shown_as_it_was_decided(shell: Shell, run_dir: Path) -> None:
    written = [json.loads(line) for line in (run_dir / "decisions.jsonl").read_text(encoding="utf-8").splitlines()]
    for scene_id in ("ferry:1", "ferry:3"):
        decisions = shell.run("explain", run_dir, scene_id, "--json").lines()
        assert decisions == [decision for decision in written if decision["scene_id"] == scene_id]
        shown = shell.run("explain", run_dir, scene_id).out
        assert narrow(shown)
        assert decisions[-1]["verdict"].upper() in shown
        assert decisions[-1]["rule"] in shown
        assert "user [u]" in shown


def test_a_scene_that_is_not_there_is_one_line(shell: Shell, run_dir: Path) -> None:
    ran = shell.run("explain", run_dir, "ferry")
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert "ferry:1" in ran.err


def test_without_words_the_rest_is_shown(shell: Shell, run_dir: Path) -> None:
    (run_dir / "texts.jsonl").unlink()
    ran = shell.run("explain", run_dir, "ferry:3")
    assert ran.code == 0
    assert "kept no words" in ran.out
