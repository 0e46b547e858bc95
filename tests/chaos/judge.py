"""The judge: what was committed against what was owed; pure functions over what was read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import ne

from schemas import topics
from schemas.decision import Decision
from schemas.sensitivity import Sensitivity
from streams.kafka.dead_letters import read_letter
from streams.kafka.wire import encode
from streams.stages import ledger
from streams.stages.policy import Gate, Policy
from tests.chaos.load import Load
from tests.chaos.paper import converse
from tests.chaos.records import DEAD, OUTCOMES, Ident, Log, Said, found_in
from tests.chaos.retrace import NEVER, Owed, retrace

_ROUNDED = 1e-4
# Where a live consumer met a final decision: topic, partition, offset.
Met = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Findings:
    """What is not as it must be; each entry says which scene, key or record, and why."""

    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    wrong_rows: tuple[str, ...] = ()
    wrong_outcomes: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not any(getattr(self, one.name) for one in fields(self))


def judge(log: Log, met: Sequence[Met], load: Load, policy: Policy) -> Findings:
    """Return what is wrong in a log, and in what a live read_committed consumer `met` of its final topics."""
    found = found_in(log)
    owed = retrace(log, found, policy, load.culprits)
    outcomes = {ident[1] for ident in found if ident[0] == "outcome"}
    rows = {record.key.decode(): Sensitivity.model_validate_json(record.value) for record in log[topics.SENSITIVITY]}
    return Findings(
        lost=(*lost(found, owed, load), *_unmet(log, met)),
        twice=(*twice(found), *_met_more(log, met)),
        wrong_rows=(*wrong_rows(rows, owed), *wrong_patients(found, rows, load, policy)),
        wrong_outcomes=(
            *wrong_outcomes(found, owed),
            *(f"{name} was never sent" for name in sorted(outcomes - load.owed)),
        ),
        bound=tuple(broken_bounds(log, policy.gate)),
        dead=tuple(wrong_letters(log, owed, load)),
    )


def lost(found: Mapping[Ident, object], owed: Owed, load: Load) -> Iterable[str]:
    """Yield what should be there and is not."""
    sent: set[Ident] = {("outcome", name, 0) for name in load.owed}
    for kind, name, attempt in sorted((sent | owed.records.keys()) - found.keys()):
        yield f"{kind} of {name} at attempt {attempt}"


def twice(found: Mapping[Ident, Sequence[Said]]) -> Iterable[str]:
    """Yield what is there more often than once."""
    for (kind, name, attempt), said in found.items():
        yield from (f"{kind} of {name} at attempt {attempt}" for _ in said[1:])


def wrong_rows(rows: Mapping[str, Sensitivity], owed: Owed) -> Iterable[str]:
    """Yield the keys with a row, at any moment, that is not what its inputs come to."""
    for key in sorted(rows.keys() | owed.rows.keys()):
        if key in owed.wrong_rows:
            yield f"{key}: {owed.wrong_rows[key]}"
        elif rows.get(key) != owed.rows.get(key):
            yield f"{key}: its last row is not what its inputs come to"


def wrong_patients(
    found: Mapping[Ident, Sequence[Said]], rows: Mapping[str, Sensitivity], load: Load, policy: Policy
) -> Iterable[str]:
    """Yield the patient users whose row or outcomes are not those of an uninterrupted run."""
    for key, turns in load.patient.items():
        decisions, row = converse(turns, policy)
        if rows.get(key) != row:
            yield f"{key}: its row is not that of an uninterrupted run"
        for one in decisions:
            said = {record.value for record in found.get(("outcome", one.scene_id, 0), ())}
            if said != {encode(one, at=NEVER).value}:
                yield f"{key}: the outcome of {one.scene_id} is not that of an uninterrupted run"


def wrong_outcomes(found: Mapping[Ident, Sequence[Said]], owed: Owed) -> Iterable[str]:
    """Yield the records that are somewhere else, or say something else (key, value, id, origin), than is owed."""
    for ident, said in found.items():
        wanted = owed.records.get(ident, ())
        yield from (
            f"{ident[0]} of {ident[1]} at attempt {ident[2]} on {one.topic}: {_otherwise(one, wanted)}"
            for one in said
            if one not in wanted
        )


def _otherwise(said: Said, owed: Sequence[Said]) -> str:
    """Return what of a record is not as it is owed."""
    if not owed:
        return "nothing is owed"
    nearest = min(owed, key=lambda one: sum(map(ne, said, one)))
    return ", ".join(name for name, mine, other in zip(Said._fields, said, nearest, strict=True) if mine != other)


def broken_bounds(log: Log, gate: Gate) -> Iterable[str]:
    """Yield the rows and decisions by which labelled errors exceed alpha n + C + rho T, at any moment."""
    for record in log[topics.SENSITIVITY]:
        row = Sensitivity.model_validate_json(record.value)
        for name in ("drafts", "healed"):
            account = getattr(row, name)
            if account.errors > ledger.alpha_of(name, gate) * account.emitted + gate.slack + gate.rho * row.offered:
                yield f"{row.key} at {record.partition}:{record.offset}: {account.errors} errors of {name}"
    for topic in OUTCOMES:
        for record in log[topic]:
            view = Decision.model_validate_json(record.value).ledger
            limit = ledger.alpha_of(view.account, gate) * view.emitted + gate.slack + gate.rho * view.offered
            if view.errors > limit or abs(view.bound - limit) > _ROUNDED:
                yield f"{record.key.decode()} on {topic} {record.partition}:{record.offset}: {view.errors} errors"


def wrong_letters(log: Log, owed: Owed, load: Load) -> Iterable[str]:
    """Yield the dead letters that are missing, too many, for another reason, or not the bytes that were sent."""
    found: Counter[tuple[str, int, int, str]] = Counter()
    for name in DEAD:
        source = name.removesuffix(topics.dead_topic(""))
        sources = {(record.partition, record.offset): record for record in log[source]}
        for record in log[name]:
            letter = read_letter(record)
            found[source, letter.source.partition, letter.source_offset, letter.failure.exception] += 1
            sent = sources.get((letter.source.partition, letter.source_offset))
            if sent is None or (sent.key, sent.value) != (letter.key, letter.value):
                yield f"{letter.name}: not the bytes that were sent"
    yield from (f"missing: {letter}" for letter in sorted((owed.dead - found).elements()))
    yield from (f"too many: {letter}" for letter in sorted((found - owed.dead).elements()))
    reasons = Counter(letter[3] for letter in found.elements())
    if reasons != load.dead:
        yield f"by reason {dict(reasons)}, and {dict(load.dead)} were sent"


def met_in(log: Log) -> set[Met]:
    """Return where a live consumer must meet the final decisions of a log."""
    return {(topic, record.partition, record.offset) for topic in OUTCOMES for record in log[topic]}


def _unmet(log: Log, met: Sequence[Met]) -> Iterable[str]:
    yield from (f"a live consumer did not meet {place}" for place in sorted(met_in(log) - set(met)))


def _met_more(log: Log, met: Sequence[Met]) -> Iterable[str]:
    yield from (f"a live consumer met {place}, which was taken back" for place in sorted(set(met) - met_in(log)))
    yield from (f"a live consumer met {place} again" for place, count in Counter(met).items() if count > 1)
