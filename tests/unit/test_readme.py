from __future__ import annotations

import re

import pytest
from typer.main import get_command

from streams.cli.app import app
from tools.readme import README, WORKED_EXAMPLE, fill, from_sources

TEXT = README.read_text(encoding="utf-8")


def test_the_map_the_figures_and_the_data_are_those_of_the_code_and_the_manifest() -> None:
    assert fill(TEXT, from_sources()) == TEXT, "run `make readme` and commit what it writes"


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`scenestream ([a-z]+)", TEXT))))
def test_every_command_that_the_readme_names_exists(line: str) -> None:
    assert line in get_command(app).commands  # type: ignore[attr-defined]


def test_the_worked_example_is_the_one_that_is_tested() -> None:
    for said in WORKED_EXAMPLE:
        assert f'--context "{said}"' in TEXT
