"""The work that all of `make bench-live` do: the worker's own stages, models, messages and topics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from schemas import topics
from streams.cli.wiring import open_scorer
from streams.kafka.records import Handler, Outgoing, Received
from streams.kafka.wire import models_stamp
from streams.runtimes.placing import Placing
from streams.runtimes.worker_agents import Resonance, bridger, regenerator
from streams.runtimes.worker_desk import Desk
from streams.runtimes.worker_models import ModelThread
from streams.runtimes.worker_rows import TableRows
from streams.scoring.port import Scorer
from streams.settings import Settings
from streams.stages.admit import Refusal
from streams.topology import Stage


class DirectThread(ModelThread):
    """A model's thread without the worker's sharing of batches: each call goes to it as it comes."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(name, most, 0.0)
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def ask(self, ask: Callable[[Sequence[Any]], Sequence[Any]], items: Sequence[Any]) -> Sequence[Any]:
        def in_pieces() -> Sequence[Any]:
            return [one for start in range(0, len(items), self._most) for one in ask(items[start : start + self._most])]

        return await asyncio.get_running_loop().run_in_executor(self._thread, in_pieces) if items else ()


@dataclass(frozen=True, slots=True)
class Work:
    """What is done with the records of each topic, and the rows that it changes."""

    handlers: Mapping[str, Handler[Any]]
    rows: TableRows

    def apply(self, records: Sequence[Received], prepared: Sequence[Any]) -> Iterable[Outgoing]:
        return self.handlers[records[0].topic].apply(records, prepared)

    def changed_rows(self, numbers: Iterable[int]) -> list[Outgoing]:
        changelog = self.rows.changelog
        return [Outgoing(changelog, *change, number) for number in numbers for change in self.rows.take_changes(number)]


def work_of(settings: Settings, scorer: Scorer, models: Mapping[str, str]) -> Work:
    kafka, batching = settings.kafka, settings.models
    rows = TableRows(kafka.topic(topics.SENSITIVITY), positions=kafka.guarantee == "at_least_once")
    desk = Desk(
        scorer=scorer,
        encoder=DirectThread("encoder", batching.max_batch),
        models=DirectThread("models", batching.max_batch),
        policy=settings.policy(),
        rows=rows,
        name=kafka.topic,
        stamp=models_stamp(models),
        bury=_refuse,
        largest_bytes=kafka.topics.max_message_bytes,
        placing=Placing(4),
    )
    handlers: tuple[Handler[Any], ...] = (Resonance(desk), regenerator(desk), bridger(desk))
    return Work({one.topic: one for one in handlers}, rows)


def opened(settings: Settings) -> Work:
    scorer = open_scorer(settings)
    return work_of(settings, scorer, scorer.describe())


def _refuse(record: Received, stage: Stage, error: Refusal | Exception) -> Outgoing:
    raise ValueError(f"{stage} refuses {record.topic} {record.partition}:{record.offset}: {error}")
