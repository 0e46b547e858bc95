"""`make bench-lag`: what a look at the lag of many groups costs, in seconds of processor time of the watching process.

Groups that have all read the same topic to different places; a look where nothing moved, one where every group moved
on every partition (so that every oldest record is fetched anew), and the JSON of what was seen.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.ops.lag.snapshot import Snapshot
from streams.ops.lag.watch import Watcher
from streams.settings import KafkaSettings, OpsSettings
from tests.broker.kafka_server import find_broker

TOPIC = "bench-lag"
TARGET_SECONDS = 1.0


def commit(admin: AdminClient, groups: int, partitions: int, start: int) -> None:
    for number in range(groups):
        places = [TopicPartition(TOPIC, partition, start + number) for partition in range(partitions)]
        group = f"{TOPIC}-{number}"
        while True:
            answer = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])[group]
            if not [one for one in answer.result().topic_partitions or [] if one.error is not None]:
                break
            # The coordinator is still loading.
            time.sleep(0.2)


def measured(run: Callable[[], Snapshot]) -> tuple[float, Snapshot]:
    began = time.process_time()
    snapshot = run()
    return time.process_time() - began, snapshot


def compare(bootstrap: str, options: argparse.Namespace) -> None:
    client: dict[str, str | float] = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin, producer = AdminClient(client), Producer(client)
    admin.create_topics([NewTopic(TOPIC, options.partitions, 1)])[TOPIC].result()
    time.sleep(2.0)
    for partition in range(options.partitions):
        for _ in range(options.groups * (options.runs + 2)):
            producer.produce(TOPIC, b"x" * 200, partition=partition)
        producer.poll(0)
    producer.flush()
    commit(admin, options.groups, options.partitions, 0)
    # Time enough to fetch everything: what is left to later looks would cost this one nothing.
    watcher = Watcher.of(KafkaSettings(bootstrap_servers=bootstrap), OpsSettings(fetch_seconds=60.0))
    watcher.look()
    still = [measured(watcher.look)[0] for _ in range(options.runs)]
    moved = []
    snapshot = watcher.look()
    for turn in range(options.runs):
        commit(admin, options.groups, options.partitions, (turn + 1) * options.groups)
        seconds, snapshot = measured(watcher.look)
        moved.append(seconds)
    began = time.process_time()
    size = len(snapshot.model_dump_json())
    dumped = time.process_time() - began
    watcher.close()
    unknown = sum(one.age_seconds is None for group in snapshot.groups for one in group.partitions)
    print(f"{options.groups} groups x {options.partitions} partitions, seconds of processor time, medians")
    print(f"  nothing moved        {statistics.median(still):6.2f}   (target: under {TARGET_SECONDS:.0f})")
    print(f"  everything moved     {statistics.median(moved):6.2f}   {unknown} ages not known")
    print(f"  as JSON              {dumped:6.2f}   {size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scenestream-bench-"))
    broker = find_broker(folder)
    try:
        broker.start()
        compare(broker.bootstrap, options)
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
