"""/metrics of a real worker on a real broker: every number counted a second time from the topics."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from builders import feedback, scene
from kafka_server import Broker
from live import FINAL, Pipeline, WorkerProcess
from prometheus_client.parser import text_string_to_metric_families
from prometheus_programs import Prometheus, expressions, names, promtool

from schemas import topics
from schemas.decision import Decision
from streams.ops.lag.watch import Watcher
from streams.ops.metrics.instruments import CONTENT_TYPE
from streams.ops.metrics.lag import LagMetrics
from streams.settings import OpsSettings

Series = dict[tuple[str, ...], float]


def fetch(worker: WorkerProcess) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=5) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text: str = answer.read().decode()
        return text


def scrape(worker: WorkerProcess) -> dict[str, Series]:
    """Return {sample: {values of its labels in alphabetical order: value}}."""
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families(fetch(worker)):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(one.labels[name] for name in sorted(one.labels))] = one.value
    return found


async def until_committed(worker: WorkerProcess, topic: str, count: int) -> dict[str, Series]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = await asyncio.to_thread(scrape, worker)
        open_records = sum(found["scenestream_open_records"].values())
        if found.get("scenestream_received_records_total", {}).get((topic,), 0) >= count and not open_records:
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(f"{count} records of {topic} are not counted: {found}")


def test_what_a_worker_counts_is_what_the_topics_hold(broker: Broker, tmp_path: Path) -> None:
    asyncio.run(_counts(Pipeline(broker.bootstrap, tmp_path)))


async def _counts(pipeline: Pipeline) -> None:
    await pipeline.make_topics()
    sent = [
        scene(turn, f"d{user}", f"u{user}", draft=f"draft {user} {turn}")
        for turn in range(1, 11)
        for user in "abcdefghij"
    ]
    topic = pipeline.kafka.topic
    with (
        pipeline.worker() as worker,
        _lag(pipeline) as exporter,
        Prometheus(
            pipeline.folder,
            {"scenestream-worker": f"127.0.0.1:{worker.port}", "scenestream-dashboard": exporter},
        ) as prometheus,
    ):
        await worker.until_ready()
        # Rates are of what comes after the first scrape.
        await asyncio.to_thread(prometheus.until, 'scenestream_worker_state{state="working"} == 1')
        async with pipeline.producer() as producer:
            await pipeline.send(producer, sent)
            await producer.send_and_wait(topic(topics.SCENES), b"{not json", b"k")
            found = await pipeline.outcomes(len(sent))
            ready = next(one for one in found if one.verdict == "ready" and one.attempt == 0)
            await pipeline.send(producer, [feedback(ready.turn, True, ready.dialogue_id, ready.user_id)] * 2)
        await until_committed(worker, topic(topics.FEEDBACK), 2)
        read = {name: await pipeline.read(name) for name in (*topics.TOPICS, topics.dead_topic(topics.SCENES))}
        counted = await until_committed(worker, topic(topics.SCENES), len(read[topics.SCENES]))
        _decisions_are_those_sent(counted, found)
        taken, out = counted["scenestream_received_records_total"], counted["scenestream_sent_records_total"]
        for name in (topics.SCENES, topics.REGENERATE, topics.ANALOGUE, topics.FEEDBACK):
            assert taken[(topic(name),)] == len(read[name])
            assert counted["scenestream_received_bytes_total"][(topic(name),)] == sum(
                len(one.value) for one in read[name]
            )
        for name in (*FINAL, topics.REGENERATE, topics.ANALOGUE, topics.SENSITIVITY, topics.dead_topic(topics.SCENES)):
            assert out[(topic(name),)] == len(read[name])
            assert counted["scenestream_sent_bytes_total"][(topic(name),)] == sum(len(one.value) for one in read[name])
        assert counted["scenestream_dead_letters_total"] == {("broken_json", "resonance", topic(topics.SCENES)): 1.0}
        assert (
            counted["scenestream_feedback_total"] | {("learnt",): 1.0, ("repeated",): 1.0}
            == counted["scenestream_feedback_total"]
        )
        assert counted["scenestream_rows"] == {(): 10.0}
        assert counted["scenestream_partitions"] == {(): 4.0}
        assert counted["scenestream_worker_state"][("working",)] == 1.0
        assert counted["scenestream_restore_seconds_count"][()] >= 1.0
        assert counted["scenestream_model_items_sum"][("read", "models")] == taken[(topic(topics.SCENES),)] - 1
        ages = counted["scenestream_record_age_seconds_sum"]
        assert all(0.0 < total < 60.0 * taken[name] for name, total in ages.items())
        promtool("check", "metrics", given=(await asyncio.to_thread(fetch, worker)).encode())
        await asyncio.to_thread(_prometheus_answers, prometheus, pipeline.kafka.group)
        assert worker.terminate() == 0


@contextmanager
def _lag(pipeline: Pipeline) -> Iterator[str]:
    """Serve what a real watcher of the broker sees, as the dashboard does; yield host and port."""
    with Watcher.of(pipeline.kafka, OpsSettings(cluster_name="test", every_seconds=0.5)) as watcher:
        metrics = LagMetrics(watcher.latest)

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = metrics.exposition()
                self.send_response(200)
                for name, value in CONTENT_TYPE.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield f"127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()


def _prometheus_answers(prometheus: Prometheus, group: str) -> None:
    """Every rule and every panel asks for what is there, and gets an answer."""
    mine = f'{{cluster_name="test", group="{group}"}}'
    assert prometheus.until(f"kafka_consumergroup_group_sum_lag{mine} == 0")
    assert prometheus.until(f'scenestream_group_state{{group="{group}", state="Stable"}} == 1')
    assert prometheus.query(f"scenestream_group_members{mine}")[0]["value"][1] == "1"
    for where, expression in expressions().items():
        if ":" in where.split(" ")[0].rstrip(":"):
            assert prometheus.until(where), f"{where} is recorded by nobody"
        prometheus.query(expression)
    there = set(prometheus.get("label/__name__/values"))
    assert set().union(*map(names, expressions().values())) <= there
    assert prometheus.query(f'ALERTS{{alertstate="firing", severity="critical", group=~"|{group}"}}') == []


def _decisions_are_those_sent(counted: dict[str, Series], found: list[Decision]) -> None:
    """The final ones lie on topics; the others stand in the lineage of the final ones."""
    steps = Counter((step.rule, step.outcome) for one in found for step in one.lineage if step.stage == "resonance")
    judged = counted["scenestream_decisions_total"]
    assert {(rule, verdict): count for (_, rule, verdict), count in judged.items() if count} == steps
    healed = Counter((one.verdict, one.healing.route) for one in found if one.healing is not None)
    final = Counter[tuple[str, str]]()
    for (outcome, route, _), count in counted["scenestream_healings_total"].items():
        if outcome != "analogue" and count:
            final[outcome, route] += int(count)
    assert final == healed
    assert sum(counted["scenestream_resonance_count"].values()) == sum(steps.values())
