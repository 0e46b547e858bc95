"""The dashboard's replays with the real program: what it tells of its progress is what its summary says."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from command_line import Shell

from streams.cli import progress
from streams.cli.progress import Form, told
from streams.ops.replays.asked import ReplayOrder
from streams.ops.replays.jobs import Jobs
from streams.settings import OpsSettings

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_started_replay_is_a_run_like_any_other(tmp_path: Path) -> None:
    ops = OpsSettings(logs_folder=EXAMPLES, runs_folder=tmp_path / "runs")
    with closing(Jobs(ops, (sys.executable, "-m", "streams.cli", "replay"), None)) as jobs:
        assert "scenes.jsonl" in jobs.shelf.logs()
        job = jobs.ask(ReplayOrder(log="scenes.jsonl", limit=4))
        began = time.monotonic()
        while job.ended_at is None:
            assert time.monotonic() - began < 120
            time.sleep(0.05)
            job = jobs.get(job.id) or job
    assert (job.state, job.error) == ("done", None)
    [run] = jobs.shelf.runs()
    summary = json.loads((tmp_path / "runs" / run.name / "summary.json").read_text())
    assert (job.run, job.scenes, run.digest) == (run.name, summary["scenes"], summary["digest"])
    assert run.logs == ("scenes.jsonl",)


def test_progress_for_programs_is_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with told(Form.JSON, 200) as listener:
        listener.done(50)
        listener.scenes(3)
        listener.done(150)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [{"progress": {"scenes": 3, "share": 0.25}}, {"progress": {"scenes": 3, "share": 1.0}}]
    with told(Form.JSON, None) as listener:
        listener.done(10)
    assert json.loads(capsys.readouterr().err) == {"progress": {"scenes": 0, "share": None}}
    with told(Form.NONE, 10) as listener:
        listener.done(10)
        listener.scenes(1)
    assert capsys.readouterr().err == ""


def test_progress_is_what_came_to_its_outcome_and_not_what_was_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(progress, "_EVERY_SECONDS", 0.0)
    log = EXAMPLES / "scenes.jsonl"
    ran = Shell(monkeypatch, capsys, tmp_path).run("replay", log, "--out", "run", "--progress", "json")
    said = [json.loads(line)["progress"]["share"] for line in ran.err.splitlines()]
    # All of so short a log is read before anything of it is decided.
    sizes = [len(line) for line in log.read_bytes().splitlines(keepends=True)]
    assert said == pytest.approx([*(sum(sizes[: place + 1]) / sum(sizes) for place in range(len(sizes))), 1.0])
