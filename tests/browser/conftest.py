"""The page is watched over a real Kafka too: what the broker's tests stand on is at hand here."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
sys.path += [str(_TESTS / "broker"), str(_TESTS / "contract")]
