"""The embedded runtime: the whole pipeline in one process, without a broker, deterministic.

Four threads: one reads the log, one owns the encoder, one the other models, and this one runs the stages. What the
models say of a fresh scene does not depend on its key's row, so scenes of all keys go to them in batches as they come;
each key's events are then decided strictly one after the other, a scene with its healing being final before the key's
next event.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Literal

from schemas.dead import DeadLetter
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.names import Origin
from schemas.scene import Scene
from streams.replay.items import Item
from streams.runtimes.rows import RowStore
from streams.runtimes.timings import Timings
from streams.scoring.port import Encoded, Scorer, Wish
from streams.stages import admit, bridge, preferences, regeneration, resonance, rows, threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from streams.stages.reading import Candidate, Reading, Rendering
from streams.stages.threshold import Outcome as FeedbackOutcome
from streams.topology import Stage, goes_to, reader_of

# What is done with batches: texts are encoded once, then come the stages that ask the models.
Task = Literal["encode", "resonance", "regeneration", "bridge"]
_ENCODER_TASKS: tuple[Task, ...] = ("encode",)
_MODEL_TASKS: tuple[Task, ...] = ("resonance", "regeneration", "bridge")
# One batch runs while the next one waits, so that a thread never idles while the stages run.
_JOBS_IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class Batching:
    """Scenes in a micro-batch at most, how long it waits to fill, and scenes read ahead of the oldest open one."""

    max_batch: int
    max_wait_ms: float
    open_scenes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of the log: decisions of a scene, what feedback came to, or a dead letter."""

    item: Item
    decisions: tuple[Decision, ...] = ()
    feedback: FeedbackOutcome | None = None
    dead: DeadLetter | None = None


@dataclass(slots=True, eq=False)
class _Open:
    """An item on its way through, from the log to its outcome."""

    item: Item
    encoded: Encoded | None = None
    reading: Reading | None = None
    decisions: list[Decision] = field(default_factory=list)
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class _Arrived:
    item: Item


@dataclass(frozen=True, slots=True)
class _Finished:
    task: Task
    work: Sequence[_Open]
    results: Sequence[object]
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class _Ended:
    error: BaseException | None


class EmbeddedRuntime:
    """Runs the stages over a log; `rows` and `timings` may be looked at when it is done."""

    def __init__(self, scorer: Scorer, policy: Policy, batching: Batching) -> None:
        self.rows = RowStore()
        self.timings = Timings()
        self._scorer = scorer
        self._policy = policy
        self._batching = batching
        self._inbox: SimpleQueue[_Arrived | _Finished | _Ended] = SimpleQueue()
        self._room = threading.Semaphore(batching.open_scenes)
        self._stopping = threading.Event()
        self._in_order: deque[_Open] = deque()
        self._keys: dict[str, deque[_Open]] = {}
        self._waiting: dict[Task, deque[_Open]] = {task: deque() for task in (*_ENCODER_TASKS, *_MODEL_TASKS)}
        self._in_flight: Counter[Task] = Counter()
        self._oldest_arrival_seconds = 0.0

    def run(self, items: Iterable[Item]) -> Iterator[Outcome]:
        """Yield the outcome of every item, in the order of the log; an exception in a thread is raised here."""
        reader = threading.Thread(target=self._read, args=(items,), name="log-reader", daemon=True)
        ended = False
        encoder = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        models = ThreadPoolExecutor(1, thread_name_prefix="models")
        try:
            reader.start()
            while not ended or self._in_order:
                self._dispatch(encoder, _ENCODER_TASKS, patient=not ended)
                self._dispatch(models, _MODEL_TASKS, patient=False)
                for message in self._receive(ended=ended):
                    ended = self._take(message) or ended
                yield from self._settled()
        finally:
            self._stopping.set()
            self._room.release()
            encoder.shutdown(cancel_futures=True)
            models.shutdown(cancel_futures=True)

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

    def _receive(self, *, ended: bool) -> Iterator[_Arrived | _Finished | _Ended]:
        """Wait for one message (as long as a waiting batch may wait to fill up), then take what else is there."""
        idle = self._in_flight.total() == 0
        try:
            if ended and idle:
                yield self._inbox.get_nowait()
            else:
                wait = self._batching.max_wait_ms / 1000 if idle and self._waiting["encode"] else None
                yield self._inbox.get(timeout=wait)
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def _take(self, message: _Arrived | _Finished | _Ended) -> bool:
        match message:
            case _Arrived(item):
                self._arrive(_Open(item))
            case _Finished(task, work, results, error):
                self._in_flight[task] -= 1
                if error is not None:
                    raise error
                for entry, result in zip(work, results, strict=True):
                    self._finish(task, entry, result)
            case _Ended(error):
                if error is not None:
                    raise error
                return True
        return False

    def _arrive(self, entry: _Open) -> None:
        self._in_order.append(entry)
        event = entry.item.event
        if isinstance(event, Refusal):
            entry.outcome = Outcome(entry.item, dead=entry.item.where.dead(event))
            return
        if isinstance(event, Scene):
            if not self._waiting["encode"]:
                self._oldest_arrival_seconds = time.monotonic()
            self._waiting["encode"].append(entry)
        line = self._keys.setdefault(event.key, deque())
        line.append(entry)
        if len(line) == 1:
            self._advance(event.key)

    def _finish(self, task: Task, entry: _Open, result: object) -> None:
        match result:
            case Encoded():
                entry.encoded = result
                self._waiting["resonance"].append(entry)
            case Reading():
                entry.reading = result
                key = _encoded(entry).scene.key
                if self._keys[key][0] is entry:
                    self._advance(key)
            case Rendering():
                self._go_on(
                    entry, regeneration.regenerate(_encoded(entry).scene, result), goes_to(_stage(task), "healed")
                )
            case tuple():
                candidates: tuple[Candidate, ...] = result
                healed = bridge.bridge(_encoded(entry).scene, candidates, self._policy.routes)
                self._go_on(entry, healed, goes_to(_stage(task), "healed"))

    def _go_on(self, entry: _Open, scene: Scene, topic: str) -> None:
        """Put the scene where the map says: among those that wait for whoever reads `topic`."""
        entry.encoded = replace(_encoded(entry), scene=scene)
        self._waiting[_task(reader_of(topic))].append(entry)

    def _advance(self, key: str) -> None:
        """Decide the key's events one after the other, as far as they can be decided now."""
        line = self._keys[key]
        while line:
            entry = line[0]
            event = entry.item.event
            if isinstance(event, Feedback):
                self._tune(entry, event)
            elif entry.reading is None or not self._judge(entry, entry.reading):
                return
            line.popleft()
        del self._keys[key]

    def _tune(self, entry: _Open, feedback: Feedback) -> None:
        with self.timings.measure("threshold"):
            tuned = threshold.tune(self.rows.get(feedback.key), feedback, self._policy.gate)
            self.rows.put(tuned.row)
        dead = entry.item.where.dead(admit.unknown_scene(feedback)) if tuned.outcome == "unknown" else None
        entry.outcome = Outcome(entry.item, feedback=tuned.outcome, dead=dead)

    def _judge(self, entry: _Open, reading: Reading) -> bool:
        """Judge the scene of `entry`; return whether that was final."""
        scene = _encoded(entry).scene
        entry.reading = None
        with self.timings.measure("resonance"):
            row = self.rows.get(scene.key)
            if scene.origin is Origin.FRESH:
                refusal = admit.place(scene, rows.dialogue_of(row, scene.dialogue_id))
                if refusal is not None:
                    entry.outcome = Outcome(entry.item, dead=entry.item.where.dead(refusal))
                    return True
                row = resonance.offer(row, scene, self._policy)
            judged = resonance.judge(scene, reading, row, self._policy)
            self.rows.put(judged.row)
        entry.decisions.append(judged.decision)
        if judged.onward is None:
            entry.outcome = Outcome(entry.item, decisions=tuple(entry.decisions))
            return True
        self._go_on(entry, judged.onward, goes_to("resonance", judged.decision.verdict.value))
        return False

    def _dispatch(self, thread: ThreadPoolExecutor, tasks: Sequence[Task], *, patient: bool) -> None:
        """Give a thread the fullest of its waiting batches, and a full one more to go on with."""
        while True:
            task = max(tasks, key=lambda name: len(self._waiting[name]))
            waiting = self._waiting[task]
            full = len(waiting) >= self._batching.max_batch
            in_flight = sum(self._in_flight[name] for name in tasks)
            if (
                not waiting
                or in_flight >= _JOBS_IN_FLIGHT
                or (not full and (in_flight or (patient and self._may_fill())))
            ):
                return
            work = [waiting.popleft() for _ in range(min(len(waiting), self._batching.max_batch))]
            self._in_flight[task] += 1
            thread.submit(self._work, task, work, self._ask(task, work))

    def _may_fill(self) -> bool:
        return (time.monotonic() - self._oldest_arrival_seconds) * 1000 < self._batching.max_wait_ms

    def _ask(self, task: Task, work: Sequence[_Open]) -> Callable[[], Sequence[object]]:
        match task:
            case "encode":
                scenes = [entry.item.event for entry in work if isinstance(entry.item.event, Scene)]
                return lambda: self._scorer.encode(scenes)
            case "resonance":
                encoded = [_encoded(entry) for entry in work]
                return lambda: self._scorer.read(encoded)
            case "regeneration":
                switches = [self._wish(_encoded(entry), switch=True) for entry in work]
                return lambda: self._scorer.render(switches)
            case "bridge":
                wishes = [self._wish(_encoded(entry), switch=False) for entry in work]
                return lambda: self._scorer.bridge(wishes)

    def _wish(self, encoded: Encoded, *, switch: bool) -> Wish:
        scene = encoded.scene
        row = self.rows.get(scene.key)
        codes = preferences.codes_wanted(row, rows.dialogue_of(row, scene.dialogue_id), self._policy.gate.codes)
        return Wish(encoded, regeneration.choose_register(scene, row) if switch else scene.register, codes)

    def _work(self, task: Task, work: Sequence[_Open], call: Callable[[], Sequence[object]]) -> None:
        results: Sequence[object] = ()
        error: BaseException | None = None
        try:
            with self.timings.measure(f"models.{'read' if task == 'resonance' else task}", len(work)):
                results = call()
        except BaseException as caught:  # noqa: BLE001 - raised again in the thread that runs the stages
            error = caught
        self._inbox.put(_Finished(task, work, results, error))

    def _settled(self) -> Iterator[Outcome]:
        while self._in_order and self._in_order[0].outcome is not None:
            outcome = self._in_order.popleft().outcome
            self._room.release()
            if outcome is not None:
                yield outcome


def _encoded(entry: _Open) -> Encoded:
    if entry.encoded is None:
        raise LookupError("a scene reached a stage before the encoder")
    return entry.encoded


def _task(stage: Stage | None) -> Task:
    if stage is None or stage == "threshold":
        raise LookupError(f"a scene that is not final has nowhere to go ({stage}); see streams/topology.py")
    return stage


def _stage(task: Task) -> Stage:
    if task == "encode":
        raise LookupError("encoding is no stage of the map")
    return task
