"""The watcher: a thread that looks at the cluster again and again, and keeps the newest snapshot for whoever asks."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

import structlog

from streams.kafka.clients import BrokerAway
from streams.ops.lag.cluster import Cluster
from streams.ops.lag.found import Found
from streams.ops.lag.looks import History
from streams.ops.lag.snapshot import Snapshot
from streams.settings import KafkaSettings, OpsSettings

_log = structlog.get_logger(__name__)


class Watched(Protocol):
    """What is looked at."""

    def look(self) -> Found:
        """Return what there is; raises BrokerAway."""

    def close(self) -> None:
        """Let it go."""


class Watcher:
    """Looks every so often, in a thread of its own; where a look fails the last snapshot stands, with the error."""

    def __init__(self, cluster: Watched, ops: OpsSettings) -> None:
        self._cluster = cluster
        self._every_seconds = ops.every_seconds
        self._history = History(ops)
        self._failures = 0
        self._latest: Snapshot | None = None
        self._news = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)

    @classmethod
    def of(cls, kafka: KafkaSettings, ops: OpsSettings, only: str | None = None) -> Self:
        """Return a watcher of this Kafka, or of one group of it; raises BrokerAway for settings no client takes."""
        return cls(Cluster(kafka, ops, only), ops)

    def latest(self) -> Snapshot | None:
        """Return the newest snapshot; None before the first look is over."""
        return self._latest

    def wait_newer(self, than: Snapshot | None, timeout_seconds: float) -> Snapshot | None:
        """Return the first snapshot that is not `than`, or None where none came in time or the watcher ended."""
        with self._news:
            self._news.wait_for(lambda: self._latest is not than or self._ending.is_set(), timeout_seconds)
            return self._latest if self._latest is not than else None

    def look(self) -> Snapshot:
        """Look now, in the caller's thread, and publish what was seen; never raises for a Kafka that is away."""
        try:
            snapshot = self._history.add(self._cluster.look(), self._failures)
        except BrokerAway as error:
            self._failures += 1
            snapshot = self._stale(str(error))
        self._publish(snapshot)
        return snapshot

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking, and wake whoever waits."""
        self._ending.set()
        with self._news:
            self._news.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        self._cluster.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self.look()
            # A fault of ours must not leave people with numbers that silently stand still.
            except Exception as error:  # noqa: BLE001 - as above
                self._failures += 1
                self._publish(self._stale(f"the look itself failed: {error!r}"))
                _log.exception("look_failed")
            self._ending.wait(self._every_seconds)

    def _stale(self, error: str) -> Snapshot:
        last = self._latest
        if last is None:
            now, clock = datetime.now(UTC), time.monotonic()
            last = Snapshot(
                at=now, clock_seconds=clock, cluster="", groups=(), topics=(), took_seconds=0.0, looks=0, failures=0
            )
        return last.model_copy(update={"failures": self._failures, "error": error})

    def _publish(self, snapshot: Snapshot) -> None:
        with self._news:
            self._latest = snapshot
            self._news.notify_all()
