"""The sentence at the top: whether it keeps up, and if not, where, why, and when it will have caught up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from streams.kafka.clients import HOW_TO_REACH
from streams.ops.lag.snapshot import WORST_FIRST, GroupLag, Health, PartitionLag, Snapshot

Tone = Literal["good", "warning", "bad", "unknown"]
TONES: Mapping[Health, Tone] = {
    "OK": "good",
    "WARN": "warning",
    "REWIND": "warning",
    "STALL": "bad",
    "STOP": "bad",
    "UNKNOWN": "unknown",
}
_TITLES: Mapping[Health, str] = {
    "WARN": "Falling behind at {stage}",
    "REWIND": "{Stage} went back and reads again",
    "STALL": "{Stage} is stuck",
    "STOP": "{Stage} has stopped",
    "UNKNOWN": "It cannot be said whether {stage} keeps up",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """What a glance must tell; `done_at` is when it will have caught up, epoch seconds."""

    tone: Tone
    title: str
    words: str
    done_at: float | None = None

    def document(self) -> dict[str, object]:
        """Return the document `headline`."""
        return {"tone": self.tone, "title": self.title, "words": self.words, "done_at": self.done_at}


def headline(
    snapshot: Snapshot | None, ours: str, stages: Mapping[str, str], now: datetime, bootstrap: str
) -> Headline:
    """Return the headline for group `ours`; `stages` names the stage that reads a topic."""
    if snapshot is None:
        return Headline("unknown", "Looking at the cluster", f"The first look at {bootstrap} is on its way.")
    if snapshot.error is not None:
        age = duration((now - snapshot.at).total_seconds())
        below = f"What stands below is {age} old; the" if snapshot.looks else "The"
        why = snapshot.error.removesuffix(f"; {HOW_TO_REACH}") if snapshot.looks else snapshot.error
        return Headline("bad", "Kafka does not answer", f"{_sentence(why)} {below} page goes on trying.")
    group = next((one for one in snapshot.groups if one.group == ours), None)
    if group is None:
        words = f"The cluster knows no group {ours}; `scenestream worker` joins it."
        return Headline("unknown", "No worker has been here yet", words)
    if group.error is not None:
        return Headline("unknown", f"Group {ours} cannot be looked at", _sentence(group.error))
    return _with_others(_of_group(group, stages, snapshot.at), snapshot, ours)


def _with_others(said: Headline, snapshot: Snapshot, ours: str) -> Headline:
    elsewhere = [one for one in snapshot.groups if one.group != ours and TONES[one.verdict.health] == "bad"]
    if not elsewhere:
        return said
    names = ", ".join(one.group for one in elsewhere[:3]) + (" and others" if len(elsewhere) > 3 else "")
    several = len(elsewhere) > 1
    who = f"{len(elsewhere)} other groups on this cluster need" if several else "Another group on this cluster needs"
    return Headline(said.tone, said.title, f"{said.words} {who} a look: {names}.", said.done_at)


def _of_group(group: GroupLag, stages: Mapping[str, str], at: datetime) -> Headline:
    waiting = _waiting(group)
    health = group.verdict.health
    if not group.members:
        # True from the first look on; a verdict takes its time.
        words = f"{waiting} Nobody is in group {group.group}, so nothing is read until a worker starts."
        return Headline("bad" if group.lag else "warning", "No worker is running", words)
    if health == "OK":
        if group.lag and (group.age_seconds or 0.0) < 1.0:
            waiting = f"{_count(group)} on the way, none older than a second."
        return Headline("good", "Keeping up" if group.lag is not None else "Ready, and waiting", waiting)
    worst = worst_partition(group)
    stage = stages.get(worst.topic, worst.topic) if worst is not None else group.group
    title = _TITLES[health].format(stage=stage, Stage=stage[:1].upper() + stage[1:])
    evidence = worst.verdict.evidence if worst is not None else group.verdict.evidence
    where = f"Partition {worst.partition} of {worst.topic}: {evidence}" if worst is not None else evidence
    ending, done_at = _ending(group.catch_up_seconds, at)
    return Headline(TONES[health], title, " ".join(filter(None, (waiting, _sentence(where), ending))), done_at)


def worst_partition(group: GroupLag) -> PartitionLag | None:
    """Return the partition that a group is judged by: the worst verdict, and of these what waits longest."""
    return min(
        group.partitions,
        key=lambda one: (WORST_FIRST.index(one.verdict.health), -(one.age_seconds or 0.0), -(one.lag or 0)),
        default=None,
    )


def _waiting(group: GroupLag) -> str:
    if group.lag is None and group.verdict.health == "OK":
        return "Nothing has come yet."
    if group.lag is None:
        return "Nothing was read yet, so how much waits is not known."
    if group.lag == 0:
        return "Everything that came has been read."
    verb = "waits" if group.lag == 1 else "wait"
    old = "" if group.age_seconds is None else f", the oldest for {duration(group.age_seconds)}"
    return f"{_count(group)} {verb}{old}."


def _count(group: GroupLag) -> str:
    most = "At most " if group.certainty == "upper bound" else ""
    return f"{most}{group.lag or 0:,} message{'s' * (group.lag != 1)}"


def _ending(seconds: float | None, at: datetime) -> tuple[str, float | None]:
    if seconds is None:
        return "When it will have caught up cannot be said yet.", None
    if math.isinf(seconds):
        return "At the present rates it will never catch up.", None
    if seconds <= 0:
        return "", None
    return f"At the present rates it will have caught up in about {duration(seconds)}.", at.timestamp() + seconds


def duration(seconds: float) -> str:
    """Return a time span for a person: two figures, the largest units."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds / 86400:.0f} days"


def _sentence(text: str) -> str:
    said = text.strip().rstrip(".")
    return f"{said[:1].upper()}{said[1:]}." if said else ""
