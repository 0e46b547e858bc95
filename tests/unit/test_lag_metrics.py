"""The lag of a look, read as Prometheus reads it: names and labels of existing boards, nothing that is not known."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from streams.ops.lag.snapshot import GroupLag, Health, PartitionLag, Snapshot, TopicEnds, Verdict
from streams.ops.metrics.lag import LagMetrics

AT = datetime(2026, 3, 1, tzinfo=UTC)
CLOCK = 70_000.0
NOW = CLOCK + 5
# As documented by kafka-lag-exporter.
MEMBER = {"cluster_name", "group", "topic", "partition", "member_host", "consumer_id", "client_id"}
BOARDS = {
    "kafka_consumergroup_group_offset": MEMBER,
    "kafka_consumergroup_group_lag": MEMBER,
    "kafka_consumergroup_group_lag_seconds": MEMBER,
    "kafka_consumergroup_group_max_lag": {"cluster_name", "group"},
    "kafka_consumergroup_group_max_lag_seconds": {"cluster_name", "group"},
    "kafka_consumergroup_group_sum_lag": {"cluster_name", "group"},
    "kafka_consumergroup_group_topic_sum_lag": {"cluster_name", "group", "topic"},
    "kafka_partition_latest_offset": {"cluster_name", "topic", "partition"},
    "kafka_partition_earliest_offset": {"cluster_name", "topic", "partition"},
}


def partition(number: int, committed: int | None, lag: int | None, age: float | None, health: Health) -> PartitionLag:
    return PartitionLag(
        topic="scenes", partition=number, committed=committed, earliest=2, latest=100, lag=lag, certainty="exact",
        age_seconds=age, age_at=AT, age_method="fetched", rate_in=1.0, rate_out=None, catch_up_seconds=None,
        horizon_seconds=None, lost=0, member=None if lag is None else f"bot-{number}", client="bot", host="/10.0.0.1",
        verdict=Verdict(health=health, evidence="seen"),
    )  # fmt: skip


def group(name: str, *partitions: PartitionLag, error: str | None = None) -> GroupLag:
    known = error is None
    return GroupLag(
        group=name, state="Stable" if known else "Unknown", protocol="classic", members=1 if known else 0,
        lag=37 if known else None, certainty="upper bound", age_seconds=12.5 if known else None,
        rate_in=2.0 if known else None, rate_out=None, catch_up_seconds=math.inf if known else None,
        verdict=Verdict(health="STALL" if known else "UNKNOWN", evidence="seen"), partitions=partitions, error=error,
        unknown=1 if known else 0, lost=3 if known else 0, horizon_seconds=3600.0 if known else None,
    )  # fmt: skip


WATCHED = group(
    "watched",
    partition(0, 70, 30, 12.5, "STALL"),
    partition(1, 93, 7, None, "OK"),
    partition(2, None, None, None, "UNKNOWN"),
)
SEEN = Snapshot(
    cluster="local", at=AT, clock_seconds=CLOCK, took_seconds=0.25,
    groups=(WATCHED, group("closed", error="no permission")),
    topics=(TopicEnds(topic="scenes", earliest={0: 2, 1: 0}, latest={0: 100, 1: 100, 2: 5}),), looks=9, failures=2,
)  # fmt: skip


def read(seen: Snapshot | None, now_seconds: float = NOW) -> dict[str, dict[tuple[str, ...], float]]:
    """Return {sample: {values of its labels in alphabetical order: value}}."""
    text = LagMetrics(lambda: seen, 60.0, lambda: now_seconds).exposition().decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = tuple(one.labels[name] for name in sorted(one.labels))
            assert labels not in found.setdefault(one.name, {}), "a series twice"
            found[one.name][labels] = one.value
            assert not math.isnan(one.value)
    return found


def test_names_and_labels_are_those_that_boards_expect() -> None:
    text = LagMetrics(lambda: SEEN, 60.0, lambda: NOW).exposition().decode()
    families = {one.name: one for one in text_string_to_metric_families(text)}
    for name, labels in BOARDS.items():
        assert families[name].type == "gauge"
        assert families[name].samples
        assert all(set(one.labels) == labels for one in families[name].samples)


def test_numbers_are_those_of_the_look_and_what_is_unknown_is_absent() -> None:
    found = read(SEEN)
    who = ("bot", "local")
    assert found["kafka_consumergroup_group_lag"] == {
        (*who, "bot-0", "watched", "/10.0.0.1", "0", "scenes"): 30.0,
        (*who, "bot-1", "watched", "/10.0.0.1", "1", "scenes"): 7.0,
    }
    assert sorted(found["kafka_consumergroup_group_offset"].values()) == [70.0, 93.0]
    assert list(found["kafka_consumergroup_group_lag_seconds"].values()) == [12.5]
    assert found["kafka_consumergroup_group_max_lag"] == {("local", "watched"): 30.0}
    assert found["kafka_consumergroup_group_max_lag_seconds"] == {("local", "watched"): 12.5}
    assert found["kafka_consumergroup_group_sum_lag"] == {("local", "watched"): 37.0}
    assert found["kafka_consumergroup_group_topic_sum_lag"] == {("local", "watched", "scenes"): 37.0}
    assert found["kafka_partition_latest_offset"][("local", "2", "scenes")] == 5.0
    assert found["kafka_partition_earliest_offset"] == {("local", "0", "scenes"): 2.0, ("local", "1", "scenes"): 0.0}


def test_state_and_verdict_are_sets_with_one_member_that_is_true() -> None:
    found = read(SEEN)
    assert {labels for labels, value in found["scenestream_group_state"].items() if value} == {
        ("local", "watched", "Stable"),
        ("local", "closed", "Unknown"),
    }
    assert {labels for labels, value in found["scenestream_group_health"].items() if value} == {
        ("local", "watched", "STALL"),
        ("local", "closed", "UNKNOWN"),
    }
    partitions = {
        health: count for (_, name, health), count in found["scenestream_group_partitions"].items() if name == "watched"
    }
    assert partitions == {"OK": 1.0, "WARN": 0.0, "STOP": 0.0, "STALL": 1.0, "REWIND": 0.0, "UNKNOWN": 1.0}


def test_never_is_infinite_and_a_group_that_may_not_be_seen_says_only_that() -> None:
    found = read(SEEN)
    assert found["scenestream_group_catch_up_seconds"] == {("local", "watched"): math.inf}
    assert found["scenestream_group_lag_exact"] == {("local", "watched"): 0.0}
    assert found["scenestream_group_unreadable"] == {("local", "watched"): 0.0, ("local", "closed"): 1.0}
    assert found["scenestream_group_lost_records"] == {("local", "watched"): 3.0}
    assert "scenestream_group_records_out_per_second" not in found
    about_closed = {name for name, series in found.items() if any("closed" in labels for labels in series)}
    assert about_closed == {
        "scenestream_group_unreadable", "scenestream_group_state", "scenestream_group_health",
        "scenestream_group_partitions",
    }  # fmt: skip


def test_the_exporter_says_how_it_does() -> None:
    found = read(SEEN)
    assert found["scenestream_exporter_up"] == {(): 1.0}
    assert found["scenestream_exporter_looks_total"] == {(): 9.0}
    assert found["scenestream_exporter_failed_looks_total"] == {(): 2.0}
    assert found["scenestream_exporter_look_seconds"] == {(): 0.25}
    assert found["scenestream_exporter_last_success_timestamp_seconds"] == {(): AT.timestamp()}


def test_after_a_failed_look_the_last_numbers_stand_for_a_while_and_are_gone_then() -> None:
    failed = SEEN.model_copy(update={"error": "broker away", "failures": 3})
    found = read(failed)
    assert found["scenestream_exporter_up"] == {(): 0.0}
    assert found["kafka_consumergroup_group_sum_lag"] == {("local", "watched"): 37.0}
    later = read(failed, NOW + 60)
    assert later["scenestream_exporter_up"] == {(): 0.0}
    assert later["scenestream_exporter_last_success_timestamp_seconds"] == {(): AT.timestamp()}
    assert not any(name.startswith(("kafka_", "scenestream_group_")) for name in later)


def test_before_the_first_look_nothing_is_claimed() -> None:
    found = read(None)
    assert found["scenestream_exporter_up"] == {(): 0.0}
    assert found["scenestream_exporter_looks_total"] == {(): 0.0}
    assert "scenestream_exporter_last_success_timestamp_seconds" not in found
    assert found["process_start_time_seconds"][()] > 0


def test_a_first_look_that_failed_is_no_success() -> None:
    nothing = Snapshot(
        cluster="",
        at=AT,
        clock_seconds=CLOCK,
        took_seconds=0.0,
        groups=(),
        topics=(),
        looks=0,
        failures=4,
        error="away",
    )
    found = read(nothing)
    assert found["scenestream_exporter_up"] == {(): 0.0}
    assert found["scenestream_exporter_failed_looks_total"] == {(): 4.0}
    assert "scenestream_exporter_last_success_timestamp_seconds" not in found


def test_hostile_names_stay_within_their_quotes() -> None:
    evil = 'a"} 1\nkafka_up{x="\\'
    seen = SEEN.model_copy(update={"groups": (WATCHED.model_copy(update={"group": evil}),)})
    assert read(seen)["kafka_consumergroup_group_sum_lag"] == {("local", evil): 37.0}
