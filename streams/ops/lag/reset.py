"""Setting a group's offsets, so that nothing is lost by mistake: preview, refusal, backup, read-back.

A group that has members is refused: they hold their offsets in memory and would commit over what is set.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from confluent_kafka import KafkaException
from pydantic import Field, ValidationError

from schemas.base import Event, Frozen
from streams.ops.lag.cluster import Cluster
from streams.ops.lag.found import Ends, FoundGroup, Slot
from streams.ops.reading.librdkafka import said
from streams.ops.words import counted

# Where to: the ends, an offset, or the first record of that moment or later.
Target = Literal["earliest", "latest"] | int | datetime


class ResetError(Exception):
    """Offsets that cannot be set; the message says why and what to do."""


class Kept(Frozen):
    """What a group had committed on a partition; None where it had nothing."""

    topic: str
    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)] | None


class Backup(Event):
    """A group's offsets before they were set."""

    cluster: str
    group: str
    at: datetime
    offsets: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of a partition; `note` says where it cannot be as it was asked for."""

    slot: Slot
    before: int | None
    after: int
    ends: Ends
    note: str = ""

    @property
    def skipped(self) -> int:
        """Offsets that will not be read, of those that are there."""
        start = self.ends.earliest if self.before is None else max(self.before, self.ends.earliest)
        return max(0, self.after - start)

    @property
    def repeated(self) -> int:
        """Offsets that will be read again."""
        return 0 if self.before is None else max(0, self.before - self.after)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done to a group; it is done by `apply`."""

    cluster: str
    group: str
    moves: tuple[Move, ...]
    # What a backup holds and the group cannot be given back: a commit cannot be taken away.
    left: tuple[Slot, ...] = ()


def plan(cluster: Cluster, group: str, topics: Collection[str], target: Target) -> Plan:
    """Return what it would mean to set the group on all partitions of `topics`; all that it committed without them.

    Raises ResetError and KafkaException.
    """
    found = _free(cluster, group)
    name, there = cluster.partitions()
    chosen = sorted(set(topics) or {slot.topic for slot in found.committed})
    if not chosen:
        raise ResetError(f"group {group!r} has committed nothing; name the topics it shall begin with")
    missing = [topic for topic in chosen if topic not in there]
    if missing:
        raise ResetError(f"there is no topic {', '.join(map(repr, missing))}")
    slots = [Slot(topic, number) for topic in chosen for number in there[topic]]
    ends = _ends(cluster, slots, there)
    wanted = _wanted(cluster, slots, ends, target)
    return Plan(name, group, tuple(_move(found, slot, wanted[slot], ends[slot]) for slot in slots))


def plan_restore(cluster: Cluster, backup: Backup) -> Plan:
    """Return what it would mean to give a group back what a backup holds; raises ResetError and KafkaException."""
    found = _free(cluster, backup.group, created=True)
    name, there = cluster.partitions()
    if name != backup.cluster:
        raise ResetError(f"the backup is of cluster {backup.cluster}, and this is {name}")
    kept = {Slot(one.topic, one.partition): one.offset for one in backup.offsets}
    slots = [slot for slot, offset in kept.items() if offset is not None]
    ends = _ends(cluster, slots, there)
    moves = tuple(_move(found, slot, kept[slot] or 0, ends[slot]) for slot in slots)
    return Plan(name, backup.group, moves, tuple(slot for slot, offset in kept.items() if offset is None))


def back_up(plan: Plan, folder: Path) -> Path:
    """Write what the group has now, whole or not at all, and return the file."""
    now = datetime.now(UTC)
    kept = tuple(Kept(topic=move.slot.topic, partition=move.slot.partition, offset=move.before) for move in plan.moves)
    text = Backup(cluster=plan.cluster, group=plan.group, at=now, offsets=kept).model_dump_json(indent=2)
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in plan.group)
    path = folder / f"offsets-{safe[:100]}-{now:%Y%m%dT%H%M%S%f}.json"
    descriptor, written = tempfile.mkstemp(dir=folder, prefix=".offsets-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    Path(written).rename(path)
    return path


def read_backup(path: Path) -> Backup:
    """Return a backup; raises ResetError."""
    try:
        return Backup.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ResetError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise ResetError(f"{path} is no backup of offsets; name a file that `offsets reset` wrote") from error


def apply(cluster: Cluster, plan: Plan) -> None:
    """Set the offsets, read them back and compare; raises ResetError."""
    wanted = {move.slot: move.after for move in plan.moves}
    try:
        refused: Mapping[Slot, str] = cluster.alter(plan.group, wanted)
    except KafkaException as error:
        raise ResetError(f"Kafka refused: {said(error)}; is a member active?") from error
    committed = _group(cluster, plan.group).committed
    wrong = [
        f"{slot.topic}[{slot.partition}] is at {committed.get(slot)}, not {offset}: {refused.get(slot, 'who set it?')}"
        for slot, offset in wanted.items()
        if committed.get(slot) != offset
    ]
    if wrong:
        raise ResetError("\n".join(wrong))


def _group(cluster: Cluster, group: str) -> FoundGroup:
    found = next(iter(cluster.groups([group])), None)
    if found is None:
        there = ", ".join(cluster.names()) or "none"
        raise ResetError(f"there is no consumer group {group!r}; those that are there: {there}")
    if found.error is not None:
        raise ResetError(f"group {group!r}: {found.error}")
    return found


def _free(cluster: Cluster, group: str, *, created: bool = False) -> FoundGroup:
    """Return a group that nobody is in; one that is gone may be created again."""
    if created and group not in cluster.names():
        return FoundGroup(group, "Dead", "classic", 0.0)
    found = _group(cluster, group)
    if found.members:
        who = ", ".join(sorted({f"{one.client} at {one.host}" for one in found.members}))
        raise ResetError(
            f"group {group!r} has {counted(len(found.members), 'active member')} ({who}): they would commit over "
            "what is set; stop them first"
        )
    return found


def _ends(cluster: Cluster, slots: Sequence[Slot], there: Mapping[str, list[int]]) -> dict[Slot, Ends]:
    found = cluster.ends(slots, there)
    wrong = [f"{slot.topic}[{slot.partition}]: {ends}" for slot, ends in found.items() if isinstance(ends, str)]
    if wrong:
        raise ResetError("\n".join(wrong))
    return {slot: ends for slot, ends in found.items() if isinstance(ends, Ends)}


def _wanted(cluster: Cluster, slots: Sequence[Slot], ends: Mapping[Slot, Ends], target: Target) -> dict[Slot, int]:
    if isinstance(target, int):
        return dict.fromkeys(slots, target)
    if not isinstance(target, datetime):
        return {slot: ends[slot].earliest if target == "earliest" else ends[slot].latest for slot in slots}
    found = cluster.offsets_at(slots, int(target.timestamp() * 1000))
    wrong = [f"{slot.topic}[{slot.partition}]: {offset}" for slot, offset in found.items() if isinstance(offset, str)]
    if wrong:
        raise ResetError("\n".join(wrong))
    at = {slot: offset for slot, offset in found.items() if isinstance(offset, int) and offset >= 0}
    # Where nothing came since, it goes on with what comes next.
    return {slot: at.get(slot, ends[slot].latest) for slot in slots}


def _move(found: FoundGroup, slot: Slot, wanted: int, ends: Ends) -> Move:
    after = min(max(wanted, ends.earliest), ends.high)
    note = "" if after == wanted else f"{wanted} is not there, it begins at {ends.earliest} and ends at {ends.high}"
    return Move(slot, found.committed.get(slot), after, ends, note)
