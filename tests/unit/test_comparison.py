from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from command_line import Shell
from fake_runs import decisions_of, write_run
from typer.testing import CliRunner

from schemas.decision import Decision
from schemas.names import Verdict
from streams.cli.app import app
from streams.ops.replays.comparison import compare
from streams.replay.digest import Digest
from streams.replay.run_dir import RunDirError


def run_of(folder: Path, decisions: list[Decision], **summary: object) -> Path:
    """Write a run whose digest is that of its decisions."""
    write_run(folder, decisions)
    digest = Digest()
    for one in decisions:
        digest.add(one)
    facts = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**facts, "digest": digest.hexdigest(), **summary}))
    return folder


def test_a_run_held_against_itself_has_not_changed(tmp_path: Path) -> None:
    decisions = decisions_of(120)
    found = compare(run_of(tmp_path / "a", decisions), run_of(tmp_path / "b", decisions))
    assert found.same_digest
    assert (found.changed, found.moved, found.changes, found.settings) == (0, 0, (), ())
    assert found.compared == 120
    assert sum(pair.scenes for pair in found.table) == 120
    assert all(rule.before == rule.after for rule in found.rules)


def test_what_changed_is_what_an_independent_count_finds(tmp_path: Path) -> None:
    before = decisions_of(300)
    after = []
    for number, one in enumerate(before):
        if one.final and one.verdict is Verdict.READY and number % 3 == 0:
            after.append(one.model_copy(update={"verdict": Verdict.WITHHELD, "rule": "ledger.drafts"}))
        elif number % 7 == 0:
            after.append(one.model_copy(update={"threshold": one.threshold + 0.01}))
        else:
            after.append(one)
    left_out = before[0].scene_id
    after = [one for one in after if one.scene_id != left_out]
    settings = {"settings": {"gate": {"mode": "strict"}}}
    found = compare(run_of(tmp_path / "a", after, **settings), run_of(tmp_path / "b", before), examples=2)

    old = {one.scene_id: one.verdict for one in before if one.final}
    new = {one.scene_id: one.verdict for one in after if one.final}
    pairs = Counter((old[name], new[name]) for name in new)
    assert {(pair.before, pair.after): pair.scenes for pair in found.table} == pairs
    changed = [name for name in new if old[name] is not new[name]]
    assert found.changed == len(changed)
    assert found.changed_share == len(changed) / len(new)
    [change] = found.changes
    assert change.examples == tuple(changed[:2])
    other = {one.scene_id for one, two in zip(before[1:], after, strict=False) if one != two}
    assert found.moved >= len(other - set(changed)) > 0 or found.moved > 0
    assert (found.only_run, found.only_baseline) == (0, 1)
    rules = {rule.rule: (rule.before, rule.after) for rule in found.rules}
    assert {rule: count for rule, (count, _) in rules.items() if count} == Counter(one.rule for one in before)
    assert {rule: count for rule, (_, count) in rules.items() if count} == Counter(one.rule for one in after)
    assert not found.same_digest
    assert ("settings.gate.mode", "expected", "strict") in [(s.name, s.before, s.after) for s in found.settings]


def test_ids_may_be_masked(tmp_path: Path) -> None:
    before = decisions_of(50)
    after = [one.model_copy(update={"verdict": Verdict.REASONING}) if one.final else one for one in before]
    found = compare(run_of(tmp_path / "a", after), run_of(tmp_path / "b", before), name=lambda _: "masked")
    assert {example for change in found.changes for example in change.examples} == {"masked"}
    assert "user-" not in found.model_dump_json()


def test_what_is_no_run_says_so(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", decisions_of(5))
    with pytest.raises(RunDirError, match="no finished run"):
        compare(run, tmp_path / "none")


def test_the_command_tells_it_to_a_person_and_to_a_program(tmp_path: Path, shell: Shell) -> None:
    del shell
    before = decisions_of(100)
    after = [one.model_copy(update={"verdict": Verdict.WITHHELD}) if one.final else one for one in before]
    run, baseline = str(run_of(tmp_path / "new", after)), str(run_of(tmp_path / "old", before))
    told = CliRunner().invoke(app, ["compare", run, baseline])
    assert told.exit_code == 0
    changed = sum(one.final and one.verdict is not Verdict.WITHHELD for one in before)
    assert f"{changed} of 100 scenes changed their verdict ({changed}.0%)" in told.output
    assert "ready ► withheld" in told.output
    as_json = json.loads(CliRunner().invoke(app, ["compare", run, baseline, "--json"]).output)
    assert as_json["changed"] == changed
    assert CliRunner().invoke(app, ["compare", run, baseline, "--exit-code"]).exit_code == 1
    same = CliRunner().invoke(app, ["compare", run, run, "--exit-code"])
    assert same.exit_code == 0
    assert "decided the same" in same.output


def test_names_that_look_like_markup_stay_names(tmp_path: Path, shell: Shell) -> None:
    del shell
    before = [one.model_copy(update={"scene_id": f"[red]{one.scene_id}[/b]:ok:"}) for one in decisions_of(3)]
    after = [one.model_copy(update={"verdict": Verdict.WITHHELD}) if one.final else one for one in before]
    run, baseline = run_of(tmp_path / "new", after, logs=["a[/x].jsonl"]), run_of(tmp_path / "old", before)
    told = CliRunner().invoke(app, ["compare", str(run), str(baseline)], env={"COLUMNS": "300"})
    assert told.exit_code == 0
    assert "a[/x].jsonl" in told.output
    assert "[red]" in told.output
    assert "[/b]:ok:" in told.output
