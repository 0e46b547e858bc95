"""Prometheus and promtool for tests; without them tests are skipped loudly, and with CI=true they fail."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`."""
    found = shutil.which(name)
    if found is None:
        missing = f"{name} cannot be found: apt-get install prometheus, or take it from prometheus.io"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI runs the tests of rules and metrics: {missing}")
        pytest.skip(f"NO {name.upper()}, NOT TESTED: {missing}")
    return found


def promtool(*arguments: str, given: bytes | None = None) -> str:
    """Return what promtool says; fails the test where it finds fault."""
    done = subprocess.run([program("promtool"), *arguments], input=given, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said
