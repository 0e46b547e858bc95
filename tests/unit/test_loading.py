from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["models.memory", "models.encoder", "models.suite", "streams.cli"])
def test_whatever_is_imported_first_the_process_lives(first: str) -> None:
    imports = f"import {first}, models.memory, models.encoder, models.suite"
    assert subprocess.run([sys.executable, "-c", imports], check=False).returncode == 0
