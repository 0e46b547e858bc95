"""Replays as processes: a stand-in for `scenestream replay` that tells progress, writes a summary, or fails."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_runs import decisions_of, write_run

from streams.ops.replays.asked import ReplayJob, ReplayOrder
from streams.ops.replays.jobs import Jobs
from streams.ops.replays.shelf import OrderError
from streams.settings import KafkaSettings, OpsSettings

PROGRAM = """
import json, os, pathlib, sys, time
log, _, out, *rest = sys.argv[1:]
print(json.dumps(sys.argv[1:]), file=open(os.environ["SAID"], "a"))
words = pathlib.Path(log).read_text().split()
for number, word in enumerate(words, 1):
    if word == "fail":
        sys.exit("scenestream: the log is no log")
    if word == "wait":
        print('{"progress": {"scenes": %d, "share": 0.5}}' % number, file=sys.stderr, flush=True)
        time.sleep(60)
    print('{"progress": {"scenes": %d, "share": %f}}' % (number, number / len(words)), file=sys.stderr, flush=True)
pathlib.Path(out).mkdir()
pathlib.Path(out, "summary.json").write_text('{"scenes": %d, "digest": "d", "logs": ["one.jsonl"]}' % len(words))
"""


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpsSettings:
    (tmp_path / "logs" / "in").mkdir(parents=True)
    for name, words in (("good.jsonl", "a b c"), ("in/bad.jsonl", "a fail"), ("slow.jsonl", "a wait"), ("x.txt", "")):
        (tmp_path / "logs" / name).write_text(words)
    (tmp_path / "secret.jsonl").write_text("a")
    (tmp_path / "logs" / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    return OpsSettings(logs_folder=tmp_path / "logs", runs_folder=tmp_path / "runs")


@pytest.fixture
def jobs(ops: OpsSettings) -> Iterator[Jobs]:
    made = Jobs(ops, (sys.executable, "-c", PROGRAM), None)
    yield made
    made.close()


def until(jobs: Jobs, job: ReplayJob, is_so: Callable[[ReplayJob], bool]) -> ReplayJob:
    began = time.monotonic()
    while True:
        found = jobs.get(job.id)
        assert found is not None
        if is_so(found):
            return found
        assert time.monotonic() - began < 20, found
        time.sleep(0.01)


def ended(job: ReplayJob) -> bool:
    return job.ended_at is not None


def test_a_replay_runs_and_tells_how_far_it_is(jobs: Jobs, tmp_path: Path) -> None:
    assert jobs.shelf.logs() == ("good.jsonl", "in/bad.jsonl", "link.jsonl", "slow.jsonl")
    done = until(jobs, jobs.ask(ReplayOrder(log="good.jsonl", limit=7)), ended)
    assert (done.state, done.scenes, done.share, done.error) == ("done", 3, 1.0, None)
    assert done.run is not None
    assert jobs.shelf.run_path(done.run) == tmp_path / "runs" / done.run
    said = (tmp_path / "said").read_text()
    assert str(tmp_path / "logs" / "good.jsonl") in said
    assert '"--progress", "json", "--limit", "7"' in said
    assert [(run.name, run.scenes) for run in jobs.shelf.runs()] == [(done.run, 3)]


def test_one_that_fails_says_what_it_said(jobs: Jobs) -> None:
    failed = until(jobs, jobs.ask(ReplayOrder(log="in/bad.jsonl")), ended)
    assert (failed.state, failed.run) == ("failed", None)
    assert failed.error == "scenestream: the log is no log"


def test_so_many_run_at_once_and_the_others_wait_their_turn(jobs: Jobs) -> None:
    slow, good = jobs.ask(ReplayOrder(log="slow.jsonl")), jobs.ask(ReplayOrder(log="good.jsonl"))
    assert until(jobs, slow, lambda job: job.share == 0.5).state == "running"
    waiting = jobs.get(good.id)
    assert waiting is not None
    assert waiting.state == "waiting"
    assert [job.id for job in jobs.all()] == [good.id, slow.id]
    jobs.stop(slow.id)
    assert until(jobs, slow, ended).state == "stopped"
    assert until(jobs, good, ended).state == "done"
    jobs.stop(good.id)
    assert until(jobs, good, ended).state == "done"


def test_the_dashboards_end_is_theirs(ops: OpsSettings) -> None:
    jobs = Jobs(ops, (sys.executable, "-c", PROGRAM), None)
    slow, next_one = jobs.ask(ReplayOrder(log="slow.jsonl")), jobs.ask(ReplayOrder(log="good.jsonl"))
    until(jobs, slow, lambda job: job.share == 0.5)
    [process] = jobs._processes.values()
    jobs.close()
    assert [job.state for job in jobs.all()] == ["stopped", "stopped"]
    assert next_one.id == jobs.all()[0].id
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    with pytest.raises(OrderError, match="is ending"):
        jobs.ask(ReplayOrder(log="good.jsonl"))


@pytest.mark.parametrize(
    "name", ["../secret.jsonl", "/etc/passwd", "link.jsonl", "x.txt", "", ".", "none.jsonl", "a\0b", "x" * 5000, "in"]
)
def test_only_logs_of_the_folder_are_replayed(jobs: Jobs, name: str) -> None:
    with pytest.raises(OrderError, match="no log"):
        jobs.ask(ReplayOrder(log=name))


@pytest.mark.parametrize("name", ["", ".", "..", "../runs", "none", "/", "a\0b", "x" * 5000])
def test_only_runs_of_the_folder_are_looked_at(jobs: Jobs, tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "runs" / "one", decisions_of(2))
    assert jobs.shelf.run_path("one") == tmp_path / "runs" / "one"
    with pytest.raises(OrderError, match="no finished run"):
        jobs.shelf.run_path(name)


def test_orders_that_make_no_sense_are_told_so(jobs: Jobs, ops: OpsSettings) -> None:
    now = datetime.now(UTC)
    for order, told in (
        (ReplayOrder(), "one of the two"),
        (ReplayOrder(log="good.jsonl", since=now), "one of the two"),
        (ReplayOrder(since=now), "no Kafka"),
    ):
        with pytest.raises(OrderError, match=told):
            jobs.ask(order)
    live = Jobs(ops.model_copy(update={"logs_folder": None}), ("true",), KafkaSettings())
    with pytest.raises(OrderError, match="ends before it begins"):
        live.ask(ReplayOrder(since=now, until=now - timedelta(hours=1)))
    with pytest.raises(OrderError, match="LOGS_FOLDER"):
        live.ask(ReplayOrder(log="good.jsonl"))
    assert live.shelf.logs() == ()
    live.close()


def test_too_many_are_not_taken(jobs: Jobs) -> None:
    until(jobs, jobs.ask(ReplayOrder(log="slow.jsonl")), lambda job: job.state == "running")
    for _ in range(20):
        jobs.ask(ReplayOrder(log="good.jsonl"))
    with pytest.raises(OrderError, match="20 replays are waiting"):
        jobs.ask(ReplayOrder(log="good.jsonl"))
