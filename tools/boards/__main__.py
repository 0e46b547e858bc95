"""Write the boards' JSON to where Grafana is provisioned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tools.boards.dialogues import DIALOGUES
from tools.boards.lag import LAG
from tools.boards.render import render

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"


def texts() -> Mapping[str, str]:
    """Return {file name: JSON} of all boards."""
    return {f"{board.uid}.json": json.dumps(render(board), indent=1) + "\n" for board in (LAG, DIALOGUES)}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
