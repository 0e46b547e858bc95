"""The threads that own the models, as a coroutine sees them: ask with a batch, wait for its answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from streams.kafka.meter import UNMETERED, Meter
from streams.kafka.suspects import Asking, BatchError, Hung, asking

Item = TypeVar("Item")
Answer = TypeVar("Answer")
# The deadline is counted in pieces: a process that was stopped for a while has not waited for its models.
_PIECE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    ask: Callable[[Sequence[Any]], Sequence[Any]]
    items: Sequence[Any]
    answer: asyncio.Future[Sequence[Any]]
    since_seconds: float
    asking: Asking | None

    @property
    def alone(self) -> bool:
        """Whether it must not be answered together with others."""
        return self.asking is not None and self.asking.suspect is not None


class ModelThread:
    """One thread; calls that wait for it at the same time are answered together.

    Batches so cross partitions: `max_batch` items at most go to the model at once. After a batch that several calls
    shared, the next one goes when its first call has waited for `max_wait_ms`, for the model or for company; a call
    that comes alone is answered at once. Suspects never share a call, for whoever shared it would share the blame. A
    call that was given up before its turn is left out.

    A batch that is not answered within `deadline_seconds` is hung: whoever asked is told, and nothing is answered any
    more, for a thread cannot be ended. `on_hung` is told for those who have gone meanwhile, and `fail` of an error that
    is no call's: nothing is answered any more then either.
    """

    def __init__(
        self,
        name: str,
        max_batch: int,
        max_wait_ms: float,
        meter: Meter = UNMETERED,
        deadline_seconds: float = math.inf,
        on_hung: Callable[[BatchError], None] | None = None,
        fail: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.name = name
        self._meter = meter
        self._deadline_seconds = deadline_seconds
        self._on_hung = on_hung
        self._fail = fail
        self._hung = False
        self._began_at_seconds: float | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._max_batch = max_batch
        self._max_wait_seconds = max_wait_ms / 1000
        self._waiting: deque[_Call] = deque()
        self._arrived = asyncio.Event()
        self._crowded = False
        self._serving: asyncio.Task[None] | None = None

    @property
    def busy_seconds(self) -> float | None:
        """How long the batch that is with the model has been there; None where there is none."""
        began = self._began_at_seconds
        return None if began is None else time.monotonic() - began

    async def ask(self, ask: Callable[[Sequence[Item]], Sequence[Answer]], items: Sequence[Item]) -> Sequence[Answer]:
        """Return what `ask` answers for the items; raises what it raises, and never because of another call's items."""
        if not items:
            return ()
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve(), name="model-thread")
            self._serving.add_done_callback(self._ended)
        call = _Call(ask, items, asyncio.get_running_loop().create_future(), time.monotonic(), asking.get())
        self._waiting.append(call)
        self._arrived.set()
        try:
            return await call.answer
        except asyncio.CancelledError:
            hung = call.answer.exception() if call.answer.done() and not call.answer.cancelled() else None
            if isinstance(hung, Hung):
                # Told in the very turn in which whoever waits was cancelled.
                self._gone(call, hung)
            raise

    def close(self) -> None:
        """End the thread when its batch is done."""
        if self._serving is not None:
            self._serving.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self) -> None:
        while not self._hung:
            calls = await self._next()
            self._crowded = len(calls) > 1
            if await self._answer(calls) or len(calls) == 1:
                continue
            for call in calls:
                if not self._hung:
                    await self._answer([call])

    async def _next(self) -> list[_Call]:
        calls: list[_Call] = []
        while not calls:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            await self._wait_for_company()
            calls = self._take()
        return calls

    async def _wait_for_company(self) -> None:
        first = self._waiting[0]
        if not self._crowded or first.alone or sum(len(call.items) for call in self._waiting) >= self._max_batch:
            return
        left_seconds = first.since_seconds + self._max_wait_seconds - time.monotonic()
        if left_seconds > 0:
            await asyncio.sleep(left_seconds)

    def _take(self) -> list[_Call]:
        """Take the call that waits longest, which says what is asked, and those that ask the same past the others."""
        wanted = [call for call in self._waiting if not call.answer.done()]
        calls, others = wanted[:1], wanted[1:]
        count = sum(len(call.items) for call in calls)
        self._waiting.clear()
        for call in others:
            alike = call.ask == calls[0].ask and not call.alone and not calls[0].alone
            if alike and count + len(call.items) <= self._max_batch:
                calls.append(call)
                count += len(call.items)
            else:
                self._waiting.append(call)
        return calls

    async def _answer(self, calls: Sequence[_Call]) -> bool:
        items = [item for call in calls for item in call.items]
        answers: list[Any] = []
        try:
            began = time.monotonic()
            for start in range(0, len(items), self._max_batch):
                answers += await self._within_deadline(calls[0].ask, items[start : start + self._max_batch])
        except Hung as error:
            self._tell_hung(calls, error)
            return True
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            if len(calls) == 1 and not calls[0].answer.done():
                calls[0].answer.set_exception(error)
            return False
        waited = [began - call.since_seconds for call in calls]
        what = getattr(calls[0].ask, "__name__", "")
        self._meter.asked(self.name, what, len(items), waited, time.monotonic() - began)
        start = 0
        for call in calls:
            if not call.answer.done():
                call.answer.set_result(answers[start : start + len(call.items)])
            start += len(call.items)
        return True

    def _tell_hung(self, calls: Sequence[_Call], error: Hung) -> None:
        self._hung = True
        for call in calls:
            if not call.answer.done():
                call.answer.set_exception(error)
            else:
                self._gone(call, error)

    def _gone(self, call: _Call, error: Hung) -> None:
        if call.asking is not None and self._on_hung is not None:
            self._on_hung(call.asking.failed(error))

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._fail is not None:
            self._fail(error)

    async def _within_deadline(
        self, ask: Callable[[Sequence[Any]], Sequence[Any]], items: Sequence[Any]
    ) -> Sequence[Any]:
        self._began_at_seconds = time.monotonic()
        answering = asyncio.get_running_loop().run_in_executor(self._pool, ask, items)
        left_seconds = self._deadline_seconds
        while not answering.done():
            if left_seconds <= 0:
                raise Hung(
                    f"the models ({self.name}) did not answer within {self._deadline_seconds:g} s; "
                    "see models.deadline_seconds"
                )
            piece_seconds = min(left_seconds, _PIECE_SECONDS)
            await asyncio.wait([answering], timeout=piece_seconds)
            left_seconds -= piece_seconds
        self._began_at_seconds = None
        return answering.result()
