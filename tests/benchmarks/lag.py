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


def commit(admin: AdminClient, groups: int, partitions: int, start: int, apart: int = 1) -> None:
    for number in range(groups):
        places = [TopicPartition(TOPIC, partition, start + number * apart) for partition in range(partitions)]
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
    # In batches as those that Java's client makes by default: a fetch is of whole ones.
    admin, producer = AdminClient(client), Producer({**client, "batch.size": 16384})
    admin.create_topics([NewTopic(TOPIC, options.partitions, 1)])[TOPIC].result()
    time.sleep(2.0)
    records = options.groups * (options.runs + 2 + options.apart)
    for partition in range(options.partitions):
        for number in range(records):
            producer.produce(TOPIC, b"x" * 200, partition=partition)
            if not number % 1000:
                producer.flush()
    producer.flush()
    commit(admin, options.groups, options.partitions, 0)
    # Time enough to fetch everything: what is left to later looks would cost this one nothing.
    watcher = Watcher.of(KafkaSettings(bootstrap_servers=bootstrap), OpsSettings(fetch_seconds=60.0))
    watcher.look()
    still = [measured(watcher.look)[0] for _ in range(options.runs)]
    moved = []
    far = []
    snapshot = watcher.look()
    for turn in range(options.runs):
        commit(admin, options.groups, options.partitions, (turn + 1) * options.groups)
        seconds, snapshot = measured(watcher.look)
        moved.append(seconds)
    for turn in range(options.runs):
        commit(admin, options.groups, options.partitions, (turn + 1) * options.groups, options.apart)
        seconds, snapshot = measured(watcher.look)
        far.append(seconds)
    began = time.process_time()
    size = len(snapshot.model_dump_json())
    dumped = time.process_time() - began
    watcher.close()
    unknown = sum(one.age_seconds is None for group in snapshot.groups for one in group.partitions)
    print(f"{options.groups} groups x {options.partitions} partitions, seconds of processor time, medians")
    print(f"  nothing moved        {statistics.median(still):6.2f}   (target: under {TARGET_SECONDS:.0f})")
    print(f"  everything moved     {statistics.median(moved):6.2f}   {unknown} ages not known")
    print(f"  and are far apart    {statistics.median(far):6.2f}   by {options.apart} records")
    print(f"  as JSON              {dumped:6.2f}   {size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--partitions", type=int, default=200)
    parser.add_argument("--apart", type=int, default=500, help="records between two groups, where they are far apart")
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
