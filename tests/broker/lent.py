"""A broker for as long as a block lasts; without one tests are skipped loudly, and with CI=true they fail."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka_server import Broker, BrokerError


@contextmanager
def lent(find: Callable[[Path], Broker]) -> Iterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="scenestream-kafka-"))
    broker: Broker | None = None
    try:
        try:
            broker = find(folder)
            broker.start()
        except BrokerError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI runs the broker's tests, and there is no broker: {error}")
            pytest.skip(f"NO BROKER, NOT TESTED: {error}")
        yield broker
    finally:
        if broker is not None:
            broker.close()
        shutil.rmtree(folder, ignore_errors=True)


def needs_java(what: str) -> None:
    """Skip a test of a broker with settings of its own where none can be a child process; with CI=true fail it."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI has no Java and Maven, so this is not {what}")
        pytest.skip(f"NO JAVA AND MAVEN, NOT {what.upper()}")
