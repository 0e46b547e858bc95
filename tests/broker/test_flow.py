"""Against a real Kafka: dead letters by group, a time range as a log, and a replay of it from the dashboard."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import scene
from fake_scorer import FakeScorer
from kafka_server import Broker
from live import Pipeline
from seeded_logs import log
from typer.testing import CliRunner

from schemas import topics
from schemas.feedback import Feedback
from schemas.scene import Scene
from streams.cli import dead
from streams.cli.app import app
from streams.kafka.topics_admin import TopicError
from streams.ops.graves import graveyard, redrive_group
from streams.ops.replays.asked import ReplayJob, ReplayOrder
from streams.ops.replays.export import export
from streams.ops.replays.jobs import Jobs
from streams.ops.run_view import pulse_of_run
from streams.ops.tail import Tail
from streams.replay.digest import Digest
from streams.replay.items import Item
from streams.replay.reader import Selection, read_logs
from streams.replay.run_dir import RunWriter
from streams.runtimes.embedded import EmbeddedRuntime
from streams.runtimes.lanes import Batching
from streams.runtimes.remote import RemoteRuntime
from streams.settings import OpsSettings, Settings
from streams.stages.policy import Gate


@pytest.fixture
def pipeline(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    made = Pipeline(broker.bootstrap, tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    asyncio.run(made.make_topics())
    return made


def decided(items: list[Item]) -> str:
    """Return the digest of what the embedded runtime makes of a log."""
    runtime = EmbeddedRuntime(FakeScorer(), Settings().policy(), Batching(16, 1.0, 64))
    digest = Digest()
    for outcome in runtime.run(items):
        for decision in outcome.decisions:
            digest.add(decision)
    return digest.hexdigest()


def test_a_time_range_is_a_log_that_replays_to_the_same(pipeline: Pipeline, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    # What the worker refuses as out of place is refused again by a replay.
    items = [item for item in log(seed=8, scenes=120, users=8) if isinstance(item.event, Scene | Feedback)]

    run = tmp_path / "live"
    run.mkdir()

    async def live() -> Mapping[str, object]:
        with pipeline.worker() as worker:
            await worker.until_ready()
            summary = await asyncio.to_thread(_replay_to, pipeline, items, run)
            assert worker.terminate() == 0
        return summary

    summary = asyncio.run(live())
    there = summary["digest"]
    _check_pulses(pipeline, run, summary)
    since = (before - timedelta(seconds=1)).isoformat()
    out = tmp_path / "range.jsonl.gz"
    told = CliRunner().invoke(app, ["export", "--since", since, "--out", str(out)])
    assert told.exit_code == 0, told.output
    scenes = sum(isinstance(item.event, Scene) for item in items)
    assert f"{scenes} scenes, {len(items) - scenes} feedback; " in told.output
    read = list(read_logs([str(out)], FakeScorer().terms(), Selection(context_turns=32)))
    assert sum(isinstance(item.event, Scene) for item in read) == scenes
    assert decided(read) == there == decided(items)

    none_file = tmp_path / "none.jsonl"
    nothing = CliRunner().invoke(app, ["export", "--since", "2d", "--until", "1d", "--out", str(none_file)])
    assert (nothing.exit_code, nothing.output) == (1, f"{none_file}: 0 scenes, 0 feedback\n")
    nowhere = pipeline.kafka.model_copy(update={"topic_prefix": "none."})
    with pytest.raises(TopicError, match=r"no topic none\.scenes; `scenestream topics create` makes it"):
        export(nowhere, OpsSettings(), before, datetime.now(UTC), none_file)
    backwards = CliRunner().invoke(app, ["export", "--since", "1d", "--until", "2d", "--out", str(out)])
    assert backwards.exit_code == 2

    script = "import sys, pathlib, gzip; o = pathlib.Path(sys.argv[3]); o.mkdir(); n = gzip.open(sys.argv[1]).read()"
    script += ".count(b'scene_id'); (o / 'summary.json').write_text('{\"scenes\": %d}' % n)"
    jobs = Jobs(OpsSettings(runs_folder=tmp_path / "runs"), (sys.executable, "-c", script), pipeline.kafka)
    done = _ended(jobs, jobs.ask(ReplayOrder(since=before, until=datetime.now(UTC))))
    none = _ended(jobs, jobs.ask(ReplayOrder(since=before - timedelta(days=2), until=before - timedelta(days=1))))
    jobs.close()
    assert (done.state, done.error) == ("done", None)
    assert [run.scenes for run in jobs.shelf.runs()] == [len(items)]
    assert none.error == "no scene came in that time; choose another"
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [done.run]


def _replay_to(pipeline: Pipeline, items: list[Item], folder: Path) -> Mapping[str, object]:
    """Send a log to the workers and write what comes of it as `scenestream replay --target kafka` does."""
    runtime = RemoteRuntime(pipeline.kafka, 64)
    with RunWriter(folder, keep_texts=False) as writer:
        for outcome in runtime.run(items):
            if outcome.dead is not None:
                writer.dead(outcome.dead)
            elif outcome.feedback is not None:
                writer.feedback(outcome.feedback)
            elif isinstance(outcome.item.event, Scene):
                writer.scene(outcome.item.event, outcome.decisions)
        facts = {"seconds": 5.0, "stages": runtime.timings.summary(), "settings": Settings().model_dump(mode="json")}
        return writer.finish(runtime.rows, facts)


def _check_pulses(pipeline: Pipeline, run: Path, summary: Mapping[str, object]) -> None:
    """What the tail makes of the topics afterwards is what the run's summary, and its own pulse, say."""
    tail = Tail(pipeline.kafka, Gate(), OpsSettings(), b"salt")
    with closing(tail):
        tail.start()
        began = time.monotonic()
        while tail.pulse().verdicts.final != summary["scenes"] or not tail.state().caught_up:
            assert time.monotonic() - began < 30, tail.state()
            time.sleep(0.05)
    live, kept = tail.pulse(), pulse_of_run(run, b"salt")
    assert {name: getattr(live.verdicts, name) for name in summary["by_verdict"]} == summary["by_verdict"]  # type: ignore[attr-defined]
    assert live.healed == summary["healed"]
    assert {one.reason: one.count for one in live.dead} == summary["dead_by"]
    came_to = {name: getattr(live.feedback, name) for name in summary["feedback"] if name != "told"}  # type: ignore[attr-defined]
    assert came_to == {name: count for name, count in summary["feedback"].items() if name != "told"}  # type: ignore[attr-defined]
    for name in ("verdicts", "tasks", "rules", "healing", "registers", "ledgers"):
        mine, its = getattr(live, name), getattr(kept, name)
        assert mine == its, name
    taken = [[(hop.stage, hop.outcome, hop.count) for hop in pulse.hops[:-1]] for pulse in (live, kept)]
    assert taken[0] == taken[1]
    assert live.metastability.labels == kept.metastability.labels
    assert live.metastability.errors == kept.metastability.errors


async def _until_dead(pipeline: Pipeline, count: int) -> None:
    async with pipeline.follow(["scenes.dead"]) as consumer:
        while count > 0:
            count -= len((await consumer.getmany(timeout_ms=200, max_records=1)).values())


def _ended(jobs: Jobs, job: ReplayJob) -> ReplayJob:
    began = time.monotonic()
    while True:
        found = jobs.get(job.id)
        assert found is not None
        if found.ended_at is not None:
            return found
        assert time.monotonic() - began < 30, found
        time.sleep(0.05)


def test_letters_are_grouped_and_sent_back_by_group(pipeline: Pipeline) -> None:
    large = json.dumps({"type": "scene", "draft": "x" * 900_000}).encode()

    async def bury_some() -> None:
        async with pipeline.producer() as producer:
            for number in range(4):
                await pipeline.send(producer, [scene(1, f"d{number}", "u"), scene(1, f"d{number}", "u")])
            for value in (b"{", large):
                await producer.send_and_wait(pipeline.kafka.topic(topics.SCENES), value, key=b"u")
        with pipeline.worker() as worker:
            await worker.until_ready()
            await pipeline.outcomes(4)
            await _until_dead(pipeline, 6)
            assert worker.terminate() == 0

    asyncio.run(bury_some())
    found = asyncio.run(graveyard(pipeline.kafka, datetime.now(UTC)))
    listed = [json.loads(line) for line in CliRunner().invoke(dead.app, ["list", "--json"]).output.splitlines()]
    counted = {group.name.reason: group.count for group in found.groups}
    assert counted == {reason: sum(one["reason"] == reason for one in listed) for reason in counted}
    assert found.letters == len(listed) == 6
    assert {sample.place for group in found.groups for sample in group.samples} <= {one["letter"] for one in listed}
    assert "towards morning" not in found.model_dump_json()
    assert len(found.model_dump_json()) < 40_000

    name = next(group.name for group in found.groups if group.name.reason == "duplicate")
    tried = asyncio.run(redrive_group(pipeline.kafka, name, dry_run=True))
    assert (tried.dry_run, tried.sent_back, tried.held_back) == (True, 4, 0)
    assert asyncio.run(graveyard(pipeline.kafka, datetime.now(UTC))).letters == 6
    assert asyncio.run(redrive_group(pipeline.kafka, name, dry_run=False, most=3)).sent_back == 3
    left = asyncio.run(graveyard(pipeline.kafka, datetime.now(UTC)))
    assert {group.name.reason: group.count for group in left.groups} == {**counted, "duplicate": 1}
    again = asyncio.run(pipeline.read(topics.SCENES))
    assert sum(dict(record.headers).get("redrive.count") == b"1" for record in again) == 3
