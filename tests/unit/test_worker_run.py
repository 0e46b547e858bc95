from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import (
    InvalidSessionTimeoutError,
    InvalidTransactionTimeout,
    KafkaError,
    ProducerFenced,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from streams.kafka.assignment import AssignmentError
from streams.kafka.clients import BrokerAway
from streams.kafka.patience import SettingError
from streams.kafka.records import HandlerError
from streams.kafka.suspects import Hung
from streams.kafka.topics_admin import TopicError
from streams.runtimes import worker_run
from streams.runtimes.worker_rows import RowError
from streams.runtimes.worker_run import Worker, code_of
from streams.runtimes.worker_watch import Stalled


def wrapped(reason: Exception) -> KafkaError:
    """Return an error as aiokafka raises it: with its reason behind it."""
    error = KafkaError("unexpected error during batch delivery")
    error.__cause__ = reason
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TopicError("a topic is missing"), 2),
        (AssignmentError("not alike"), 2),
        (RowError("newer"), 2),
        (BrokerAway("authentication failed"), 2),
        (wrapped(SaslAuthenticationFailed()), 2),
        (wrapped(TopicAuthorizationFailedError()), 2),
        (InvalidSessionTimeoutError(), 2),
        (wrapped(InvalidTransactionTimeout()), 2),
        (SettingError("too long"), 2),
        (ProducerFenced(), 3),
        (wrapped(ProducerFenced()), 3),
        (HandlerError("all fail"), 3),
        (ZeroDivisionError(), 3),
        (Hung("no answer"), 5),
        (Stalled("no progress"), 6),
    ],
    ids=repr,
)
def test_the_exit_code_says_whether_to_start_again(error: Exception, code: int) -> None:
    assert code_of(error) == code


def test_a_worker_that_faust_stops_has_a_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    overdue = threading.Event()
    monkeypatch.setattr(worker_run, "_overdue", lambda _: overdue.set())
    monkeypatch.setattr(faust.Worker, "on_worker_shutdown", lambda _: None)
    worker: Any = object.__new__(Worker)
    worker._live = SimpleNamespace(groups=SimpleNamespace(draining=False), threads=())
    worker._drain_timeout_seconds = 0.01
    worker.on_worker_shutdown()
    assert worker._live.groups.draining
    assert overdue.wait(10)


STUCK = """
import sys, threading, time
from streams.runtimes import worker_run
from streams.runtimes.worker_watch import Stalled
worker_run._END_WITHIN_SECONDS = 0.2
def say():
    while True:
        print("x" * 100_000, flush=True)
threading.Thread(target=say, daemon=True).start()
time.sleep(0.2)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"), [("worker_run.fail(Stalled('no progress'))", 6), ("worker_run._overdue(1.0)", 4)]
)
def test_a_process_whose_words_nobody_reads_ends_all_the_same(end: str, code: int) -> None:
    """A full pipe: whoever writes to it waits for ever, and keeps all others from writing."""
    with subprocess.Popen(
        [sys.executable, "-c", STUCK.format(end=end)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as stuck:
        try:
            assert stuck.wait(30) == code
        finally:
            stuck.kill()
