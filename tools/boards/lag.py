"""The board of consumer lag: is every group keeping up, and if not, where, and when will it have caught up."""

from __future__ import annotations

from tools.boards.panels import (
    GREEN,
    GREY,
    ORANGE,
    RED,
    YELLOW,
    Board,
    Json,
    Panel,
    Query,
    Variable,
    columns,
    figure,
    lines,
    override,
    row,
    table,
    worded,
)

_GROUP = 'cluster_name=~"$cluster", group=~"$group"'
_TOPIC = f'{_GROUP}, topic=~"$topic"'
_ENDS = 'cluster_name=~"$cluster", topic=~"$topic"'
_AGE_STEPS = ((None, GREEN), (60.0, YELLOW), (300.0, RED))
# Worse is more, so that the worst colour shows.
_HEALTHS = (
    (0.0, "OK", GREEN), (1.0, "UNKNOWN", GREY), (2.0, "WARN", YELLOW), (3.0, "REWIND", ORANGE), (4.0, "STALL", RED),
    (5.0, "STOP", RED),
)  # fmt: skip
_HEALTH = "sum by (cluster_name, group) ({})".format(
    " or ".join(
        f'{int(value)} * scenestream_group_health{{{_GROUP}, health="{name}"}}' for value, name, _ in _HEALTHS if value
    )
)
_COLUMNS = (
    ("scenestream_group_members", "members", "short"),
    ("kafka_consumergroup_group_sum_lag", "messages waiting", "short"),
    ("kafka_consumergroup_group_max_lag_seconds", "oldest", "s"),
    ("scenestream_group_records_in_per_second", "in / s", "short"),
    ("scenestream_group_records_out_per_second", "out / s", "short"),
    ("scenestream_group_catch_up_seconds", "caught up in", "s"),
    ("scenestream_group_retention_horizon_seconds", "deleted in", "s"),
    ("scenestream_group_lost_records", "lost", "short"),
)


def _table() -> Panel:
    asked = [table(_HEALTH)]
    asked += [table(f"max by (cluster_name, group) ({name}{{{_GROUP}}})") for name, _, _ in _COLUMNS]
    names = {"Value #A": "verdict", "cluster_name": "cluster"}
    names |= {f"Value #{chr(ord('B') + number)}": title for number, (_, title, _) in enumerate(_COLUMNS)}
    overrides: list[Json] = [
        override(title, {"id": "unit", "value": unit}) for _, title, unit in _COLUMNS if unit != "short"
    ]
    overrides += [
        override(
            "verdict",
            {"id": "mappings", "value": list(worded(_HEALTHS))},
            {"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "basic"}},
        ),
        override("caught up in", {"id": "mappings", "value": [_infinite("never")]}),
        override("deleted in", {"id": "mappings", "value": [_infinite("never")]}),
    ]
    return Panel(
        "table",
        "Groups",
        "Each consumer group of the cluster, the worst first. Empty is unknown. `scenestream lag GROUP` says why.",
        tuple(asked),
        width=24,
        height=9,
        least=None,
        overrides=tuple(overrides),
        transformations=(
            {"id": "merge", "options": {}},
            columns(["Time"], names),
            {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": "verdict", "desc": True}]}},
        ),
        options={"sortBy": [{"displayName": "verdict", "desc": True}]},
    )


def _infinite(text: str) -> Json:
    return {"type": "value", "options": {"Infinity": {"text": text, "index": 0}, "+Inf": {"text": text, "index": 1}}}


LAG = Board(
    uid="scenestream-lag",
    title="scenestream: consumer lag",
    says="Is every consumer group keeping up, and if not, where, and when will it have caught up?",
    variables=(
        Variable("cluster", "cluster", "label_values(scenestream_group_health, cluster_name)"),
        Variable("group", "group", 'label_values(scenestream_group_health{cluster_name=~"$cluster"}, group)'),
        Variable("topic", "topic", f"label_values(kafka_consumergroup_group_lag{{{_GROUP}}}, topic)"),
    ),
    rows=(
        row(
            "Now",
            figure(
                "Groups in trouble",
                "Groups that are judged STOP, STALL or REWIND.",
                Query(f'sum(scenestream_group_health{{{_GROUP}, health=~"STOP|STALL|REWIND"}})', "in trouble"),
                width=4,
                steps=((None, GREEN), (1.0, RED)),
            ),
            figure(
                "Messages waiting",
                "Of all chosen groups together; unknown ones are not in it.",
                Query(f"sum(kafka_consumergroup_group_sum_lag{{{_GROUP}}})", "waiting"),
            ),
            figure(
                "Oldest message waiting",
                "Its age by its own timestamp, fetched at the committed offset, nothing extrapolated.",
                Query(f"max(kafka_consumergroup_group_max_lag_seconds{{{_GROUP}}})", "oldest"),
                unit="s",
                steps=_AGE_STEPS,
            ),
            figure(
                "Lost unread",
                "Messages that retention deleted before a group read them.",
                Query(f"sum(scenestream_group_lost_records{{{_GROUP}}})", "lost"),
                steps=((None, GREEN), (1.0, RED)),
            ),
            figure(
                "Last look at the cluster",
                "How long ago these numbers were read. After a minute without a good look they are absent.",
                Query("time() - max(scenestream_exporter_last_success_timestamp_seconds)", "ago"),
                unit="s",
                steps=((None, GREEN), (30.0, YELLOW), (60.0, RED)),
            ),
            _table(),
        ),
        row(
            "Over time",
            Panel(
                "state-timeline",
                "Verdicts",
                "After Burrow's rules: in STOP nobody reads, in STALL a member stands still, in REWIND it went back.",
                (Query(_HEALTH, "{{group}}"),),
                width=24,
                mappings=worded(_HEALTHS),
                least=None,
            ),
            lines(
                "Messages waiting, by group",
                "The sum over a group's partitions.",
                Query(f"kafka_consumergroup_group_sum_lag{{{_GROUP}}}", "{{group}}"),
            ),
            lines(
                "Age of the oldest message waiting, by group",
                "What a person waits for at worst. The dashed line is the target of the alert.",
                Query(f"kafka_consumergroup_group_max_lag_seconds{{{_GROUP}}}", "{{group}}"),
                unit="s",
                steps=((None, GREEN), (300.0, RED)),
            ),
            lines(
                "Arriving and done, a second",
                "A group falls behind where more arrives than is done.",
                Query(f"scenestream_group_records_in_per_second{{{_GROUP}}}", "{{group}} in"),
                Query(f"scenestream_group_records_out_per_second{{{_GROUP}}}", "{{group}} out"),
                unit="cps",
            ),
            lines(
                "Until it has caught up",
                "Of the worst partition, at the present rates. A gap is unknown, or never.",
                Query(f"scenestream_group_catch_up_seconds{{{_GROUP}}} < Inf", "{{group}}"),
                unit="s",
            ),
            lines(
                "Until unread messages may be deleted",
                "The retention horizon: below the dashed line is 6 hours. A gap is never, or unknown.",
                Query(f"scenestream_group_retention_horizon_seconds{{{_GROUP}}} < Inf", "{{group}}"),
                unit="s",
                steps=((None, RED), (21600.0, GREEN)),
            ),
            lines(
                "Partitions by verdict",
                "How many partitions of the chosen groups are in which state.",
                Query(f"sum by (health) (scenestream_group_partitions{{{_GROUP}}})", "{{health}}"),
            ),
        ),
        row(
            "Topics and partitions",
            lines(
                "Messages waiting, by topic",
                "Of each group and topic.",
                Query(f"kafka_consumergroup_group_topic_sum_lag{{{_TOPIC}}}", "{{group}} {{topic}}"),
            ),
            lines(
                "Partitions with the most waiting",
                "The worst 20. One far above the others is a heavy key or a sick member.",
                Query(f"topk(20, kafka_consumergroup_group_lag{{{_TOPIC}}})", "{{group}} {{topic}}/{{partition}}"),
            ),
            lines(
                "Partitions with the oldest waiting",
                "The worst 20, by age.",
                Query(
                    f"topk(20, kafka_consumergroup_group_lag_seconds{{{_TOPIC}}})",
                    "{{group}} {{topic}}/{{partition}}",
                ),
                unit="s",
            ),
            lines(
                "Offsets committed a second",
                "How fast each group gets on; markers of transactions count as offsets.",
                Query(
                    f"sum by (group, topic) (rate(kafka_consumergroup_group_offset{{{_TOPIC}}}[$__rate_interval]))",
                    "{{group}} {{topic}}",
                ),
                unit="cps",
            ),
            lines(
                "Offsets produced a second, by topic",
                "What arrives, whoever reads it; markers of transactions count as offsets.",
                Query(
                    f"sum by (topic) (rate(kafka_partition_latest_offset{{{_ENDS}}}[$__rate_interval]))",
                    "{{topic}}",
                ),
                unit="cps",
            ),
            lines(
                "Offsets that topics hold",
                "From the first to the last of each partition; a compacted topic has fewer messages than offsets.",
                Query(
                    f"sum by (topic) (kafka_partition_latest_offset{{{_ENDS}}}"
                    f" - kafka_partition_earliest_offset{{{_ENDS}}})",
                    "{{topic}}",
                ),
            ),
        ),
        row(
            "The exporter itself",
            lines(
                "A look at the cluster takes",
                "It should stay far under the time from one look to the next.",
                Query("scenestream_exporter_look_seconds", "{{instance}}"),
                unit="s",
            ),
            lines(
                "Looks that failed, a minute",
                "Kafka did not answer, or did not allow it.",
                Query("60 * rate(scenestream_exporter_failed_looks_total[$__rate_interval])", "{{instance}}"),
            ),
        ),
    ),
)
