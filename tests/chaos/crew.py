"""The crew: workers as a cluster runs them, where one that ends without being told to is started again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.broker.live import Pipeline, WorkerProcess

_LOOKS_EVERY_SECONDS = 0.05
_STARTED_AGAIN_AFTER_SECONDS = 0.2
_MOST_ENDS = 12
# A machine that is busy takes its time to start a Python; what is to be quick is measured as silence.
_READY_WITHIN_SECONDS = 150.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker that ended: its exit code (negative: the signal), and when, on the monotonic clock."""

    name: str
    code: int
    at: float


class Crew:
    """Workers by name, each in the environment that `environment_of` gives it."""

    def __init__(self, pipeline: Pipeline, environment_of: Callable[[str], Mapping[str, str]]) -> None:
        self.ended: list[Ended] = []
        self._pipeline = pipeline
        self._environment_of = environment_of
        self._workers: dict[str, WorkerProcess] = {}
        self._on_duty: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """Those on duty."""
        return tuple(sorted(self._on_duty))

    def start(self, name: str) -> None:
        """Start a worker; it is on duty from now on."""
        if name not in self._workers:
            self._workers[name] = self._pipeline.worker(name, **self._environment_of(name))
        self._workers[name].start()
        self._on_duty.add(name)

    async def until_ready(self, *names: str) -> None:
        """Wait until these, or all on duty, are ready; one that ends meanwhile is started again like any other."""
        for name in names or self.names:
            await self._workers[name].until_ready(within_seconds=_READY_WITHIN_SECONDS, may_end=True)

    async def partitions(self) -> dict[str, set[str]]:
        """Return which partitions each on duty says it works on."""
        said = {name: await asyncio.to_thread(self._workers[name].get, "/readyz?verbose") for name in self.names}
        return {name: set(body.get("partitions", ())) for name, (_, body) in said.items()}

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a worker."""
        self._workers[name].signal(number)

    def abandon(self, name: str) -> None:
        """kill -9, and nobody starts it again."""
        self._on_duty.discard(name)
        self._workers[name].kill()

    async def dismiss(self, name: str) -> int:
        """Tell a worker to stop, and return its exit code when it has."""
        self._on_duty.discard(name)
        return await asyncio.to_thread(self._workers[name].terminate)

    @asynccontextmanager
    async def on_duty(self) -> AsyncIterator[None]:
        """Start again whoever ends, until the end; then end all."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            for worker in self._workers.values():
                worker.end()

    async def _watch(self) -> None:
        while len(self.ended) < _MOST_ENDS:
            await asyncio.sleep(_LOOKS_EVERY_SECONDS)
            for name in self.names:
                worker = self._workers[name]
                if not worker.running:
                    self.ended.append(Ended(name, worker.wait(), time.monotonic()))
                    await asyncio.sleep(_STARTED_AGAIN_AFTER_SECONDS)
                    if name in self._on_duty:
                        worker.start()
