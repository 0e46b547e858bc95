"""Chaos: faults that a cluster sees, while scenes and feedback flow; `make chaos`."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
# Models that know nothing and the builders of events, which the other tests have from pytest.
sys.path += [str(folder) for folder in (_TESTS, _TESTS / "contract") if str(folder) not in sys.path]
