"""The worker: Faust on Kafka, with the stages behind it; scales by partitions and workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import structlog

from schemas import topics
from streams.kafka.catching_up import CatchingUp, Ends
from streams.kafka.clients import client_options
from streams.kafka.dead_letters import Failure, bury
from streams.kafka.groups import Groups
from streams.kafka.handover import Consumer, Producer, Transport
from streams.kafka.line import Limits
from streams.kafka.membership import Membership
from streams.kafka.notes import Notes
from streams.kafka.records import Group, Outgoing, Received
from streams.kafka.suspects import BatchError, Convicted, Suspects
from streams.kafka.topics_admin import DEAD_MARGIN_BYTES
from streams.kafka.transactions import Sending
from streams.kafka.wire import models_stamp
from streams.ops.metrics.worker import WorkerMetrics
from streams.runtimes.placing import Placing
from streams.runtimes.rehearsal import rehearse
from streams.runtimes.worker_admission import Admission, checked
from streams.runtimes.worker_agents import Resonance, Threshold, bridger, regenerator
from streams.runtimes.worker_app import App, make_app
from streams.runtimes.worker_desk import Desk
from streams.runtimes.worker_models import ModelThread
from streams.runtimes.worker_rows import TableRows
from streams.runtimes.worker_table import keep_rows
from streams.runtimes.worker_watch import Watchdog
from streams.scoring.port import Scorer
from streams.settings import KafkaSettings, Settings
from streams.stages.admit import Refusal
from streams.topology import Stage

_log = structlog.get_logger(__name__)
_ANSWER_WITHIN_SECONDS = 3.0
_GROWS_BY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Live:
    """A worker that is ready to be run: Faust's app, what it handles, and the sha256 of each model."""

    app: App
    groups: Groups
    models: Mapping[str, str]
    threads: tuple[ModelThread, ...]
    rows: TableRows
    metrics: WorkerMetrics
    watchdog: Watchdog


def build(settings: Settings, scorer: Scorer, models: Mapping[str, str], fail: Callable[[BaseException], None]) -> Live:
    """Return the worker; `fail` is told what ends the process."""
    kafka = settings.kafka
    app = make_app(kafka, settings.web)
    changelog = kafka.topic(topics.SENSITIVITY)
    exactly_once = kafka.guarantee == "exactly_once"
    rows = keep_rows(app, topics.SENSITIVITY, changelog, kafka.partitions, positions=not exactly_once)
    metrics = WorkerMetrics(models, settings.gate.mode, kafka.guarantee)
    batching = settings.models

    def hung(error: BatchError) -> None:
        groups.failed_on(error)

    threads = tuple(
        ModelThread(name, batching.max_batch, batching.max_wait_ms, metrics, batching.deadline_seconds, hung, fail)
        for name in ("encoder", "models")
    )
    desk = Desk(
        scorer=scorer,
        encoder=threads[0],
        models=threads[1],
        policy=settings.policy(),
        rows=rows,
        name=kafka.topic,
        stamp=models_stamp(models),
        bury=_undertaker(kafka, metrics),
        largest_bytes=_largest(kafka.topics.max_message_bytes),
        placing=Placing(kafka.partitions),
        meter=metrics,
    )
    sending = _sending(kafka)
    suspects = Suspects(
        kafka.topic(topics.SUSPECT),
        kafka.instance_id or "",
        write=Notes(sending).write,
        rehearse=lambda: rehearse(desk),
    )
    groups = Groups(
        (Group("rows", (Resonance(desk), Threshold(desk), regenerator(desk), bridger(desk)), rows),),
        sending,
        Limits(kafka.max_records, kafka.max_buffered, kafka.restore_timeout_seconds, kafka.max_buffered_bytes),
        suspects,
        fail,
        transactional=exactly_once,
        meter=metrics,
        reached=lambda: watchdog.reached,
        catching_up=_catching_up(kafka, exactly_once=exactly_once),
    )

    app.transport = Transport(
        app.conf.broker_consumer, app, groups=groups, membership=_membership(kafka), check=checked(kafka, fail)
    )
    app.producer_transport = app.transport
    for topic in sorted(groups.topics):
        app.topics.add(app.topic(topic, key_type=bytes, value_type=bytes))

    admission = Admission(kafka, groups.fail)

    async def ask() -> Ends | None:
        answered = await cast("Producer", app.producer).is_answered(_ANSWER_WITHIN_SECONDS)
        if answered and groups.restored:
            admission.granted()
        else:
            # Whoever begins connects anew, and may be refused what others still have.
            await admission.ask()
        if not answered:
            return None
        ends: Ends = await cast("Consumer", app.consumer).ends() if groups.restored else {}
        return ends

    def busy() -> Mapping[str, float | None]:
        return {thread.name: thread.busy_seconds for thread in threads}

    # To restore has a limit of its own, which says more.
    beginning_seconds = kafka.restore_timeout_seconds + kafka.watchdog_seconds
    watchdog = Watchdog(
        groups, ask, busy, fail, kafka.watchdog_seconds, beginning_seconds, take_back=suspects.trials.withdraw
    )
    return Live(app, groups, models, threads, rows, metrics, watchdog)


def _catching_up(kafka: KafkaSettings, *, exactly_once: bool) -> CatchingUp:
    if exactly_once:
        return CatchingUp()
    return CatchingUp(kafka.topic(topics.SCENES), frozenset({kafka.topic(topics.FEEDBACK)}))


def _sending(kafka: KafkaSettings) -> Sending:
    return Sending(
        options=client_options(kafka),
        group_id=kafka.group,
        transaction_timeout_ms=round(kafka.transaction_timeout_seconds * 1000),
        retry_backoff_ms=kafka.retry_backoff_ms,
        max_batch_bytes=kafka.topics.max_message_bytes,
    )


def _membership(kafka: KafkaSettings) -> Membership:
    return Membership(
        options=client_options(kafka),
        group_id=kafka.group,
        instance_id=kafka.instance_id,
        session_timeout_ms=round(kafka.session_timeout_seconds * 1000),
        rebalance_timeout_ms=round(kafka.rebalance_timeout_seconds * 1000),
        max_poll_records=kafka.max_buffered,
        max_fetch_bytes=kafka.max_fetch_bytes,
        fetch_wait_ms=kafka.fetch_wait_ms,
    )


def _largest(max_message_bytes: int) -> int:
    """Return how large a scene may be so that its topic still takes it with an embedding, a lineage and a verdict."""
    return max_message_bytes - min(_GROWS_BY_BYTES, max_message_bytes // 4)


def _undertaker(
    kafka: KafkaSettings, metrics: WorkerMetrics
) -> Callable[[Received, Stage, Refusal | Exception], Outgoing]:
    def put_aside(record: Received, stage: Stage, error: Refusal | Exception) -> Outgoing:
        reason = _reason(error)
        metrics.buried(record.topic, stage, reason)
        _log.warning(
            "dead_letter",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            stage=stage,
            reason=reason,
        )
        message = error.detail if isinstance(error, Refusal) else str(error)
        failure = Failure(kafka.group, stage, reason, message, datetime.now(UTC))
        return bury(record, failure, kafka.topics.max_message_bytes + DEAD_MARGIN_BYTES)

    return put_aside


def _reason(error: Refusal | Exception) -> str:
    match error:
        case Refusal():
            return error.reason.value
        case Convicted():
            return error.suspect.exception
        case _:
            return type(error).__name__
