"""The row of the workers themselves: how fast, how busy, how full."""

from __future__ import annotations

from tools.boards.asked import AT, OF, RATE, quantile, rate
from tools.boards.panels import BLUE, GREEN, ORANGE, RED, YELLOW, Panel, Query, columns, lines, row, table, worded

_STATES = ((0.0, "starting", YELLOW), (1.0, "restoring", ORANGE), (2.0, "working", GREEN), (3.0, "draining", BLUE))
_STATE = "max by (instance) ({})".format(
    " or ".join(f'{int(value)} * scenestream_worker_state{{{OF}, state="{name}"}}' for value, name, _ in _STATES)
)

WORKERS = row(
    "Workers",
    Panel(
        "state-timeline",
        "State of each worker",
        "restoring: its rows are read back from the changelog, and nothing is judged yet.",
        (Query(_STATE, "{{instance}}"),),
        width=24,
        height=6,
        mappings=worded(_STATES),
        least=None,
    ),
    lines(
        "Age of records when they are done",
        "From a record's timestamp to the commit of what came of it: what a dialogue waits, hop by hop.",
        Query(quantile(0.5, "scenestream_record_age_seconds", "topic", AT), "{{topic}} median"),
        Query(quantile(0.99, "scenestream_record_age_seconds", "topic", AT), "{{topic}} p99"),
        unit="s",
    ),
    lines(
        "Commits",
        "Sending and committing what came of a batch, p99. Kafka's part of the time.",
        Query(quantile(0.99, "scenestream_commit_seconds", "topic", AT), "{{topic}}"),
        unit="s",
    ),
    lines(
        "How busy model threads are",
        "Share of the time that a thread has a batch. At 1 models are the limit: add workers.",
        Query(rate("scenestream_model_seconds_sum", "instance, thread"), "{{instance}} {{thread}}"),
        unit="percentunit",
        steps=((None, GREEN), (0.9, RED)),
    ),
    lines(
        "Waiting for models",
        "How long calls wait for their thread, p99.",
        Query(quantile(0.99, "scenestream_model_queue_seconds", "thread"), "{{thread}}"),
        unit="s",
    ),
    lines(
        "A model's answer to a batch",
        "p99 by what is asked: encode, read, render or bridge.",
        Query(quantile(0.99, "scenestream_model_seconds", "call"), "{{call}}"),
        unit="s",
    ),
    lines(
        "Sizes of batches",
        "Means: scenes in a transaction by topic, and items that models are asked at once.",
        Query(
            f"{rate('scenestream_batch_records_sum', 'topic', AT)}"
            f" / {rate('scenestream_batch_records_count', 'topic', AT)}",
            "{{topic}}",
        ),
        Query(
            f"{rate('scenestream_model_items_sum', 'call')} / {rate('scenestream_model_items_count', 'call')}",
            "model: {{call}}",
        ),
    ),
    lines(
        "Records read and sent, a second",
        "How many a second, by topic.",
        Query(rate("scenestream_received_records_total", "topic", AT), "{{topic}} read"),
        Query(rate("scenestream_sent_records_total", "topic", AT), "{{topic}} sent"),
        unit="cps",
    ),
    lines(
        "Bytes read and sent, a second",
        "Of values, by topic.",
        Query(rate("scenestream_received_bytes_total", "topic", AT), "{{topic}} read"),
        Query(rate("scenestream_sent_bytes_total", "topic", AT), "{{topic}} sent"),
        unit="Bps",
    ),
    lines(
        "Records in hand, what is paused and what stalls",
        "Records taken and not committed; paused partitions have enough waiting, what stalls makes no progress.",
        Query(f"scenestream_open_records{{{OF}}}", "{{instance}} in hand"),
        Query(f"scenestream_paused_partitions{{{OF}}}", "{{instance}} paused"),
        Query(f"scenestream_stalled{{{OF}}}", "{{instance}} stalled"),
    ),
    lines(
        "Partitions and rows",
        "How the work is shared out, and how many users' rows each worker holds in memory.",
        Query(f"scenestream_partitions{{{OF}}}", "{{instance}} partitions"),
        Query(f"scenestream_rows{{{OF}}}", "{{instance}} rows"),
    ),
    lines(
        "Beginnings",
        "Assignments and starts over within 10 minutes, what is left to restore, and records restored.",
        Query(f"increase(scenestream_restore_seconds_count{{{OF}}}[10m])", "{{instance}} begun"),
        Query(f"increase(scenestream_starts_over_total{{{OF}}}[10m])", "{{instance}} started over"),
        Query(f"scenestream_restore_left_offsets{{{OF}}}", "{{instance}} left"),
        Query(f"increase(scenestream_restored_records_total{{{OF}}}[10m])", "{{instance}} restored"),
    ),
    lines(
        "Processor",
        "Cores in use by each worker.",
        Query(f'rate(process_cpu_seconds_total{{job="scenestream-worker", {OF}}}[{RATE}])', "{{instance}}"),
    ),
    lines(
        "Memory",
        "Resident memory of each worker.",
        Query(f'process_resident_memory_bytes{{job="scenestream-worker", {OF}}}', "{{instance}}"),
        unit="bytes",
    ),
    Panel(
        "table",
        "What decides",
        "Version, stamp of all models, mode of the gate and guarantee. Two stamps: two opinions.",
        (table(f"scenestream_build_info{{{OF}}}"),),
        least=None,
        transformations=(columns(["Time", "Value", "__name__", "job"], {}),),
    ),
)
