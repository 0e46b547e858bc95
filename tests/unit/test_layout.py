from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN = [path for name in ("schemas", "models", "streams") for path in sorted((ROOT / name).rglob("*.py"))]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_one_idea(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 320, "mostly under 250 lines: find the second idea and give it a room of its own"


@pytest.mark.parametrize("stage", sorted((ROOT / "streams" / "stages").glob("*.py")), ids=lambda path: path.name)
def test_stages_have_no_clock_no_chance_and_no_world(stage: Path) -> None:
    for line in stage.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] in (["import"], ["from"]):
            assert words[1].split(".")[0] not in {
                "time",
                "datetime",
                "random",
                "os",
                "pathlib",
                "asyncio",
                "structlog",
                "models",
            }
