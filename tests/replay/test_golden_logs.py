"""The example logs through the program: the contract of a run's directory, and one digest whatever the batches."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.command_line import Shell
from tests.replay.program import EXAMPLES, LOGS, SPOILT, replay, settings_of
from tests.replay.run_contract import FINAL, check_run, lines_of, summary_of

SCENES = EXAMPLES / "scenes.jsonl"


@pytest.mark.parametrize("run", ["plain_run", "spoilt_run", "strict_run"])
def test_the_directory_of_a_run_is_as_its_contract_says(run: str, request: pytest.FixtureRequest) -> None:
    check_run(request.getfixturevalue(run))


def test_without_a_promise_no_scene_is_withheld_for_it(shell: Shell, tmp_path: Path) -> None:
    shell.set("GATE__MODE", "off")
    shell.set("GATE__SLACK", 0)
    assert shell.run("replay", SCENES, "--out", "run", "--json").code == 0
    check_run(tmp_path / "run")
    assert not [rule for rule in summary_of(tmp_path / "run")["withheld_by"] if rule.startswith("ledger")]


def test_what_is_only_observed_says_so(shell: Shell, tmp_path: Path) -> None:
    shell.set("GATE__MODE", "observe")
    assert shell.run("replay", SCENES, "--out", "run", "--json").code == 0
    check_run(tmp_path / "run")
    assert all("observed" in decision["flags"] for decision in lines_of(tmp_path / "run" / "decisions.jsonl"))
    summary = summary_of(tmp_path / "run")
    assert summary["final"]["ready"] == summary["scenes"] == sum(summary["observed"].values())
    assert len(summary["observed"]) > 1


def test_every_verdict_and_every_route_is_in_the_examples(plain_run: Path) -> None:
    summary = summary_of(plain_run)
    assert summary["by_verdict"].keys() == FINAL | {"regenerate", "analogue"}
    healings = [decision["healing"] for decision in lines_of(plain_run / "decisions.jsonl") if decision["healing"]]
    bridged = {("bridge", strength) for strength in ("amplified", "partial", "full")}
    assert {(healing["route"], healing["strength"]) for healing in healings} == {("regeneration", None), *bridged}


def test_strict_withholds_what_its_promise_has_no_room_for(strict_run: Path) -> None:
    assert summary_of(strict_run)["withheld_by"]["ledger.drafts"] > 0
    assert {"learnt", "repeated", "inapplicable"} <= summary_of(strict_run)["feedback"].keys()


@pytest.mark.parametrize(("max_batch", "open_scenes"), [(1, 768), (256, 8)])
def test_late_and_repeated_feedback_give_one_digest_in_any_batch(
    late_log: Path, strict_run: Path, tmp_path: Path, max_batch: int, open_scenes: int
) -> None:
    settings = settings_of(max_batch, open_scenes, mode="strict", slack=1.0)
    run = replay(tmp_path / "run", late_log, "--no-texts", settings=settings)
    assert summary_of(run)["digest"] == summary_of(strict_run)["digest"]
    for name in ("decisions.jsonl", "sensitivity.jsonl", "dead.jsonl"):
        assert (run / name).read_bytes() == (strict_run / name).read_bytes()


def test_spoilt_drafts_give_one_digest_in_any_batch(spoilt_run: Path, tmp_path: Path) -> None:
    run = replay(tmp_path / "run", *LOGS[1:], "--spoil", SPOILT, "--no-texts")
    assert (run / "decisions.jsonl").read_bytes() == (spoilt_run / "decisions.jsonl").read_bytes()
    assert summary_of(run)["controls"] == summary_of(spoilt_run)["controls"]


def test_the_same_log_is_the_same_run_however_it_comes(shell: Shell, tmp_path: Path) -> None:
    data = SCENES.read_bytes()
    middle = data.index(b"\n", len(data) // 2) + 1
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(data[:middle]) + gzip.compress(data[middle:]))
    marked = tmp_path / "marked.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    for number, (log, stdin) in enumerate([(SCENES, b""), (packed, b""), (marked, b""), ("-", gzip.compress(data))]):
        ran = shell.run("replay", log, "--out", f"run{number}", "--json", stdin=stdin)
        assert (ran.code, ran.err) == (0, "")
    digests = {summary_of(tmp_path / f"run{number}")["digest"] for number in range(4)}
    assert len(digests) == 1


def test_a_second_run_takes_the_place_of_the_first(shell: Shell, tmp_path: Path) -> None:
    shell.run("replay", SCENES, "--out", "run", "--json")
    ran = shell.run("replay", SCENES, "--out", "run", "--json", "--limit", 3, "--no-texts")
    assert ran.lines()[0]["scenes"] == 3
    assert not (tmp_path / "run" / "texts.jsonl").exists()
    check_run(tmp_path / "run")


def test_limits_of_nothing_and_logs_of_nothing_are_runs(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"\n  \n")
    for log, more in ((SCENES, ("--limit", 0)), (tmp_path / "empty.jsonl", ())):
        ran = shell.run("replay", log, "--out", "run", "--json", *more)
        assert (ran.code, ran.err) == (0, "")
        check_run(tmp_path / "run")
        assert summary_of(tmp_path / "run")["scenes"] == 0


def test_a_dialogue_that_is_not_there_is_said_not_to_be(shell: Shell, tmp_path: Path) -> None:
    ran = shell.run("replay", SCENES, "--out", "run", "--json", "--dialogue", "nobody\x1b[2J")
    assert ran.code == 0
    assert ran.err == "no scene of dialogue nobody[2J is in these logs\n"
    check_run(tmp_path / "run")


def test_a_person_is_told_where_to_look_whatever_the_folder_is_called(shell: Shell, tmp_path: Path) -> None:
    ran = shell.run("replay", SCENES, "--out", "runs [/b]/[red]1", "--limit", 2)
    assert (ran.code, ran.err) == (0, "")
    told = dict(line.split(": ", 1) for line in ran.out.splitlines() if line.startswith(("decisions: ", "report: ")))
    for path in told.values():
        assert (tmp_path / path.strip()).is_file()
    assert told.keys() == {"decisions", "report"}


def test_runs_of_the_same_second_have_folders_of_their_own(shell: Shell, tmp_path: Path) -> None:
    for _ in range(3):
        assert shell.run("replay", SCENES, "--json", "--limit", 1).code == 0
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 3
    for run in runs:
        check_run(run)
