"""The frozen pulse of a fold: sums of its window made into counts, shares and rates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, cast

from schemas.names import FINAL_VERDICTS, Register, Verdict
from streams.ops.pulse import metastable
from streams.ops.pulse.ages import ages_of
from streams.ops.pulse.fold import UNITS, PulseFold
from streams.ops.pulse.masks import mask
from streams.ops.pulse.pulse import (
    FeedbackPulse,
    HealingPulse,
    HeavyKey,
    HopPulse,
    Moment,
    PartitionPulse,
    Pulse,
    ReasonCount,
    RegisterSwitch,
    RuleCount,
    StagePulse,
    TaskPulse,
    Verdicts,
)
from streams.ops.pulse.windows import Name
from streams.topology import AGENTS, HOPS, Agent

_MOMENTS = 60
_FEWEST_FOR_A_MOMENT = 10
_TASKS_OF_LEDGERS = 12
_HEAVIEST = 5
_FINAL = tuple(verdict.value for verdict in FINAL_VERDICTS)
_ROUTES: tuple[Literal["regeneration", "bridge"], ...] = ("regeneration", "bridge")

Sums = Mapping[Name, int]


def view(fold: PulseFold, salt: bytes, over_seconds: float | None = None) -> Pulse:
    """Return the pulse over the last so many seconds, the whole window by default; `salt` masks ids.

    Partitions and their heaviest keys are always those of the whole window, and ledgers of all users seen.
    """
    window, seconds_each = fold.window, fold.window.bucket_seconds
    wanted = len(window) if over_seconds is None else max(1, math.ceil(over_seconds / seconds_each))
    buckets = min(wanted, len(window))
    sums = window.sums(buckets)
    since = window.start(buckets)
    seconds = max(fold.now - since, seconds_each / 2)
    together = math.ceil(buckets / _MOMENTS)
    counted = list(window.moments(buckets, together))
    labels = [metastable.Labels(at, *_labels(here)) for at, here in counted]
    whole = window.sums()
    return Pulse(
        source=fold.source,
        at=_time(fold.now),
        since=_time(since),
        seconds=round(seconds, 3),
        bucket_seconds=together * seconds_each,
        records=sums.get(("record",), 0),
        late=window.late,
        ahead=window.ahead,
        timeless=fold.timeless,
        unread=fold.unread,
        stages=tuple(_stage(sums, agent, seconds) for agent in AGENTS),
        hops=tuple(
            HopPulse(stage=hop.stage, outcome=hop.outcome, to=hop.to, count=count, rate=round(count / seconds, 4))
            for hop in HOPS
            for count in [sums.get(("hop", hop.stage, hop.outcome), 0)]
        ),
        verdicts=_verdicts(sums),
        healed=sum(count for name, count in sums.items() if name[0] == "healed"),
        tasks=_tasks(sums),
        rules=_rules(sums),
        healing=tuple(_healing(sums, route) for route in _ROUTES),
        registers=_registers(sums),
        ledgers=fold.budgets.by_task(_TASKS_OF_LEDGERS, salt),
        users_forgotten=fold.budgets.forgotten,
        partitions=tuple(_partitions(fold, whole, salt)),
        skew=_skew(fold, whole),
        feedback=_feedback(sums, seconds),
        metastability=metastable.judge(labels, fold.gate.alpha),
        dead=_dead(sums),
        moments=tuple(_moment(place, labels, at, here) for place, (at, here) in enumerate(counted)),
    )


def _stage(sums: Sums, agent: Agent, seconds: float) -> StagePulse:
    stage = agent.stage
    came, done, failed = (sums.get((what, stage), 0) for what in ("came", "done", "failed"))
    return StagePulse(
        stage=stage,
        reads=agent.reads,
        arrived=came,
        done=done,
        failed=failed,
        rate_in=round(came / seconds, 4),
        rate_out=round(done / seconds, 4),
        failure_share=_share(failed, done + failed),
        age=ages_of({cast("int", name[2]): count for name, count in sums.items() if name[:2] == ("age", stage)}),
        skewed=sums.get(("skewed", stage), 0),
    )


def _verdicts(sums: Sums) -> Verdicts:
    counts = dict.fromkeys((verdict.value for verdict in Verdict), 0)
    for name, count in sums.items():
        if name[0] == "verdict":
            counts[str(name[3])] += count
    final = sum(counts[verdict] for verdict in _FINAL)
    return Verdicts(**counts, final=final, silence_share=_share(counts[Verdict.WITHHELD.value], final))


def _tasks(sums: Sums) -> tuple[TaskPulse, ...]:
    apart: dict[tuple[str | None, bool], dict[Name, int]] = {}
    for name, count in sums.items():
        if name[0] in {"verdict", "healed"}:
            apart.setdefault(cast("tuple[str | None, bool]", name[1:3]), {})[name] = count
    found = [
        TaskPulse(task=task, other=other, verdicts=_verdicts(own), healed=own.get(("healed", task, other), 0))
        for (task, other), own in apart.items()
    ]
    return tuple(sorted(found, key=lambda one: (one.other, -one.verdicts.final, one.task or "")))


def _rules(sums: Sums) -> tuple[RuleCount, ...]:
    counts = {str(name[1]): count for name, count in sums.items() if name[0] == "rule"}
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return tuple(RuleCount(rule=rule, count=count, share=count / total) for rule, count in ordered)


def _healing(sums: Sums, route: Literal["regeneration", "bridge"]) -> HealingPulse:
    def count(what: str) -> int:
        return sums.get(("heal", route, what), 0)

    def mean(what: str) -> float | None:
        number = sums.get(("heal", route, what, "count"), 0)
        return round(sums.get(("heal", route, what, "sum"), 0) / UNITS / number, 4) if number else None

    return HealingPulse(
        route=route,
        judged=count("judged"),
        ready=count("ready"),
        ready_share=_share(count("ready"), count("judged")),
        resonance_before=mean("before"),
        resonance_after=mean("after"),
        fidelity=mean("fidelity"),
        gain=mean("gain"),
        amplified=count("amplified"),
        partial=count("partial"),
        full=count("full"),
    )


def _registers(sums: Sums) -> tuple[RegisterSwitch, ...]:
    found = [
        RegisterSwitch(before=cast("Register | None", name[1]), after=cast("Register | None", name[2]), count=count)
        for name, count in sums.items()
        if name[0] == "register"
    ]
    return tuple(sorted(found, key=lambda one: (-one.count, one.before or "", one.after or "")))


def _partitions(fold: PulseFold, sums: Sums, salt: bytes) -> Iterator[PartitionPulse]:
    counts = {cast("int", name[1]): count for name, count in sums.items() if name[0] == "partition"}
    total = sum(counts.values())
    for partition in sorted({*counts, *range(fold.partitions or 0)}):
        count = counts.get(partition, 0)
        keys = fold.heavy.get(partition)
        heaviest = () if keys is None or not count else keys.heaviest(_HEAVIEST)
        yield PartitionPulse(
            partition=partition,
            scenes=count,
            share=count / total if total else 0.0,
            heaviest=tuple(
                HeavyKey(key=mask(one.key, salt), count=one.count, error=one.error, share=min(1.0, one.count / count))
                for one in heaviest
            ),
        )


def _skew(fold: PulseFold, sums: Sums) -> float | None:
    counts = [count for name, count in sums.items() if name[0] == "partition"]
    if not counts or fold.partitions is None:
        return None
    return round(max(counts) * max(fold.partitions, len(counts)) / sum(counts), 4)


def _feedback(sums: Sums, seconds: float) -> FeedbackPulse:
    said = {what: sums.get(("said", what), 0) for what in ("accepted", "rejected", "told")}
    came_to = {what: sums.get(("feedback", what), 0) for what in ("learnt", "repeated", "inapplicable", "unknown")}
    return FeedbackPulse(
        **said,
        **came_to,
        rate=round(sum(said.values()) / seconds, 4),
        rejected_share=_share(said["rejected"], said["accepted"] + said["rejected"]),
    )


def _dead(sums: Sums) -> tuple[ReasonCount, ...]:
    found = [
        ReasonCount(stage=str(name[1]), reason=str(name[2]), count=count)
        for name, count in sums.items()
        if name[0] == "dead"
    ]
    return tuple(sorted(found, key=lambda one: (-one.count, one.stage, one.reason)))


def _moment(place: int, labels: list[metastable.Labels], at: float, sums: Sums) -> Moment:
    trail = labels[max(0, place - metastable.TRAIL + 1) : place + 1]
    return Moment(
        at=_time(at),
        verdicts=_verdicts(sums),
        healed=sum(count for name, count in sums.items() if name[0] == "healed"),
        failed=sum(count for name, count in sums.items() if name[0] == "failed"),
        accepted=sums.get(("said", "accepted"), 0),
        rejected=sums.get(("said", "rejected"), 0),
        error_rate=metastable.rate_of(trail, _FEWEST_FOR_A_MOMENT),
    )


def _labels(sums: Sums) -> tuple[int, int]:
    errors = sums.get(("label", 1), 0)
    return errors + sums.get(("label", 0), 0), errors


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
