"""Runners that rest while their group rebalances, and which of them may go on as if nothing had been."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka.errors import KafkaError

from streams.kafka.assignment import Name
from streams.kafka.beginning import Beginning
from streams.kafka.partition import PartitionRunner

_log = structlog.get_logger(__name__)


class Resting:
    """Keeps runners, with their rows and outboxes, whose last batch was committed when their partitions were revoked.

    One goes on where the group's generation is the very next one: then nobody can have owned its partitions in between.
    (And if somebody had, its outbox would be fenced and its first batch would not be committed.)
    """

    def __init__(self, beginning: Beginning) -> None:
        self._beginning = beginning
        self._runners: dict[Name, PartitionRunner] = {}
        self.generation = 0

    async def rest(self, runner: PartitionRunner) -> None:
        """Let a runner finish what it commits, and keep it where all went well."""
        try:
            clean = await runner.pause()
        except (KafkaError, OSError) as error:
            _log.warning("kafka_away", what="commit", error=repr(error))
            clean = False
        if clean:
            self._runners[runner.group.name, runner.number] = runner
        else:
            self._beginning.drop(runner)
            self._beginning.let_go([runner.outbox.stop()])

    def wake(self, names: Iterable[Name], generation: int) -> dict[Name, PartitionRunner]:
        """Return those of the names that may go on; all others are let go, with their rows."""
        follows, self.generation = generation == self.generation + 1, generation
        wanted = set(names)
        # A number is kept whole: its groups share what is noted of suspects.
        broken = {number for name, number in wanted if (name, number) not in self._runners}
        runners, self._runners = self._runners, {}
        kept = {name: one for name, one in runners.items() if follows and name in wanted and name[1] not in broken}
        leaving = [one for name, one in runners.items() if name not in kept]
        for runner in leaving:
            self._beginning.drop(runner)
        self._beginning.let_go(runner.outbox.stop() for runner in leaving)
        return kept

    async def stop(self) -> None:
        """Close the outboxes of all that rest."""
        runners, self._runners = self._runners, {}
        await asyncio.gather(*(runner.outbox.stop() for runner in runners.values()))
