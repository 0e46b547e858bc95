"""Write docs/metrics.md from what /metrics says itself: `python -m tools.metrics`; a test compares."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from streams.kafka.records import Outgoing, Received
from streams.ops.lag.snapshot import GroupLag, PartitionLag, Snapshot, TopicEnds, Verdict
from streams.ops.metrics.lag import LagMetrics
from streams.ops.metrics.worker import Standing, WorkerMetrics

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
_HEAD = """# Metrics

Written by `python -m tools.metrics` from what /metrics says of itself; a test compares.

Base units, no ids and no texts as labels; what is not known is absent, never 0, -1 or NaN. Counters begin at 0 with the
process. Each process also shows `process_*` and `python_*`.
"""
_WORKER = """
## Of a worker, on the port of /livez

Histograms have `_bucket`, `_sum` and `_count`. Verdicts, healings and dead letters are counted when they are decided;
when Kafka goes away in the middle of a batch that happens, and counts, twice. Records, bytes and batches are counted
when they are committed.
"""
_LAG = """
## Of the dashboard: consumer lag, for every group of the cluster

`kafka_*` are named and labelled as kafka-lag-exporter has them, for boards and alerts made for it. The one difference:
it says NaN where a number is not known, which makes sums NaN; here the series is absent, which boards draw as the same
gap. Numbers are of the last look; when looks fail for a minute only `scenestream_exporter_*` is left.
"""


def text() -> str:
    """Return the page."""
    return "\n".join([_HEAD + _WORKER, *_table(_of_a_worker()), _LAG, *_table(_of_lag()), ""])


def _table(families: Iterable[Metric]) -> Iterable[str]:
    yield "| metric | type | labels | what it is |"
    yield "|---|---|---|---|"
    for family in families:
        if family.name.startswith(("process_", "python_")):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
        yield f"| `{name}` | {family.type} | {', '.join(labels)} | {family.documentation} |"


def _of_a_worker() -> Iterable[Metric]:
    metrics = WorkerMetrics({"p_form": "0" * 64}, "expected", "exactly_once")
    record = SimpleNamespace(topic="scenes", value=b"", timestamp=0)
    metrics.committed([cast("Received", record)], [Outgoing("scenes.ready", b"", b"")], 0.0)
    metrics.asked("encoder", "encode", 1, [0.0], 0.0)
    metrics.buried("scenes", "resonance", "too_long")
    standing = Standing("working", 0, 1, 0, 0, 0)
    return text_string_to_metric_families(metrics.exposition(standing).decode())


def _of_lag() -> Iterable[Metric]:
    at, verdict = datetime.now(UTC), Verdict(health="OK", evidence="")
    partition = PartitionLag(
        topic="scenes", partition=0, committed=0, earliest=0, latest=0, lag=0, certainty="exact", age_seconds=0.0,
        age_at=at, age_method="", rate_in=0.0, rate_out=0.0, catch_up_seconds=0.0, horizon_seconds=0.0, lost=0,
        member="", host="", verdict=verdict,
    )  # fmt: skip
    group = GroupLag(
        group="scenestream", state="Stable", protocol="classic", members=1, lag=0, certainty="exact", age_seconds=0.0,
        rate_in=0.0, rate_out=0.0, catch_up_seconds=0.0, verdict=verdict, partitions=(partition,), horizon_seconds=0.0,
    )  # fmt: skip
    ends = TopicEnds(topic="scenes", earliest={0: 0}, latest={0: 0})
    seen = Snapshot(
        cluster="", at=at, clock_seconds=0.0, took_seconds=0.0, groups=(group,), topics=(ends,), looks=1, failures=0
    )
    metrics = LagMetrics(lambda: seen, clock_seconds=lambda: seen.clock_seconds)
    return text_string_to_metric_families(metrics.exposition().decode())


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
