"""A run's directory shown as the live pipeline is: through the same fold, with the same types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from schemas import topics
from schemas.dead import DeadLetter, DeadReason
from schemas.decision import Decision
from schemas.names import Origin
from schemas.scene import Utterance
from streams.ops.follow.dialogue import Dialogue, DialogueStep
from streams.ops.follow.recent import MOST_STEPS
from streams.ops.follow.steps import dialogue_of, of_decision
from streams.ops.pulse import metastable
from streams.ops.pulse.fold import Bounds, PulseFold
from streams.ops.pulse.headroom import budgets_of
from streams.ops.pulse.pulse import Ages, FeedbackPulse, Metastability, Pulse, StagePulse
from streams.ops.pulse.view import view
from streams.ops.reading.seen import DeathSeen, Record, SceneSeen
from streams.replay.run_dir import SUMMARY, RunDirError, told_where
from streams.replay.run_reader import read_dead, read_decisions, read_rows, read_summary, read_words
from streams.stages.policy import Gate
from streams.topology import goes_to, reader_of

_BUCKETS = 60
_SHORTEST_SECONDS = 0.001
# What a run calls the time that a stage took.
_TIMED = {
    "resonance": "resonance",
    "regeneration": "models.regeneration",
    "bridge": "models.bridge",
    "threshold": "threshold",
}


def pulse_of_run(folder: Path, salt: bytes) -> Pulse:
    """Return the pulse of a whole run; raises RunDirError where `folder` is none.

    A log has no clock: its scenes are spread evenly over the seconds that the run took, so that rates are the run's
    own. Ages are what its summary measured. Labels are those of its rows: how many there were, not when.
    """
    summary = read_summary(folder)
    gate = gate_of(summary)
    seconds = max(_number(summary, "seconds"), _SHORTEST_SECONDS)
    scenes = max(1, round(_number(summary, "scenes")))
    with told_where(folder):
        ended = (folder / SUMMARY).stat().st_mtime
    # The window's last bucket holds its end.
    bounds = Bounds(window_seconds=seconds * (1 + 1 / _BUCKETS), buckets=_BUCKETS + 1)
    fold = PulseFold(gate, bounds, ended, source="run")
    for record, said in _records(read_decisions(folder), ended - seconds, seconds / scenes):
        fold.take(record, said)
    for number, letter in enumerate(read_dead(folder)):
        fold.take(_dead_record(letter, number, ended), DeathSeen(_stage_of(letter), letter.reason.value))
    rows = list(read_rows(folder))
    fold.budgets = budgets_of(rows, gate, bounds.users)
    made = view(fold, salt)
    labels, errors = sum(row.drafts.labelled for row in rows), sum(row.drafts.errors for row in rows)
    return made.model_copy(
        update={
            "stages": tuple(_timed(stage, summary, seconds) for stage in made.stages),
            "feedback": _feedback(summary, labels, errors, seconds),
            "metastability": Metastability(
                target=gate.alpha,
                standing="unknown",
                labels=labels,
                errors=errors,
                rate=errors / labels if labels >= metastable.FEWEST_LABELS else None,
            ),
        }
    )


def dialogue_of_run(
    folder: Path, *, dialogue: str | None = None, user: str | None = None, texts: bool = False
) -> Dialogue:
    """Return the decisions on one dialogue or user of a run, in order; raises RunDirError where `folder` is none."""
    mine = [
        decision
        for decision in read_decisions(folder)
        if (dialogue is None or decision.dialogue_id == dialogue) and (user is None or decision.key == user)
    ]
    wanted = {decision.scene_id for decision in mine}
    words: dict[str, tuple[tuple[Utterance, ...], str | None]] = {
        scene_id: (context, draft) for scene_id, context, draft in read_words(folder) if scene_id in wanted
    }
    return dialogue_of(_steps(mine, words, texts=texts), texts=texts, whole=True, most=MOST_STEPS)


def gate_of(summary: Mapping[str, object]) -> Gate:
    """Return the gate that a run was judged by; raises RunDirError where its summary holds none."""
    settings = summary.get("settings")
    try:
        return Gate.model_validate(settings["gate"] if isinstance(settings, dict) else None)
    except (KeyError, ValidationError) as error:
        raise RunDirError(f"{SUMMARY} does not say which gate it was judged by; replay the log again") from error


def _steps(
    decisions: Iterable[Decision], words: Mapping[str, tuple[tuple[Utterance, ...], str | None]], *, texts: bool
) -> Iterator[DialogueStep]:
    for decision in decisions:
        context, draft = words.get(decision.scene_id, ((), None))
        fresh = decision.origin is Origin.FRESH
        yield of_decision(decision, texts=texts, context=context if fresh else (), draft=draft if fresh else None)


def _records(
    decisions: Iterable[Decision], started: float, step_seconds: float
) -> Iterator[tuple[Record, SceneSeen | Decision]]:
    """Yield what the topics of a live pipeline would have held."""
    scenes = -1
    for number, decision in enumerate(decisions):
        scenes += decision.origin is Origin.FRESH
        at, key = started + max(scenes, 0) * step_seconds, decision.key.encode()
        carried = None if decision.final else decision
        yield _record(topics.SCENES, number, at, key), _scene(decision, None)
        to = goes_to("resonance", decision.verdict.value)
        record = _record(to, number, at, key)
        yield record, decision if reader_of(to) is None else _scene(decision, carried)


def _record(topic: str, offset: int, at: float | None, key: bytes | None) -> Record:
    return Record(topic, 0, offset, at, key, None, ())


def _scene(decision: Decision, carried: Decision | None) -> SceneSeen:
    return SceneSeen(
        decision.scene_id, decision.dialogue_id, decision.user_id, decision.attempt, decision.origin.value, carried
    )


def _dead_record(letter: DeadLetter, number: int, at: float) -> Record:
    topic = topics.FEEDBACK if _stage_of(letter) == "threshold" else topics.SCENES
    return _record(topics.dead_topic(topic), number, at, None)


def _stage_of(letter: DeadLetter) -> str:
    return "threshold" if letter.reason is DeadReason.UNKNOWN_SCENE else "resonance"


def _timed(stage: StagePulse, summary: Mapping[str, object], seconds: float) -> StagePulse:
    stages = summary.get("stages")
    took = stages.get(_TIMED[stage.stage]) if isinstance(stages, dict) else None
    if not isinstance(took, dict):
        return stage.model_copy(update={"age": Ages()})
    count, p50, p99 = (_number(took, name) for name in ("count", "p50_ms", "p99_ms"))
    age = Ages(count=round(count), p50_seconds=p50 / 1000, p99_seconds=p99 / 1000)
    if stage.stage != "threshold":
        return stage.model_copy(update={"age": age})
    # Feedback is in no file of a run; its count is that of the threshold's calls.
    done = round(count) - stage.failed
    rates = {"rate_in": round(count / seconds, 4), "rate_out": round(done / seconds, 4)}
    share = stage.failed / count if count else None
    return stage.model_copy(update={"age": age, "arrived": round(count), "done": done, "failure_share": share, **rates})


def _feedback(summary: Mapping[str, object], labels: int, errors: int, seconds: float) -> FeedbackPulse:
    counted = summary.get("feedback")
    came_to = {
        name: round(_number(counted, name)) for name in ("learnt", "told", "repeated", "inapplicable", "unknown")
    }
    return FeedbackPulse(
        accepted=labels - errors,
        rejected=errors,
        **came_to,
        rate=round(sum(came_to.values()) / seconds, 4),
        rejected_share=errors / labels if labels else None,
    )


def _number(facts: object, name: str) -> float:
    value = facts.get(name) if isinstance(facts, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0
