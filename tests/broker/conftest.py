"""One broker for all tests that ask for it; without one they are skipped loudly, and with CI=true they fail."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka_server import Broker, BrokerError, find_broker, own_broker

# Models that know nothing, and logs made by seed.
sys.path.append(str(Path(__file__).parents[1] / "contract"))


@contextmanager
def _started(find: Callable[[Path], Broker]) -> Iterator[Broker]:
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


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker to send to; it may be somebody else's, so name your own topics."""
    with _started(find_broker) as one:
        yield one


@pytest.fixture
def own() -> Iterator[Broker]:
    """A broker of this test alone, which may be stopped, killed and started again."""
    with _started(own_broker) as one:
        yield one
