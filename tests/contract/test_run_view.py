"""What the dashboard shows of a run is what the run's own summary and files say."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from fake_scorer import FakeScorer
from seeded_logs import log

from schemas.decision import Decision
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.ops.pulse.headroom import headroom
from streams.ops.run_view import dialogue_of_run, pulse_of_run
from streams.replay.run_dir import RunDirError, RunWriter
from streams.runtimes.embedded import EmbeddedRuntime
from streams.runtimes.lanes import Batching
from streams.settings import Settings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a log with everything in it."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    folder.mkdir()
    settings = Settings()
    runtime = EmbeddedRuntime(FakeScorer(), settings.policy(), Batching(16, 1.0, 64))
    with RunWriter(folder, keep_texts=True) as writer:
        for outcome in runtime.run(log(seed=11, scenes=400)):
            if outcome.dead is not None:
                writer.dead(outcome.dead)
            elif outcome.feedback is not None:
                writer.feedback(outcome.feedback)
            elif isinstance(outcome.item.event, Scene):
                writer.scene(outcome.item.event, outcome.decisions)
        facts = {
            "seconds": 8.0,
            "scenes_per_second": writer.scenes / 8.0,
            "stages": runtime.timings.summary(),
            "settings": settings.model_dump(mode="json"),
            "logs": ["log.jsonl"],
            "interrupted": False,
        }
        writer.finish(runtime.rows, facts)
    return folder


def lines(folder: Path, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]


def test_the_pulse_of_a_run_is_its_summary(run: Path) -> None:
    pulse = pulse_of_run(run, b"salt")
    summary = json.loads((run / "summary.json").read_text())
    assert {name: getattr(pulse.verdicts, name) for name in summary["by_verdict"]} == summary["by_verdict"]
    assert pulse.verdicts.final == summary["scenes"]
    assert pulse.healed == summary["healed"]
    assert {one.reason: one.count for one in pulse.dead} == summary["dead_by"]
    assert pulse.feedback.learnt == summary["feedback"]["learnt"]
    assert pulse.stages[0].age.p50_seconds == summary["stages"]["resonance"]["p50_ms"] / 1000
    withheld = {one.rule: one.count for one in pulse.rules if one.rule in summary["withheld_by"]}
    assert withheld == summary["withheld_by"]
    assert sum(moment.verdicts.final for moment in pulse.moments) == summary["scenes"]
    assert pulse.late == pulse.ahead == pulse.unread == 0
    assert pulse.seconds == pytest.approx(8.0, rel=0.05)


def test_its_stages_tasks_and_ledgers_are_those_of_its_files(run: Path) -> None:
    pulse = pulse_of_run(run, b"salt")
    decisions = [Decision.model_validate(line) for line in lines(run, "decisions.jsonl")]
    rows = [Sensitivity.model_validate(line) for line in lines(run, "sensitivity.jsonl")]
    healings = Counter(one.healing.route for one in decisions if one.healing is not None)
    assert {stage.stage: stage.done for stage in pulse.stages[:3]} == {"resonance": len(decisions), **healings}
    assert {one.route: one.judged for one in pulse.healing} == healings
    ready = [one for one in decisions if one.verdict == "ready" and one.healing is not None]
    assert sum(one.ready for one in pulse.healing) == len(ready)
    gate = Settings().gate
    for account in pulse.ledgers:
        own = [row for row in rows if row.task == account.task]
        assert account.users == len(own)
        assert account.headroom_worst == pytest.approx(
            min(headroom(row, account.account, gate) for row in own), abs=1e-4
        )
    labels = sum(row.drafts.labelled for row in rows)
    assert (pulse.metastability.labels, pulse.metastability.errors) == (labels, sum(row.drafts.errors for row in rows))
    assert pulse.feedback.accepted + pulse.feedback.rejected == labels == pulse.feedback.learnt


def test_a_dialogue_of_a_run_is_followed_with_its_words_only_where_they_may_be_shown(run: Path) -> None:
    decisions = [Decision.model_validate(line) for line in lines(run, "decisions.jsonl")]
    one = next(decision for decision in decisions if decision.healing is not None)
    found = dialogue_of_run(run, dialogue=one.dialogue_id)
    mine = [decision for decision in decisions if decision.dialogue_id == one.dialogue_id]
    assert [(step.scene_id, step.attempt, step.verdict) for step in found.steps] == [
        (decision.scene_id, decision.attempt, decision.verdict) for decision in mine
    ]
    assert found.whole
    assert " at " not in found.model_dump_json()
    told = dialogue_of_run(run, dialogue=one.dialogue_id, texts=True)
    texts = {line["scene_id"]: line["draft"] for line in lines(run, "texts.jsonl")}
    assert all(step.draft == texts[step.scene_id] for step in told.steps if step.attempt == 0)
    user = one.key
    by_user = dialogue_of_run(run, user=user)
    assert {step.dialogue_id for step in by_user.steps} == {d.dialogue_id for d in decisions if d.key == user}
    scenes = [scene for scene, _ in itertools.groupby(by_user.steps, key=lambda step: step.scene_id)]
    assert len(scenes) == len(set(scenes))


def test_what_is_no_run_says_so(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="no finished run"):
        pulse_of_run(tmp_path, b"")
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    with (broken / "decisions.jsonl").open("a") as stream:
        stream.write("{")
    with pytest.raises(RunDirError, match="is damaged"):
        pulse_of_run(broken, b"")
