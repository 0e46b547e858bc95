"""What a worker counts, as Prometheus reads it: base units, bounded labels, no ids.

Counters begin at 0 with the process. What an aborted batch had decided is counted again when it is judged again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from schemas.decision import Decision
from streams.kafka.meter import Meter
from streams.kafka.records import Outgoing, Received
from streams.kafka.wire import models_stamp
from streams.ops.metrics.instruments import Labels, Spread, Tally, gauge
from streams.ops.metrics.judgements import Judgements
from streams.stages.policy import Mode

State = Literal["starting", "restoring", "working", "draining"]
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
_TOPIC = ("topic",)
_CALL = ("thread", "call")
_SHA_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Standing:
    """How a worker stands at the moment of a scrape."""

    state: State
    rows: int
    partitions: int
    open_records: int
    paused: int
    stalled: int


class WorkerMetrics(Meter):
    """The counters of one worker, and the text that Prometheus reads."""

    def __init__(self, models: Mapping[str, str], mode: Mode, guarantee: str) -> None:
        self._models = models
        self._info = (version("scenestream"), models_stamp(models)[:_SHA_DIGITS], mode, guarantee)
        self._judgements = Judgements(mode)
        self._left = 0
        self._dead = Tally("scenestream_dead_letters", "Messages put aside.", ("topic", "stage", "reason"), ())
        self._taken = Tally("scenestream_received_records", "Records read and done with.", _TOPIC, ())
        self._taken_bytes = Tally("scenestream_received_bytes", "Bytes of their values.", _TOPIC, ())
        self._sent = Tally("scenestream_sent_records", "Records sent and committed.", _TOPIC, ())
        self._sent_bytes = Tally("scenestream_sent_bytes", "Bytes of their values.", _TOPIC, ())
        self._batches = Spread("scenestream_batch_records", "Records of a committed batch.", _SIZES, _TOPIC)
        self._commits = Spread(
            "scenestream_commit_seconds",
            "Sending what came of a batch and committing it; exactly once: its transaction.",
            _SECONDS,
            _TOPIC,
        )
        self._ages = Spread(
            "scenestream_record_age_seconds",
            "Age of a record, by its timestamp, when what came of it was committed.",
            _AGES,
            _TOPIC,
        )
        self._answers = Spread("scenestream_model_seconds", "A model's answer to a batch.", _SECONDS, _CALL)
        self._asked = Spread("scenestream_model_items", "Items that a model was asked at once.", _SIZES, _CALL)
        self._queues = Spread(
            "scenestream_model_queue_seconds", "How long a call waited for its thread.", _SECONDS, ("thread",)
        )
        self._restores = Spread(
            "scenestream_restore_seconds",
            "From an assignment, or from starting over, until rows are back and records may be read.",
            (*_SECONDS, 30.0, 60.0, 300.0),
        )
        self._restores.at()
        self._restored = Tally("scenestream_restored_records", "Changelog records read back.")
        self._starts_over = Tally(
            "scenestream_starts_over", "Beginnings of all partitions anew because Kafka was away in a batch."
        )

    def committed(self, records: Sequence[Received], sent: Sequence[Outgoing], seconds: float) -> None:
        """Count a batch of one topic."""
        topic = (records[0].topic,)
        self._taken.add(topic, len(records))
        self._taken_bytes.add(topic, sum([len(one.value) for one in records if one.value is not None]))
        self._batches.at(topic).observe(len(records))
        self._commits.at(topic).observe(seconds)
        now_ms = time.time() * 1000
        age = self._ages.at(topic).observe
        for record in records:
            age((now_ms - record.timestamp) / 1000)
        sizes: dict[str, list[int]] = {}
        for one in sent:
            sizes.setdefault(one.topic, []).append(len(one.value or b""))
        for name, found in sizes.items():
            self._sent.add((name,), len(found))
            self._sent_bytes.add((name,), sum(found))

    def asked(self, thread: str, what: str, items: int, waited_seconds: Sequence[float], seconds: float) -> None:
        """Count a model's answer."""
        self._answers.at((thread, what)).observe(seconds)
        self._asked.at((thread, what)).observe(items)
        for waited in waited_seconds:
            self._queues.at((thread,)).observe(waited)

    def decided(self, decision: Decision) -> None:
        """Count a verdict."""
        self._judgements.decided(decision)

    def tuned(self, outcome: str) -> None:
        """Count what feedback came to."""
        self._judgements.tuned(outcome)

    def buried(self, topic: str, stage: str, reason: str) -> None:
        """Count a dead letter."""
        self._dead.add((topic, stage, reason))

    def restoring(self, left: int) -> None:
        """Keep how much is left."""
        self._left = left

    def restored(self, records: int, seconds: float) -> None:
        """Count a beginning."""
        self._left = 0
        self._restored.add(amount=records)
        self._restores.at().observe(seconds)

    def started_over(self) -> None:
        """Count a beginning anew."""
        self._starts_over.add()

    def exposition(self, standing: Standing) -> bytes:
        """Return everything as text for Prometheus, gauges as the worker stands now."""
        registry = CollectorRegistry()
        registry.register(_Families([*self._counted(), *self._gauges(standing)]))
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        PlatformCollector(registry=registry)
        return generate_latest(registry)

    def _counted(self) -> Iterable[Metric]:
        yield from self._judgements.families()
        for tally in (
            self._dead, self._taken, self._taken_bytes, self._sent, self._sent_bytes, self._restored, self._starts_over
        ):  # fmt: skip
            yield tally.family()
        for spread in (
            self._batches, self._commits, self._ages, self._answers, self._asked, self._queues, self._restores
        ):  # fmt: skip
            yield spread.family()

    def _gauges(self, now: Standing) -> Iterable[Metric]:
        states: dict[Labels, float] = {(state,): float(state == now.state) for state in get_args(State)}
        models: dict[Labels, float] = {(name, sha[:_SHA_DIGITS]): 1.0 for name, sha in self._models.items()}
        yield gauge("scenestream_worker_state", "1 for the state that the worker is in.", ("state",), states)
        yield gauge("scenestream_partitions", "Partition numbers owned.", (), {(): now.partitions})
        yield gauge("scenestream_open_records", "Records taken and not committed.", (), {(): now.open_records})
        yield gauge("scenestream_paused_partitions", "Not fetched until there is room.", (), {(): now.paused})
        yield gauge("scenestream_stalled", "Places without progress, for which /livez fails.", (), {(): now.stalled})
        yield gauge("scenestream_rows", "Sensitivity rows held in memory.", (), {(): now.rows})
        yield gauge("scenestream_restore_left_offsets", "Of the changelog, still to be read.", (), {(): self._left})
        yield gauge(
            "scenestream_build_info",
            "1, with the version, the stamp of all models (as on decisions' headers), the gate's mode, the guarantee.",
            ("version", "models", "mode", "guarantee"),
            {self._info: 1.0},
        )
        yield gauge(
            "scenestream_model_info", "1 for each model, with its sha256's first digits.", ("model", "sha256"), models
        )


class _Families(Collector):
    """Families that are there already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """Return them."""
        return self._families
