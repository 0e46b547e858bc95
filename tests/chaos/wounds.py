"""Wounds: how a worker of the tests dies at a chosen point, by its own kill -9, or breaks a promise on purpose.

The points are passed in a worker's environment and wrapped around the product from outside, so that the product knows
nothing of them. `SCENESTREAM_` names are the product's; these begin with `WOUND_`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas import topics
from streams.kafka.beginning import Beginning
from streams.kafka.groups import Groups
from streams.kafka.records import Outgoing, Place
from streams.kafka.transactions import PlainOutbox, Sending, TransactionalOutbox, append
from streams.runtimes.worker_rows import TableRows

ARMED = "armed"
DIES = "WOUND_DIES"
FORGETS = "WOUND_FORGETS"
UNFENCED = "WOUND_UNFENCED"
_ON_ITS_WAY_SECONDS = 0.001


@dataclass
class Death:
    """kill -9 of its own process, once: at the n-th pass after `armed` was put there by whoever runs the fault.

    `mark` remembers it for the process that comes after.
    """

    passes_left: int
    armed: Path
    mark: Path

    def is_due(self) -> bool:
        if self.armed.exists():
            self.passes_left -= 1
            return self.passes_left == 0
        return False

    def strike(self) -> None:
        self.mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def pass_by(self) -> None:
        if self.is_due():
            self.strike()


def dies(point: str, passes: int, folder: Path, name: str) -> dict[str, str]:
    """Return the environment of a worker that dies at the n-th pass of a point once `ARMED` is in `folder`."""
    return {DIES: f"{point}:{passes}:{folder / name}.died"}


def wound(environment: Mapping[str, str]) -> None:
    """Do to this process what its environment says."""
    if DIES in environment:
        point, passes, where = environment[DIES].split(":", 2)
        mark = Path(where)
        if not mark.exists():
            POINTS[point](Death(int(passes), mark.with_name(ARMED), mark))
    if FORGETS in environment:
        _forget()
    if UNFENCED in environment:
        _do_not_fence()


def _before(owner: type, name: str) -> Callable[[Death], None]:
    real: Any = getattr(owner, name)

    def arm(death: Death) -> None:
        def dying(self: object, *args: object) -> Any:  # noqa: ANN401 - whatever it returns
            death.pass_by()
            return real(self, *args)

        setattr(owner, name, dying)

    return arm


def _after(owner: type, name: str) -> Callable[[Death], None]:
    real: Any = getattr(owner, name)

    def arm(death: Death) -> None:
        async def dying(self: object, *args: object) -> None:
            await real(self, *args)
            death.pass_by()

        setattr(owner, name, dying)

    return arm


def _during_commit(death: Death) -> None:
    real = AIOKafkaProducer.commit_transaction

    async def dying(self: AIOKafkaProducer) -> None:
        if death.is_due():
            committing = asyncio.create_task(real(self))
            await asyncio.sleep(_ON_ITS_WAY_SECONDS)
            death.strike()
            await committing
        await real(self)

    AIOKafkaProducer.commit_transaction = dying


def _before_rows(death: Death) -> None:
    """Die when what a batch decided is out and its rows are not: what comes after must say it again."""
    real = PlainOutbox.send

    async def dying(
        self: PlainOutbox, outputs: Sequence[Outgoing], rows: Sequence[Outgoing], offsets: Mapping[Place, int]
    ) -> None:
        if any(one.topic.endswith(topics.READY) for one in outputs) and death.is_due():
            producer = self._producer
            assert producer is not None
            await asyncio.gather(*await append(producer, outputs))
            death.strike()
        await real(self, outputs, rows, offsets)

    PlainOutbox.send = dying  # type: ignore[method-assign]


def _forget() -> None:
    def restore(self: TableRows, number: int, records: object) -> None:
        del self, number, records

    TableRows.restore = restore  # type: ignore[method-assign]


def _do_not_fence() -> None:
    """Give each process transactional ids of its own, as whoever names them by a random id does."""
    real = TransactionalOutbox.__init__

    def named(self: TransactionalOutbox, sending: Sending, name: str) -> None:
        real(self, sending, f"{name}-{os.getpid()}")

    TransactionalOutbox.__init__ = named  # type: ignore[method-assign]


POINTS: Mapping[str, Callable[[Death], None]] = {
    "before outputs": _before(TransactionalOutbox, "send"),
    "before commit": _before(AIOKafkaProducer, "commit_transaction"),
    "during commit": _during_commit,
    "after commit": _after(TransactionalOutbox, "send"),
    "restoring": _before(TableRows, "restore"),
    "giving up": _before(Groups, "revoke"),
    "given up": _after(Groups, "revoke"),
    "fenced": _before(Beginning, "_restore"),
    "taken over": _after(Beginning, "begin"),
    "before rows": _before_rows,
}
