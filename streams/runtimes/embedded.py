"""The embedded runtime: the whole pipeline in one process, without a broker, deterministic.

Three threads: one reads the log, one owns the models, and this one runs the stages. Scenes of all keys are read by the
models in batches as they come, for what the models say does not depend on a key's row; each key's events are then
decided strictly one after the other, a scene with its healing being final before the key's next event.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from schemas.dead import DeadLetter
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.names import Origin
from schemas.scene import Scene
from schemas.topics import SCENES
from streams.replay.items import Item
from streams.runtimes.rows import RowStore
from streams.runtimes.timings import Timings
from streams.scoring.port import Scorer, Wish
from streams.stages import admit, bridge, preferences, regeneration, resonance, rows, threshold
from streams.stages.admit import Refusal
from streams.stages.policy import Policy
from streams.stages.reading import Candidate, Reading, Rendering
from streams.stages.threshold import Outcome as FeedbackOutcome
from streams.topology import Stage, goes_to, reader_of

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
    scene: Scene | None = None
    reading: Reading | None = None
    decisions: list[Decision] = field(default_factory=list)
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class _Arrived:
    item: Item


@dataclass(frozen=True, slots=True)
class _Finished:
    stage: Stage
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
        self._waiting: dict[Stage, deque[_Open]] = {"resonance": deque(), "regeneration": deque(), "bridge": deque()}
        self._in_flight = 0
        self._oldest_arrival_seconds = 0.0

    def run(self, items: Iterable[Item]) -> Iterator[Outcome]:
        """Yield the outcome of every item, in the order of the log; an exception in a thread is raised here."""
        reader = threading.Thread(target=self._read, args=(items,), name="log-reader", daemon=True)
        ended = False
        with ThreadPoolExecutor(1, thread_name_prefix="models") as models:
            reader.start()
            try:
                while not ended or self._in_order:
                    self._dispatch(models, ended)
                    for message in self._receive(ended):
                        ended = self._take(message) or ended
                    yield from self._settled()
            finally:
                self._stopping.set()
                self._room.release()
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

    def _receive(self, ended: bool) -> Iterator[_Arrived | _Finished | _Ended]:  # noqa: FBT001 - private
        """Wait for one message (as long as a waiting batch may wait to fill up), then take what else is there."""
        partly_filled = not ended and self._in_flight == 0 and bool(self._waiting["resonance"])
        try:
            if ended and self._in_flight == 0:
                yield self._inbox.get_nowait()
            else:
                yield self._inbox.get(timeout=self._batching.max_wait_ms / 1000 if partly_filled else None)
            while True:
                yield self._inbox.get_nowait()
        except Empty:
            return

    def _take(self, message: _Arrived | _Finished | _Ended) -> bool:
        match message:
            case _Arrived(item):
                self._arrive(_Open(item))
            case _Finished(stage, work, results, error):
                self._in_flight -= 1
                if error is not None:
                    raise error
                for entry, result in zip(work, results, strict=True):
                    self._finish(stage, entry, result)
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
            entry.scene = event
            if not self._waiting["resonance"]:
                self._oldest_arrival_seconds = time.monotonic()
            self._waiting["resonance"].append(entry)
        line = self._keys.setdefault(event.key, deque())
        line.append(entry)
        if len(line) == 1:
            self._advance(event.key)

    def _finish(self, stage: Stage, entry: _Open, result: object) -> None:
        scene = entry.scene
        assert scene is not None  # noqa: S101 - only scenes are sent to the models
        match result:
            case Reading():
                entry.reading = result
                if self._keys[scene.key][0] is entry:
                    self._advance(scene.key)
            case Rendering():
                entry.scene = regeneration.regenerate(scene, result)
                self._waiting[_reader(goes_to(stage, "healed"))].append(entry)
            case tuple():
                candidates: tuple[Candidate, ...] = result
                entry.scene = bridge.bridge(scene, candidates, self._policy.routes)
                self._waiting[_reader(goes_to(stage, "healed"))].append(entry)

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
        scene = entry.scene
        assert scene is not None  # noqa: S101 - it was read as a scene
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
        entry.scene = judged.onward
        self._waiting[_reader(goes_to("resonance", judged.decision.verdict.value))].append(entry)
        return False

    def _dispatch(self, models: ThreadPoolExecutor, ended: bool) -> None:  # noqa: FBT001 - private
        """Give the models the fullest of the waiting batches, so that the next one fills while this one runs."""
        while self._in_flight < _JOBS_IN_FLIGHT:
            stage, waiting = max(self._waiting.items(), key=lambda pair: len(pair[1]))
            if not waiting or (self._in_flight > 0 and len(waiting) < self._batching.max_batch):
                return
            if stage == "resonance" and not ended and self._may_still_fill(len(waiting)):
                return
            work = [waiting.popleft() for _ in range(min(len(waiting), self._batching.max_batch))]
            self._in_flight += 1
            models.submit(self._work, stage, work, self._ask(stage, work))

    def _may_still_fill(self, waiting: int) -> bool:
        waited_ms = (time.monotonic() - self._oldest_arrival_seconds) * 1000
        return waiting < self._batching.max_batch and waited_ms < self._batching.max_wait_ms

    def _ask(self, stage: Stage, work: Sequence[_Open]) -> Callable[[], Sequence[object]]:
        scenes = [entry.scene for entry in work if entry.scene is not None]
        match stage:
            case "regeneration":
                wishes = [self._wish(scene, switch=True) for scene in scenes]
                return lambda: self._scorer.render(wishes)
            case "bridge":
                wishes = [self._wish(scene, switch=False) for scene in scenes]
                return lambda: self._scorer.bridge(wishes)
            case _:
                return lambda: self._scorer.read(scenes)

    def _wish(self, scene: Scene, *, switch: bool) -> Wish:
        row = self.rows.get(scene.key)
        codes = preferences.codes_wanted(row, rows.dialogue_of(row, scene.dialogue_id), self._policy.gate.codes)
        return Wish(scene, regeneration.choose_register(scene, row) if switch else scene.register, codes)

    def _work(self, stage: Stage, work: Sequence[_Open], call: Callable[[], Sequence[object]]) -> None:
        name = "models.read" if stage == "resonance" else f"models.{stage}"
        results: Sequence[object] = ()
        error: BaseException | None = None
        try:
            with self.timings.measure(name, len(work)):
                results = call()
        except BaseException as caught:  # noqa: BLE001 - raised again in the thread that runs the stages
            error = caught
        self._inbox.put(_Finished(stage, work, results, error))

    def _settled(self) -> Iterator[Outcome]:
        while self._in_order and self._in_order[0].outcome is not None:
            outcome = self._in_order.popleft().outcome
            self._room.release()
            if outcome is not None:
                yield outcome


def _reader(topic: str) -> Stage:
    stage = reader_of(topic)
    if stage is None:
        raise LookupError(f"no stage reads {topic}; see streams/topology.py ({SCENES} is where healed scenes return)")
    return stage
