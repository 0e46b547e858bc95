"""The embedded runtime: the whole pipeline in one process, without a broker, deterministic.

Four threads: one reads the log, one owns the encoder, one the other models, and this one runs the stages. What the
models say of a fresh scene does not depend on its key's row, so scenes of all keys go to them in batches as they come;
what is decided goes by the order within each key.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal, cast

from schemas.scene import Scene
from streams.replay.items import Item
from streams.runtimes.lanes import Batching, Finished, Lane
from streams.runtimes.lockstep import Entry, Lockstep, Outcome
from streams.runtimes.rows import RowStore
from streams.runtimes.timings import Timings
from streams.scoring.port import Encoded, Scorer
from streams.stages.policy import Policy
from streams.stages.reading import Candidate, Reading, Rendering
from streams.topology import Stage

# What is done in batches: texts are encoded, then the stages ask the models.
Task = Literal["encode", "resonance", "regeneration", "bridge"]


@dataclass(frozen=True, slots=True)
class _Arrived:
    item: Item


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


_Message = _Arrived | _Ended | Finished[Task, Entry]


class EmbeddedRuntime:
    """Runs the stages over one log; `rows` and `timings` may be looked at when it is done."""

    def __init__(self, scorer: Scorer, policy: Policy, batching: Batching) -> None:
        self.timings = Timings()
        self._scorer = scorer
        self._batching = batching
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._encoder = Lane[Task, Entry]("encoder", ("encode",), batching, self._ask, self._inbox.put)
        self._models = Lane[Task, Entry](
            "models", ("resonance", "regeneration", "bridge"), batching, self._ask, self._inbox.put
        )
        self._lockstep = Lockstep(policy, self.timings, self._send)
        self._room = threading.Semaphore(batching.open_scenes)
        self._stopping = threading.Event()
        self._log_error: BaseException | None = None
        self._in_order: deque[Entry] = deque()

    @property
    def rows(self) -> RowStore:
        """The sensitivity rows as they stand."""
        return self._lockstep.rows

    def run(self, items: Iterable[Item]) -> Generator[Outcome, None, None]:
        """Yield the outcome of every item, in the order of the log.

        An exception of the models is raised here at once; one of the log when all that was read before it is settled.
        """
        if self._stopping.is_set():
            raise RuntimeError("this runtime has had its log: it runs once, so make another")
        reader = threading.Thread(target=self._read, args=(items,), name="log-reader", daemon=True)
        reading = True
        try:
            reader.start()
            while reading or self._in_order:
                self._encoder.dispatch(patient=reading)
                self._models.dispatch(patient=False)
                for message in self._receive(reading=reading):
                    reading = not self._take(message) and reading
                yield from self._settled()
            if self._log_error is not None:
                raise self._log_error
        finally:
            self._stopping.set()
            self._room.release()
            self._encoder.close()
            self._models.close()

    def _read(self, items: Iterable[Item]) -> None:
        error: BaseException | None = None
        try:
            for item in items:
                self._room.acquire()
                if self._stopping.is_set():
                    return
                self._inbox.put(_Arrived(item))
        except BaseException as caught:  # noqa: BLE001 - raised again in the thread that runs the stages
            error = caught
        self._inbox.put(_Ended(error))

    def _receive(self, *, reading: bool) -> Iterator[_Message]:
        """Wait for one message (as long as a batch may wait to fill), then take what else is there."""
        idle = self._encoder.idle and self._models.idle
        timeout = self._batching.max_wait_ms / 1000 if self._encoder.filling and idle else None
        try:
            yield self._inbox.get(timeout=timeout) if reading or not idle else self._inbox.get_nowait()
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def _take(self, message: _Message) -> bool:
        """Take a message in; return whether the log has ended."""
        match message:
            case _Arrived(item):
                entry = Entry(item)
                self._in_order.append(entry)
                self._lockstep.arrive(entry)
                if isinstance(item.event, Scene):
                    self._encoder.put("encode", entry)
            case _Ended():
                self._log_error = message.error
            case Finished():
                message.lane.done()
                if message.error is not None:
                    raise message.error
                for entry, result in zip(message.entries, message.results, strict=True):
                    self._finish(entry, result)
        return isinstance(message, _Ended)

    def _finish(self, entry: Entry, result: object) -> None:
        match result:
            case Encoded():
                entry.encoded = result
                self._models.put("resonance", entry)
            case Reading():
                self._lockstep.read(entry, result)
            case Rendering():
                self._lockstep.rendered(entry, result)
            case tuple():
                self._lockstep.bridged(entry, cast("tuple[Candidate, ...]", result))

    def _send(self, stage: Stage, entry: Entry) -> None:
        self._models.put(cast("Task", stage), entry)

    def _ask(self, task: Task, entries: Sequence[Entry]) -> Callable[[], Sequence[object]]:
        """Return the call of the models for a batch; what it needs of the rows is read now, in this thread."""
        ask: Callable[[], Sequence[object]]
        match task:
            case "encode":
                scenes = [cast("Scene", entry.item.event) for entry in entries]
                ask = lambda: self._scorer.encode(scenes)  # noqa: E731 - a call to be made in another thread
            case "resonance":
                encoded = [entry.scene() for entry in entries]
                ask = lambda: self._scorer.read(encoded)  # noqa: E731
            case "regeneration" | "bridge":
                wishes = [self._lockstep.wish(entry, task) for entry in entries]
                heal = self._scorer.render if task == "regeneration" else self._scorer.bridge
                ask = lambda: heal(wishes)  # noqa: E731
        return self._timed(f"models.{'read' if task == 'resonance' else task}", len(entries), ask)

    def _timed(self, name: str, scenes: int, ask: Callable[[], Sequence[object]]) -> Callable[[], Sequence[object]]:
        def call() -> Sequence[object]:
            with self.timings.measure(name, scenes):
                return ask()

        return call

    def _settled(self) -> Iterator[Outcome]:
        while self._in_order and self._in_order[0].outcome is not None:
            outcome = self._in_order.popleft().outcome
            self._room.release()
            if outcome is not None:
                yield outcome
