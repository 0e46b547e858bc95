"""The agents: each reads a topic, asks the models, and does what its stage says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from schemas import topics
from schemas.feedback import Feedback
from schemas.names import Origin
from schemas.scene import Scene, Wanted
from schemas.sensitivity import Sensitivity
from streams.kafka import wire
from streams.kafka.records import Handler, Outgoing, Received
from streams.runtimes import applied
from streams.runtimes.worker_desk import Desk, put_back
from streams.runtimes.worker_rows import Note
from streams.scoring.port import Encoded, Wish
from streams.stages import admit, bridge, regeneration, resonance, rows, threshold
from streams.stages.admit import Refusal
from streams.stages.reading import Candidate, Reading, Rendering
from streams.stages.wanting import want
from streams.topology import Stage

_log = structlog.get_logger(__name__)
Healed = TypeVar("Healed", Rendering, tuple[Candidate, ...])


class Resonance(Handler["tuple[Encoded, Reading] | Refusal"]):
    """Judges scenes, fresh and healed, and keeps the rows."""

    stage: Stage = "resonance"

    def __init__(self, desk: Desk) -> None:
        self.topic = desk.name(topics.SCENES)
        self._desk = desk

    async def prepare(self, records: Sequence[Received]) -> Sequence[tuple[Encoded, Reading] | Refusal]:
        """Ask the models; what they say does not depend on rows, so it is asked ahead."""
        desk = self._desk
        scenes = await desk.read_scenes(records)
        encoded = [one for one in scenes if isinstance(one, Encoded)]
        readings = await desk.models.ask(desk.scorer.read, encoded)
        return put_back(scenes, list(zip(encoded, readings, strict=True)))

    def apply(
        self, records: Sequence[Received], prepared: Sequence[tuple[Encoded, Reading] | Refusal]
    ) -> Iterable[Outgoing]:
        """Decide, one after the other."""
        outputs = [self._one(record, one) for record, one in zip(records, prepared, strict=True)]
        return [output for output in outputs if output is not None]

    def bury(self, record: Received, error: Exception) -> Outgoing:
        """Return the dead letter for a scene that the models cannot stand."""
        return self._desk.bury(record, self.stage, error)

    def _one(self, record: Received, one: tuple[Encoded, Reading] | Refusal) -> Outgoing | None:
        desk = self._desk
        if isinstance(one, Refusal):
            return desk.bury(record, self.stage, one)
        scene, reading = one[0].scene, one[1]
        kept = desk.rows.of(record.partition)
        if kept.has(scene.key, record):
            return None
        row = kept.get(scene.key)
        if scene.origin is Origin.FRESH:
            refusal = admit.place(scene, rows.dialogue_of(row, scene.dialogue_id))
            if refusal is not None:
                return desk.bury(record, self.stage, refusal)
            row = resonance.offer(row, scene, desk.policy)
        judged = resonance.judge(scene, reading, row, desk.policy)
        goes_on = judged.onward is not None
        kept.put(
            judged.row, Note(record, scene.scene_id, self.stage, scene.attempt, datetime.now(UTC), goes_on=goes_on)
        )
        desk.meter.decided(judged.decision)
        verdict = judged.decision.verdict
        _log.debug(
            "decided",
            dialogue_id=scene.dialogue_id,
            scene_id=scene.scene_id,
            attempt=scene.attempt,
            verdict=verdict.value,
            rule=judged.decision.rule,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
        if judged.onward is None:
            return desk.send(record, judged.decision, self.stage, verdict.value)
        wanted = want(scene, judged.row, verdict, desk.policy.gate.codes)
        update: dict[str, object] = {"wanted": wanted}
        if scene.draft is None and scene.embedding is None:
            # The vector of a bare chain follows from the chain: sent along it would pass for a draft's.
            update["embedding"] = None
        onward = judged.onward.model_copy(update=update)
        return desk.send(record, onward, self.stage, verdict.value, judged.decision, desk.rows.away(record))


class Healing(Handler["tuple[Scene, Healed] | Refusal"]):
    """Heals scenes and sends them back to be judged; what the row wanted came along."""

    def __init__(
        self,
        desk: Desk,
        topic: str,
        stage: Stage,
        ask: Callable[[Sequence[Wish]], Sequence[Healed]],
        heal: Callable[[Scene, Healed], Scene],
    ) -> None:
        self.topic = desk.name(topic)
        self.stage: Stage = stage
        self._desk = desk
        self._ask: Callable[[Sequence[Wish]], Sequence[Healed]] = ask
        self._heal: Callable[[Scene, Healed], Scene] = heal

    async def prepare(self, records: Sequence[Received]) -> Sequence[tuple[Scene, Healed] | Refusal]:
        """Ask the models for another chain."""
        scenes = await self._desk.read_scenes(records)
        encoded = [one for one in scenes if isinstance(one, Encoded)]
        healed = await self._desk.models.ask(self._ask, [self._wish(one) for one in encoded])
        return put_back(scenes, [(one.scene, answer) for one, answer in zip(encoded, healed, strict=True)])

    def apply(
        self, records: Sequence[Received], prepared: Sequence[tuple[Scene, Healed] | Refusal]
    ) -> Iterable[Outgoing]:
        """Send each scene back with its new chain."""
        desk = self._desk
        return [
            desk.bury(record, self.stage, one)
            if isinstance(one, Refusal)
            else desk.send(record, self._heal(*one), self.stage, "healed", headers=applied.on_its_way(record))
            for record, one in zip(records, prepared, strict=True)
        ]

    def bury(self, record: Received, error: Exception) -> Outgoing:
        """Return the dead letter for a scene that cannot be healed at all."""
        return self._desk.bury(record, self.stage, error)

    def _wish(self, encoded: Encoded) -> Wish:
        scene = encoded.scene
        wanted = scene.wanted or self._unasked(scene)
        return Wish(encoded, wanted.register, wanted.codes)

    def _unasked(self, scene: Scene) -> Wanted:
        """Return what a listener of whom nothing is known would want, for scenes that somebody else sent here."""
        codes = self._desk.policy.gate.codes
        register = scene.register
        if self.stage == "regeneration":
            register = regeneration.choose_register(scene, Sensitivity(key=scene.key))
        return Wanted(register=register, codes=codes)


class Threshold(Handler["Feedback | Refusal"]):
    """Tunes the rows by feedback."""

    stage: Stage = "threshold"

    def __init__(self, desk: Desk) -> None:
        self.topic = desk.name(topics.FEEDBACK)
        self._desk = desk

    async def prepare(self, records: Sequence[Received]) -> Sequence[Feedback | Refusal]:
        """Read the feedback."""
        terms = self._desk.scorer.terms()
        return [wire.decode_feedback(record.key, record.value, terms) for record in records]

    def apply(self, records: Sequence[Received], prepared: Sequence[Feedback | Refusal]) -> Iterable[Outgoing]:
        """Tune one row after the other; each is echoed, also where nothing was learnt."""
        desk = self._desk
        for record, feedback in zip(records, prepared, strict=True):
            if isinstance(feedback, Refusal):
                yield desk.bury(record, self.stage, feedback)
                continue
            kept = desk.rows.of(record.partition)
            if kept.has(feedback.key, record):
                continue
            tuned = threshold.tune(kept.get(feedback.key), feedback, desk.policy.gate)
            desk.meter.tuned(tuned.outcome)
            kept.echo(tuned.row, Note(record, feedback.scene_id, self.stage, 0, datetime.now(UTC), tuned.outcome))
            if tuned.outcome == "unknown":
                unknown = admit.unknown_scene(feedback)
                doubted = replace(unknown, what=unknown.what + desk.placing.doubt(record))
                yield desk.bury(record, self.stage, doubted)

    def bury(self, record: Received, error: Exception) -> Outgoing:
        """Return the dead letter for feedback that cannot be read."""
        return self._desk.bury(record, self.stage, error)


def regenerator(desk: Desk) -> Healing[Rendering]:
    """Return the agent for scenes whose meaning is right and whose words are wrong."""
    return Healing(desk, topics.REGENERATE, "regeneration", desk.scorer.render, regeneration.regenerate)


def bridger(desk: Desk) -> Healing[tuple[Candidate, ...]]:
    """Return the agent for scenes whose meaning is weak."""

    def heal(scene: Scene, candidates: tuple[Candidate, ...]) -> Scene:
        return bridge.bridge(scene, candidates, desk.policy.routes)

    return Healing(desk, topics.ANALOGUE, "bridge", desk.scorer.bridge, heal)
