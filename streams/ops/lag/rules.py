"""How a group is doing on a partition, after Burrow's rules (its wiki: Consumer Lag Evaluation Rules); pure.

The first rule of the table that holds decides. Where Burrow reads each commit with its time, an admin client sees
what is committed at each look, so nobody being there tells STOP from STALL: STOP is that no member reads the partition,
and its offset rests, STALL that one does and stands still. Floors come before, so that a little lag alarms nobody.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from streams.ops.lag.snapshot import WORST_FIRST, Health, Verdict
from streams.ops.words import duration, records

# Nobody: no member holds the partition; unknown: the group is dividing its partitions right now.
Reader = Literal["member", "nobody", "unknown"]
# Burrow's default: so many points of the window are compared, so that one commit in between proves nothing.
_POINTS = 10
# Twice what clients let pass between two commits (auto.commit.interval.ms): who reads without joining commits too.
REST_SECONDS = 10.0


class Look(NamedTuple):
    """What a group had committed at a moment (seconds), how many records it could still read, and the partition's end.

    The end is read a little later than what was committed, at `ends_at`; `lost` is what was deleted unread.
    """

    at: float
    committed: int
    unread: int
    ends_at: float = 0.0
    latest: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Floors:
    """From when on lag is worth an alarm: so many records in the group, and so old; or `old_seconds` old, however few.

    Stalling and falling behind are told from looks that span `settle_seconds` at least.
    """

    messages: int
    age_seconds: float
    old_seconds: float
    settle_seconds: float


@dataclass(frozen=True, slots=True)
class Case:
    """A partition to be judged: its looks, oldest first, none where nothing is committed; `why` is then said."""

    looks: Sequence[Look]
    reader: Reader
    age_seconds: float | None = None
    lost: int = 0
    # In all partitions of the group, this one included: what counts for the floor.
    group_unread: int = 0
    group_lost: int = 0
    catch_up_seconds: float | None = None
    horizon_seconds: float | None = None
    why: str = ""
    # Whether there may be anything that a group without a commit should have read.
    matters: bool = True

    @property
    def span(self) -> float:
        """Seconds from the first look to the last."""
        return self.looks[-1].at - self.looks[0].at

    @property
    def now(self) -> Look:
        """The last look."""
        return self.looks[-1]


def judge(case: Case, floors: Floors) -> Verdict:
    """Return the verdict of the first rule that holds, with its evidence."""
    for rule in RULES:
        if rule.holds(case, floors):
            return Verdict(health=rule.health, evidence=rule.evidence(case, floors))
    raise AssertionError("the last rule always holds")


def worst(verdicts: Sequence[Health]) -> Health:
    """Return the worst of them; OK where there is none."""
    return min(verdicts, key=WORST_FIRST.index, default="OK")


def _does_not_matter(case: Case, _: Floors) -> bool:
    return not case.looks and not case.matters


def _unknown(case: Case, _: Floors) -> bool:
    return not case.looks


def _caught_up(case: Case, _: Floors) -> bool:
    return case.now.unread == 0 and case.lost == 0


def _quiet(case: Case, floors: Floors) -> bool:
    """Too few or too young to alarm anybody, unless it waits since long."""
    if _losing(case, floors):
        return False
    age = case.age_seconds
    if age is not None and age >= floors.old_seconds:
        return False
    return max(case.now.unread, case.group_unread) < floors.messages or (age is not None and age < floors.age_seconds)


def _went_back(case: Case, _: Floors) -> bool:
    return case.now.unread > 0 and _rewind(case) is not None


def _nobody(case: Case, floors: Floors) -> bool:
    return case.now.unread > 0 and case.reader == "nobody" and _rests(case, floors.settle_seconds)


def _losing(case: Case, floors: Floors) -> bool:
    return case.lost > 0 and max(case.lost, case.group_lost) >= floors.messages


def _was_caught_up(case: Case, _: Floors) -> bool:
    return any(look.unread == 0 for look in case.looks)


def _falls_short(case: Case, _: Floors) -> bool:
    catch_up, horizon = case.catch_up_seconds, case.horizon_seconds
    return catch_up is not None and horizon is not None and not math.isinf(horizon) and catch_up > horizon


def _falls_away(case: Case, floors: Floors) -> bool:
    """Whether it would lose records at these rates, rates that are taken from looks enough."""
    return case.span >= floors.settle_seconds and _falls_short(case, floors)


def _gains(case: Case, _: Floors) -> bool:
    return _moved(case) and not _never_less(case)


def _too_early(case: Case, floors: Floors) -> bool:
    return len(case.looks) == 1 or case.span < floors.settle_seconds


def _stands(case: Case, floors: Floors) -> bool:
    """Whether it held still while there was something to read, over looks enough."""
    return not _too_early(case, floors) and not _was_caught_up(case, floors) and not _moved(case)


def _always(_: Case, __: Floors) -> bool:
    return True


def _rests(case: Case, seconds: float) -> bool:
    """Return whether it stands where it stood at all looks of the last so many seconds, and these span enough."""
    before = [look for look in case.looks[:-1] if case.now.at - look.at <= seconds] or case.looks[-2:-1]
    if not before or case.now.at - before[0].at < min(REST_SECONDS, seconds):
        return False
    return all(look.committed == case.now.committed for look in before)


def _moved(case: Case) -> bool:
    return case.looks[0].committed != case.now.committed or _rewind(case) is not None


def _rewind(case: Case) -> tuple[Look, Look] | None:
    """Return the last step back that no caught-up look followed."""
    for after, before in itertools.pairwise(reversed(case.looks)):
        if after.unread == 0:
            return None
        if after.committed < before.committed:
            return before, after
    return None


def _never_less(case: Case) -> bool:
    """Return whether lag never fell; the least of each tenth of the window, for lag goes up between two commits."""
    first, tenth = case.looks[0].at, case.span / _POINTS
    least: dict[int, int] = {}
    for look in case.looks:
        number = min(_POINTS - 1, int((look.at - first) / tenth)) if tenth else 0
        least[number] = min(look.unread, least.get(number, look.unread))
    points = list(least.values())
    return all(earlier <= later for earlier, later in itertools.pairwise(points))


def _waits(case: Case) -> str:
    age = "" if case.age_seconds is None else f", the oldest for {duration(case.age_seconds)}"
    lost = f"; {records(case.lost)} more were deleted unread" if case.lost else ""
    return f"{records(case.now.unread)} to read{age}{lost}"


def _say_quiet(case: Case, floors: Floors) -> str:
    return f"{_waits(case)}: under the floor ({records(floors.messages)} and {duration(floors.age_seconds)})"


def _say_back(case: Case, _: Floors) -> str:
    step = _rewind(case)
    if step is None:
        return _waits(case)
    ago = duration(case.now.at - step[1].at)
    return f"its offset went back from {step[0].committed} to {step[1].committed} {ago} ago; {_waits(case)}"


def _say_short(case: Case, _: Floors) -> str:
    horizon = duration(case.horizon_seconds or 0.0)
    catch_up = duration(case.catch_up_seconds or 0.0)
    late = "is never caught up with" if catch_up == "never" else f"takes {catch_up} to catch up with"
    return f"{_waits(case)}; that {late} at these rates, and the oldest may be deleted in {horizon}"


def _say_early(case: Case, floors: Floors) -> str:
    nobody = "no member of the group reads it; " if case.reader == "nobody" else ""
    looked = "one look tells no direction" if len(case.looks) == 1 else f"{duration(case.span)} of looks so far"
    return f"{nobody}{_waits(case)}; too early to tell, {looked} ({duration(floors.settle_seconds)} are needed)"


def _say_behind(case: Case, _: Floors) -> str:
    grew = f"from {case.looks[0].unread:,} to {case.now.unread:,} in {duration(case.span)}"
    return f"it commits, and lag never fell: {grew}; {_waits(case)}"


class Rule(NamedTuple):
    """When a verdict holds, and what says so."""

    health: Health
    holds: Callable[[Case, Floors], bool]
    evidence: Callable[[Case, Floors], str]


RULES: tuple[Rule, ...] = (
    Rule("OK", _does_not_matter, lambda case, _: case.why),
    Rule("UNKNOWN", _unknown, lambda case, _: case.why),
    Rule("OK", _caught_up, lambda _, __: "caught up"),
    Rule("OK", _quiet, _say_quiet),
    Rule("REWIND", _went_back, _say_back),
    Rule("STOP", _nobody, lambda case, _: f"no member of the group reads it; {_waits(case)}"),
    # Before what is said of rates: who stands still never catches up either, and that is not what is wrong.
    Rule("STALL", _stands, lambda case, _: f"its offset stands still since {duration(case.span)}; {_waits(case)}"),
    Rule("WARN", _losing, lambda case, _: _waits(case)),
    Rule("OK", _was_caught_up, lambda case, _: f"was caught up within {duration(case.span)}; {_waits(case)}"),
    Rule("WARN", _falls_away, _say_short),
    Rule("OK", _gains, lambda case, _: f"catching up; {_waits(case)}"),
    Rule("UNKNOWN", _too_early, _say_early),
    Rule("WARN", _always, _say_behind),
)
