"""One broker for all tests that ask for it; without one they are skipped loudly, and with CI=true they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka_server import Broker, find_broker, own_broker
from lent import lent

# Models that know nothing, and logs made by seed.
sys.path.append(str(Path(__file__).parents[1] / "contract"))


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker to send to; it may be somebody else's, so name your own topics."""
    with lent(find_broker) as one:
        yield one


@pytest.fixture
def own() -> Iterator[Broker]:
    """A broker of this test alone, which may be stopped, killed and started again."""
    with lent(own_broker) as one:
        yield one
