"""Consumer lag as Prometheus reads it: the last look at the cluster, never a look of its own.

`kafka_consumergroup_*` and `kafka_partition_*` bear the names and labels of kafka-lag-exporter, so that boards and
alerts made for it go on working; `scenestream_*` is what it has not. What is not known is absent: no 0, no -1, and no
NaN, which would make every sum over it NaN. When looks fail for longer than `stale_seconds` all but the exporter's own
numbers are absent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.ops.lag.snapshot import GroupLag, Health, PartitionLag, Snapshot, TopicEnds
from streams.ops.metrics.instruments import Labels, counter, gauge

# After three looks at the default pace, and some.
STALE_SECONDS = 60.0
_STATES = ("Stable", "Empty", "PreparingRebalance", "CompletingRebalance", "Dead", "Unknown")
_MEMBER = ("cluster_name", "group", "topic", "partition", "member_host", "consumer_id", "client_id")
_GROUP = ("cluster_name", "group")
_TOPIC = ("cluster_name", "group", "topic")
_PARTITION = ("cluster_name", "topic", "partition")

_PER_PARTITION: Mapping[str, tuple[str, Callable[[PartitionLag], float | None]]] = {
    "kafka_consumergroup_group_offset": ("Last committed offset of a partition.", lambda one: one.committed),
    "kafka_consumergroup_group_lag": ("Messages of a partition that wait.", lambda one: one.lag),
    "kafka_consumergroup_group_lag_seconds": (
        "Age of a partition's oldest unprocessed record, by its own timestamp; 0 where nothing waits.",
        lambda one: one.age_seconds,
    ),
}
_PER_GROUP: Mapping[str, tuple[str, Callable[[GroupLag], float | None]]] = {
    "kafka_consumergroup_group_max_lag": (
        "Messages that wait in the worst partition.",
        lambda one: max((each.lag for each in one.partitions if each.lag is not None), default=None),
    ),
    "kafka_consumergroup_group_max_lag_seconds": ("Age of the oldest unprocessed record.", lambda one: one.age_seconds),
    "kafka_consumergroup_group_sum_lag": ("Messages that wait, where that is known.", lambda one: one.lag),
    "scenestream_group_lag_exact": (
        "1 where lag is exact; 0 where it is an upper bound, because markers of transactions may be part of it.",
        lambda one: None if one.lag is None else one.certainty == "exact",
    ),
    "scenestream_group_unknown_partitions": (
        "Partitions whose lag is not known.",
        lambda one: None if one.error else one.unknown,
    ),
    "scenestream_group_members": ("Members of the group.", lambda one: None if one.error else one.members),
    "scenestream_group_records_in_per_second": ("Records that arrive.", lambda one: one.rate_in),
    "scenestream_group_records_out_per_second": ("Records that the group is done with.", lambda one: one.rate_out),
    "scenestream_group_catch_up_seconds": (
        "Until the worst partition has caught up, at these rates; +Inf is never.",
        lambda one: one.catch_up_seconds,
    ),
    "scenestream_group_retention_horizon_seconds": (
        "Until the oldest unread record may be deleted; +Inf is never.",
        lambda one: one.horizon_seconds,
    ),
    "scenestream_group_lost_records": (
        "Records deleted before they were read.",
        lambda one: None if one.error else one.lost,
    ),
    "scenestream_group_unreadable": (
        "1 where the group could not be looked at, for want of a permission or an answer.",
        lambda one: one.error is not None,
    ),
}


class LagMetrics(Collector):
    """The text that Prometheus reads about the last look; `latest` returns it, None before there was one."""

    def __init__(
        self,
        latest: Callable[[], Snapshot | None],
        stale_seconds: float = STALE_SECONDS,
        clock_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._latest = latest
        self._stale_seconds = stale_seconds
        self._clock_seconds = clock_seconds
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(self)

    def exposition(self) -> bytes:
        """Return everything as text; its content type is `instruments.CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Yield how the exporter does, then what it saw."""
        seen = self._latest()
        yield from _exporter(seen, self._fresh(seen))
        if seen is None or not self._fresh(seen):
            return
        yield from _partition_families(seen)
        yield from _group_families(seen)
        yield from _topic_families(seen)

    def _fresh(self, seen: Snapshot | None) -> bool:
        return seen is not None and self._clock_seconds() - seen.clock_seconds <= self._stale_seconds


def _exporter(seen: Snapshot | None, fresh: bool) -> Iterable[Metric]:  # noqa: FBT001 - the caller's finding
    up = seen is not None and seen.error is None and fresh
    # Before the first good look a snapshot only says why there is none.
    good = seen if seen is not None and seen.looks else None
    yield gauge("scenestream_exporter_up", "1 where the last look at the cluster succeeded.", (), {(): float(up)})
    looks = 0 if seen is None else seen.looks
    failures = 0 if seen is None else seen.failures
    yield counter("scenestream_exporter_looks", "Looks at the cluster that succeeded.", (), {(): looks})
    yield counter("scenestream_exporter_failed_looks", "Looks that failed.", (), {(): failures})
    took: dict[Labels, float] = {} if good is None else {(): good.took_seconds}
    at: dict[Labels, float] = {} if good is None else {(): good.at.timestamp()}
    yield gauge("scenestream_exporter_look_seconds", "How long the last good look took.", (), took)
    yield gauge("scenestream_exporter_last_success_timestamp_seconds", "When the last good look was.", (), at)


def _partition_families(seen: Snapshot) -> Iterable[Metric]:
    for name, (about, value_of) in _PER_PARTITION.items():
        family = GaugeMetricFamily(name, about, labels=_MEMBER)
        for group in seen.groups:
            for one in group.partitions:
                value = value_of(one)
                if value is not None:
                    who = (one.host or "", one.member or "", one.client or "")
                    family.add_metric((seen.cluster, group.group, one.topic, str(one.partition), *who), value)
        yield family


def _group_families(seen: Snapshot) -> Iterable[Metric]:
    for name, (about, value_of) in _PER_GROUP.items():
        family = GaugeMetricFamily(name, about, labels=_GROUP)
        for group in seen.groups:
            value = value_of(group)
            if value is not None:
                family.add_metric((seen.cluster, group.group), float(value))
        yield family
    states = GaugeMetricFamily("scenestream_group_state", "1 for the state that it is in.", labels=(*_GROUP, "state"))
    healths = GaugeMetricFamily("scenestream_group_health", "1 for its verdict.", labels=(*_GROUP, "health"))
    counts = GaugeMetricFamily(
        "scenestream_group_partitions", "Partitions by their verdict.", labels=(*_GROUP, "health")
    )
    for group in seen.groups:
        labels = (seen.cluster, group.group)
        for state in dict.fromkeys((*_STATES, group.state)):
            states.add_metric((*labels, state), float(state == group.state))
        for health in get_args(Health):
            healths.add_metric((*labels, health), float(health == group.verdict.health))
            counts.add_metric((*labels, health), sum(one.verdict.health == health for one in group.partitions))
    yield from (states, healths, counts)


def _topic_families(seen: Snapshot) -> Iterable[Metric]:
    sums = GaugeMetricFamily("kafka_consumergroup_group_topic_sum_lag", "Messages of a topic that wait.", labels=_TOPIC)
    for group in seen.groups:
        lags: dict[str, int] = {}
        for one in group.partitions:
            if one.lag is not None:
                lags[one.topic] = lags.get(one.topic, 0) + one.lag
        for topic, lag in lags.items():
            sums.add_metric((seen.cluster, group.group, topic), lag)
    yield sums
    yield _ends(seen, "kafka_partition_latest_offset", "Offset after a partition's last.", lambda topic: topic.latest)
    yield _ends(seen, "kafka_partition_earliest_offset", "A partition's first offset.", lambda topic: topic.earliest)


def _ends(
    seen: Snapshot, name: str, about: str, ends_of: Callable[[TopicEnds], Mapping[int, int]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=_PARTITION)
    for topic in seen.topics:
        for partition, offset in ends_of(topic).items():
            family.add_metric((seen.cluster, topic.topic, str(partition)), offset)
    return family
