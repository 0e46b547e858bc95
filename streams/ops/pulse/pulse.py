"""The pulse: how the pipeline does over a sliding window, as one frozen value, live or of a run.

Counts are whole numbers of what came within the window; shares are 0..1 and None where there is nothing to share;
means and percentiles are None where nothing was measured. No user is named: keys are masked. Tasks, rules and reasons
are bounded in number, and what is beyond is counted together: the sums are exact, whatever the traffic.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schemas.base import Frozen
from schemas.decision import AccountName
from schemas.names import Register
from streams.topology import Stage

Source = Literal["live", "run"]
# Unknown: too few labels. Steady: never over the target. Over: now. Returned: it was over, and came back under.
Standing = Literal["unknown", "steady", "over", "returned"]


class Ages(Frozen):
    """Seconds from a record's timestamp on the stage's topic to that of its outcome; percentiles to within 5 %.

    Of a run directory: seconds that the stage took, by the run's own summary, for a log has no timestamps.
    """

    count: int = 0
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    most_seconds: float | None = None


class StagePulse(Frozen):
    """A stage of the map: what came to its topic, what it did, what it could not do, and how long that took.

    `failed` are dead letters; `failure_share` is failed / (done + failed). `skewed` outcomes bear an earlier time than
    what they follow from: clocks differ, and such an age counts as 0.
    """

    stage: Stage
    reads: str
    arrived: int
    done: int
    failed: int
    rate_in: float
    rate_out: float
    failure_share: float | None
    age: Ages
    skewed: int = 0


class HopPulse(Frozen):
    """An arrow of the map: how many outcomes took it, and how many a second."""

    stage: Stage
    outcome: str
    to: str
    count: int
    rate: float


class Verdicts(Frozen):
    """Verdicts by kind. The first three are final; `silence_share` is withheld / final ones."""

    ready: int = 0
    withheld: int = 0
    reasoning: int = 0
    regenerate: int = 0
    analogue: int = 0
    final: int = 0
    silence_share: float | None = None


class TaskPulse(Frozen):
    """Verdicts of one task, the busiest first; `task` None is scenes without one, `other` the rest of all tasks."""

    task: str | None
    other: bool
    verdicts: Verdicts
    healed: int


class RuleCount(Frozen):
    """How often a rule of the filter, or the ledger, gave the verdict; `share` is of all verdicts."""

    rule: str
    count: int
    share: float


class HealingPulse(Frozen):
    """A route of healing: how scenes stood before it, what it promised of them after, and how they ended.

    `judged` came back and were judged; `ready_share` of these were said. `resonance_before` is the mean over the
    verdicts that sent them to be healed, `resonance_after` over those when they were back (1 - risk there: see the
    glossary); `fidelity` and `gain` are means of what the healing measured.
    """

    route: Literal["regeneration", "bridge"]
    judged: int
    ready: int
    ready_share: float | None
    resonance_before: float | None
    resonance_after: float | None
    fidelity: float | None
    gain: float | None
    amplified: int = 0
    partial: int = 0
    full: int = 0


class RegisterSwitch(Frozen):
    """How often a healing took a scene from one register to another; None is the scene's own voice."""

    before: Register | None
    after: Register | None
    count: int


class LedgerPulse(Frozen):
    """What is left of the promise on one account, over the users of one task whose rows were seen.

    Headroom is in errors: alpha n + slack + rho T, less the errors, and less what unlabelled scenes may still cost
    (each one error in `strict`, its corrected risk otherwise). A user is at the limit where a scene of the account's
    own alpha as its risk would be withheld.
    """

    task: str | None
    other: bool
    account: AccountName
    users: int
    at_limit: int
    headroom_worst: float
    headroom_p10: float
    headroom_median: float
    # The masked id of the user with the least headroom.
    worst_user: str


class HeavyKey(Frozen):
    """A key with much of its partition's traffic; the true count is between `count` - `error` and `count`."""

    key: str
    count: int
    error: int
    share: float


class PartitionPulse(Frozen):
    """Scenes of one partition of `scenes`, its share of all, and its heaviest keys, masked."""

    partition: int
    scenes: int
    share: float
    heaviest: tuple[HeavyKey, ...]


class FeedbackPulse(Frozen):
    """Feedback: how words were taken, and what became of that.

    `accepted` and `rejected` came to the topic, `told` brought only a preference; the rest is what the threshold made
    of them: `learnt` counted, the others changed nothing (see the glossary).
    """

    accepted: int = 0
    rejected: int = 0
    told: int = 0
    learnt: int = 0
    repeated: int = 0
    inapplicable: int = 0
    unknown: int = 0
    rate: float = 0.0
    rejected_share: float | None = None


class Metastability(Frozen):
    """Whether the error rate, from labels that counted, comes back under its target after it was over it.

    `over` begins where even the lower end of the rate's 95 % interval lies over the target, and ends where the rate
    itself is at it or under. `worst_rate` and the times are those of the last time over.
    """

    target: float
    standing: Standing
    labels: int
    errors: int
    rate: float | None
    over_since: datetime | None = None
    returned_at: datetime | None = None
    worst_rate: float | None = None


class Moment(Frozen):
    """A bucket of the window, for charts: what was decided, healed, buried and told from `at` on."""

    at: datetime
    verdicts: Verdicts
    healed: int
    failed: int
    accepted: int
    rejected: int
    # Error rate of the labels that counted, over this bucket and those just before; None with too few.
    error_rate: float | None


class ReasonCount(Frozen):
    """How many died of a reason at a stage within the window."""

    stage: str
    reason: str
    count: int


class Pulse(Frozen):
    """How the pipeline does, from `since` to `at`; oldest bucket first in `moments`.

    `late` records were older than the window when they were seen, `ahead` ones bear a time to come (they count as now),
    `timeless` ones none; `unread` were no events of ours.
    """

    source: Source
    at: datetime
    since: datetime
    seconds: float
    bucket_seconds: float
    records: int
    late: int
    ahead: int
    timeless: int
    unread: int
    stages: tuple[StagePulse, ...]
    hops: tuple[HopPulse, ...]
    verdicts: Verdicts
    healed: int
    tasks: tuple[TaskPulse, ...]
    rules: tuple[RuleCount, ...]
    healing: tuple[HealingPulse, ...]
    registers: tuple[RegisterSwitch, ...]
    ledgers: tuple[LedgerPulse, ...]
    # Users whose rows were seen and had to make room for later ones.
    users_forgotten: int
    partitions: tuple[PartitionPulse, ...]
    # The busiest partition's scenes over the mean of all partitions; 1 is even.
    skew: float | None
    feedback: FeedbackPulse
    metastability: Metastability
    dead: tuple[ReasonCount, ...]
    moments: tuple[Moment, ...]


class TailState(Frozen):
    """How far the dashboard itself has read, and whether it can read at all.

    `behind_records` is what it has not yet folded (an upper bound: transaction markers count); `caught_up` says whether
    the window is whole. With an `error` what is shown is of `read_at` and grows old; `refused` tells of topics that may
    not be read and of partitions whose leader is away, and that what is shown is without.
    """

    read_at: datetime | None
    behind_records: int | None
    behind_seconds: float | None
    caught_up: bool
    partitions: int
    records: int
    error: str | None = None
    failing_since: datetime | None = None
    refused: tuple[str, ...] = ()
