"""What the latest looks found: lag per partition for sparklines, and what happened to groups between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from streams.ops.clock import WallClock
from streams.ops.lag.snapshot import GroupLag, Snapshot

MOST_LOOKS = 450
_MOST_EVENTS = 400
Json = dict[str, object]
EventKind = Literal["state", "members", "moved", "verdict"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed between two looks at a group; `at` is the moment of the second, by a steady clock."""

    at: float
    group: str
    kind: EventKind
    words: str


@dataclass(slots=True)
class _Track:
    """Lag of the partitions of a group: a row each, a column a look, NaN where unknown.

    A partition that is no more goes when nothing of it is left in the columns: there are never more rows than the
    group had partitions within the looks that are remembered.
    """

    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    lags: np.ndarray = field(default_factory=lambda: np.full((0, MOST_LOOKS), np.nan, np.float64))

    def add(self, group: GroupLag) -> None:
        here = {(one.topic, one.partition) for one in group.partitions}
        if here - self.rows.keys():
            self._forget(here)
        for place in sorted(here - self.rows.keys()):
            self.rows[place] = len(self.rows)
        if len(self.rows) > len(self.lags):
            more = np.full((len(self.rows) - len(self.lags), MOST_LOOKS), np.nan, np.float64)
            self.lags = np.concatenate([self.lags, more])
        self.lags[:, :-1] = self.lags[:, 1:]
        self.lags[:, -1] = np.nan
        for one in group.partitions:
            if one.lag is not None:
                self.lags[self.rows[one.topic, one.partition], -1] = one.lag

    def _forget(self, here: set[tuple[str, int]]) -> None:
        """Let go of rows of which nothing is known any more, but for partitions that are `here`."""
        known = ~np.isnan(self.lags).all(axis=1)
        left = [(place, row) for place, row in self.rows.items() if place in here or known[row]]
        self.lags = self.lags[[row for _, row in left]]
        self.rows = {place: row for row, (place, _) in enumerate(left)}


class LagHistory:
    """Remembers looks in the order in which they came, whatever the clock says; a failed look is a gap."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=MOST_LOOKS)
        self._wall: WallClock | None = None
        self._tracks: dict[str, _Track] = {}
        self._before: dict[str, GroupLag] = {}
        self._events: deque[Event] = deque(maxlen=_MOST_EVENTS)

    def add(self, snapshot: Snapshot) -> None:
        """Remember a look; the same look twice, as after a failed one, is remembered once."""
        at = snapshot.clock_seconds
        if self._moments and self._moments[-1] >= at:
            return
        self._moments.append(at)
        if self._wall is None:
            self._wall = WallClock(snapshot.at.timestamp(), at)
        # Where the clock is set all that is remembered moves with it: what lay between two looks does not change.
        self._wall.was_set(snapshot.at.timestamp(), at)
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
            "events": [
                {"at": at, "group": one.group, "kind": one.kind, "words": one.words}
                for one, at in zip(self._events, self._times([one.at for one in self._events]), strict=True)
            ]
        }

    def of_group(self, group: str) -> Json | None:
        """Return times and the lag of each partition of a group, oldest first, None for unknown; None for no group."""
        track = self._tracks.get(group)
        if track is None:
            return None
        looks = len(self._moments)
        return {
            "group": group,
            "at": self._times(self._moments),
            "rows": [
                {"topic": topic, "partition": partition, "lag": _whole(track.lags[row, MOST_LOOKS - looks :])}
                for (topic, partition), row in sorted(track.rows.items())
            ],
        }

    def sums(self, most: int) -> Json:
        """Return the lag of each group over the last `most` looks."""
        looks = min(most, len(self._moments))
        sums: Mapping[str, np.ndarray] = {
            name: np.where(np.isnan(track.lags).all(axis=0), np.nan, np.nansum(track.lags, axis=0))[
                MOST_LOOKS - looks :
            ]
            for name, track in self._tracks.items()
        }
        return {
            "at": self._times(self._moments)[len(self._moments) - looks :],
            "groups": {name: _whole(values) for name, values in sums.items()},
        }

    def _times(self, moments: Iterable[float]) -> list[float]:
        return [] if self._wall is None else [self._wall.at(moment) for moment in moments]


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
