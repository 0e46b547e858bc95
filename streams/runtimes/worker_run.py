"""Running a worker until it is told to stop, and what ends it otherwise."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import traceback
from typing import NoReturn

import faust
import structlog
import uvloop
from aiokafka.errors import KafkaError

from streams.kafka.assignment import AssignmentError
from streams.kafka.beginning import RestoreError
from streams.kafka.clients import BrokerAway
from streams.kafka.partition import LogError
from streams.kafka.patience import SettingError, is_refused, refused_setting
from streams.kafka.records import HandlerError
from streams.kafka.suspects import Hung
from streams.kafka.topics_admin import TopicError
from streams.runtimes.worker import Live, build
from streams.runtimes.worker_rows import RowError
from streams.runtimes.worker_watch import Stalled
from streams.runtimes.worker_web import add_pages
from streams.scoring.port import Scorer
from streams.settings import Settings

_log = structlog.get_logger(__name__)
# Exit codes beside 0: what a person must put right, a batch that failed, a drain that took too long, models that hung,
# and no progress.
WRONG, FAILED, OVERDUE, HUNG, STALLED = 2, 3, 4, 5, 6
# Errors whose message is of Kafka or of ours.
_OUR_WORDS = (KafkaError, OSError, HandlerError, Hung, Stalled, RestoreError, LogError)
# For last words: whoever reads them may have stopped, and a log that is full is waited for.
_END_WITHIN_SECONDS = 5.0
_OBJECTS_A_COLLECTION = 50_000


class Worker(faust.Worker):
    """Faust's worker, which drains within a deadline when it is told to stop."""

    def __init__(self, live: Live, drain_timeout_seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._live = live
        self._drain_timeout_seconds = drain_timeout_seconds
        # Our own logging stands already.
        super().__init__(live.app, override_logging=False, loop=loop, quiet=True)
        self.spinner = None

    def _on_sigterm(self) -> None:
        self._drain()
        super()._on_sigterm()

    def _on_sigint(self) -> None:
        self._drain()
        super()._on_sigint()

    def on_worker_shutdown(self) -> None:
        """End the model threads: what they are asked now will not be committed. There is a deadline in any case."""
        if not self._live.groups.draining:
            # Faust gave up by itself; while a worker drains, its watchdog sleeps.
            self._drain()
        for thread in self._live.threads:
            thread.close()
        super().on_worker_shutdown()

    def _drain(self) -> None:
        self._live.groups.draining = True
        deadline = threading.Timer(self._drain_timeout_seconds, _overdue, (self._drain_timeout_seconds,))
        deadline.daemon = True
        deadline.start()
        _log.info("draining")


def run(settings: Settings, scorer: Scorer, models: dict[str, str]) -> NoReturn:
    """Run a worker; never returns: exits 0 when told to stop, else with the codes above."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)

    def end(error: BaseException) -> None:
        fail(refused_setting(error, settings.kafka) or error)

    live = build(settings, scorer, models, end)
    add_pages(live, settings.web)
    live.watchdog.start(loop)
    _log.info(
        "worker_starts",
        models=models,
        group=settings.kafka.group,
        instance=settings.kafka.instance_id,
        guarantee=settings.kafka.guarantee,
        bootstrap=settings.kafka.bootstrap_servers,
    )
    _collect_seldom()
    Worker(live, settings.kafka.drain_timeout_seconds, loop).execute_from_commandline()


def _collect_seldom() -> None:
    """Look for cycles of garbage less often, and never among what stays for good: models, modules, the app.

    A scene makes thousands of objects and hardly a cycle, so that collections found nothing and took a tenth of the
    processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_A_COLLECTION, 20, 20)


def fail(error: BaseException) -> None:
    """End the process at once: its memory may be ahead of the log, and Kafka still has everything.

    What was sent and not committed is aborted when the next owner of the partition begins, or by its timeout.
    """
    code = code_of(error)
    _end_soon(code)
    if code == WRONG:
        sys.stderr.write(f"scenestream: {error}\n")
    else:
        # What a stage raised may quote a scene, and users' words are not for logs; the suspects' topic has it.
        told = repr(error) if isinstance(error, _OUR_WORDS) else type(error).__name__
        frames = "".join(traceback.format_tb(error.__traceback__))
        _log.critical("worker_fails", error=told, exit_code=code, frames=frames)
    _end(code)


def code_of(error: BaseException) -> int:
    """Return the exit code that says what ended the process."""
    match error:
        case TopicError() | AssignmentError() | RowError() | BrokerAway() | SettingError():
            return WRONG
        case Hung():
            return HUNG
        case Stalled():
            return STALLED
        case _:
            return WRONG if is_refused(error) else FAILED


def _overdue(seconds: float) -> None:
    _end_soon(OVERDUE)
    _log.critical("drain_overdue", seconds=seconds)
    _end(OVERDUE)


def _end_soon(code: int) -> None:
    """End the process in any case, also where nothing more can be said: another thread may hold the log's lock."""
    deadline = threading.Timer(_END_WITHIN_SECONDS, os._exit, (code,))
    deadline.daemon = True
    deadline.start()


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    logging.shutdown()
    os._exit(code)
