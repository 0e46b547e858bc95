"""What the latest looks found: lag per partition for sparklines, and what happened to groups between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from streams.ops.lag.snapshot import GroupLag, Snapshot

MOST_LOOKS = 450
_MOST_EVENTS = 400
Json = dict[str, object]
EventKind = Literal["state", "members", "moved", "verdict"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed between two looks at a group."""

    at: float
    group: str
    kind: EventKind
    words: str


@dataclass(slots=True)
class _Track:
    """Lag of the partitions of a group: a row each, a column a look, NaN where unknown."""

    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    lags: np.ndarray = field(default_factory=lambda: np.full((0, MOST_LOOKS), np.nan, np.float64))

    def add(self, group: GroupLag) -> None:
        for one in group.partitions:
            self.rows.setdefault((one.topic, one.partition), len(self.rows))
        if len(self.rows) > len(self.lags):
            more = np.full((len(self.rows) - len(self.lags), MOST_LOOKS), np.nan, np.float64)
            self.lags = np.concatenate([self.lags, more])
        self.lags[:, :-1] = self.lags[:, 1:]
        self.lags[:, -1] = np.nan
        for one in group.partitions:
            if one.lag is not None:
                self.lags[self.rows[one.topic, one.partition], -1] = one.lag


class LagHistory:
    """Remembers looks; a failed look is a gap."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_LOOKS)
        self._tracks: dict[str, _Track] = {}
        self._before: dict[str, GroupLag] = {}
        self._events: deque[Event] = deque(maxlen=_MOST_EVENTS)

    def add(self, snapshot: Snapshot) -> None:
        """Remember a look; the same look twice, as after a failed one, is remembered once."""
        at = snapshot.at.timestamp()
        if self._times and self._times[-1] >= at:
            return
        self._times.append(at)
        now = {group.group: group for group in snapshot.groups}
        for name in self._tracks.keys() - now.keys():
            del self._tracks[name]
        for name, group in now.items():
            self._tracks.setdefault(name, _Track()).add(group)
            before = self._before.get(name)
            if before is not None and group.error is None and before.error is None:
                self._events.extend(changes(before, group, at))
        self._before = now

    def events(self) -> Json:
        """Return the document `events`, oldest first."""
        return {
            "events": [{"at": one.at, "group": one.group, "kind": one.kind, "words": one.words} for one in self._events]
        }

    def of_group(self, group: str) -> Json | None:
        """Return times and the lag of each partition of a group, oldest first, None for unknown; None for no group."""
        track = self._tracks.get(group)
        if track is None:
            return None
        looks = len(self._times)
        return {
            "group": group,
            "at": list(self._times),
            "rows": [
                {"topic": topic, "partition": partition, "lag": _whole(track.lags[row, MOST_LOOKS - looks :])}
                for (topic, partition), row in sorted(track.rows.items())
            ],
        }

    def sums(self, most: int) -> Json:
        """Return the lag of each group over the last `most` looks."""
        looks = min(most, len(self._times))
        sums: Mapping[str, np.ndarray] = {
            name: np.where(np.isnan(track.lags).all(axis=0), np.nan, np.nansum(track.lags, axis=0))[
                MOST_LOOKS - looks :
            ]
            for name, track in self._tracks.items()
        }
        return {
            "at": list(self._times)[len(self._times) - looks :],
            "groups": {name: _whole(values) for name, values in sums.items()},
        }


def changes(before: GroupLag, now: GroupLag, at: float) -> list[Event]:
    """Return what changed of a group: its state, its members, who has which partition, and how it does."""
    found = []
    if before.state != now.state:
        found.append(Event(at, now.group, "state", f"{before.state} → {now.state}"))
    if before.members != now.members:
        what = "joined" if now.members > before.members else "left"
        by = abs(now.members - before.members)
        who = f"{by} member{'s' * (by > 1)} {what}: {now.members} now"
        found.append(Event(at, now.group, "members", who))
    owners = {(one.topic, one.partition): one.member for one in before.partitions}
    moved = [one for one in now.partitions if owners.get((one.topic, one.partition), one.member) != one.member]
    if moved and now.members:
        what = f"{len(moved)} partition{'s' * (len(moved) > 1)} changed hands"
        found.append(Event(at, now.group, "moved", what))
    if before.verdict.health != now.verdict.health:
        words = f"{before.verdict.health} → {now.verdict.health}: {now.verdict.evidence}"
        found.append(Event(at, now.group, "verdict", words))
    return found


def _whole(values: np.ndarray) -> list[int | None]:
    return [None if np.isnan(value) else int(value) for value in values]
