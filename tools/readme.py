"""Fill the README's generated blocks: the map, the figures and the data from what they are printed from.

`python -m tools.readme` writes them; a test compares. `--run` also takes what commands print, as a user sees it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from streams.cli.figures import headlines
from streams.topology import draw, mermaid

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
MANIFEST = ROOT / "models" / "artifacts" / "manifest.json"
SHOWN_SCENE = "tobias-dentist:9"
WORKED_EXAMPLE = (
    "I wake before the house does. Good morning, I suppose.",
    "Good morning. Is there tension, or can you take a step?",
    "Tight shoulders, a cold floor. And then the first step.",
)
PROGRAM = str(Path(sys.executable).parent / "scenestream")


def from_sources() -> dict[str, str]:
    """Return the blocks that follow from the code and the manifest alone."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    metrics: Mapping[str, float] = manifest["metrics"]
    return {
        "topology": f"```\n{draw()}\n```\n\n```mermaid\n{mermaid()}\n```",
        "figures": _figures(metrics),
        "controls": _controls(metrics),
        "data": "\n".join(["| data | licence and source |", "|---|---|", *_licences(manifest["trained_on"])]),
    }


def from_commands() -> dict[str, str]:
    """Return the blocks that show what commands print, run in the checkout on a terminal of 100 columns."""
    demo = _run("make", "--silent", "demo")
    live = _run("make", "--silent", "demo-live")
    healed = _run(PROGRAM, "explain", "runs/demo", SHOWN_SCENE)
    said = [word for text in WORKED_EXAMPLE for word in ("--context", text)]
    alive = _run(PROGRAM, "explain", "--memory", "runs/memory", "--chain", "вход + дрожь + неясность", *said)
    shown = " \\\n    ".join(f'--context "{text}"' for text in WORKED_EXAMPLE)
    command = f"scenestream explain --memory runs/memory --chain 'вход + дрожь + неясность' \\\n    {shown}"
    return {
        "live": f"```\n$ make demo-live\n{live}\n```",
        "demo": f"```\n$ make demo\n{demo}\n```",
        "healing": f"```\n$ scenestream explain runs/demo {SHOWN_SCENE}\n{healed}\n```",
        "example": f"```\n$ {command}\n{alive}\n```",
    }


def fill(text: str, blocks: Mapping[str, str]) -> str:
    """Return `text` with each named block put between its marks; raises LookupError where the marks are missing."""
    for name, block in blocks.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not marks.search(text):
            raise LookupError(f"{README.name} has no place for the block {name}")
        text = marks.sub(lambda found, block=block: f"{found[1]}{block}\n{found[2]}", text)  # type: ignore[misc]
    return text


def _figures(metrics: Mapping[str, float]) -> str:
    lines = ["On dialogues that nothing was trained on:", "", "| figure | value |", "|---|---|"]
    return "\n".join([*lines, *(f"| {label} | {values} |" for label, values in headlines(metrics))])


def _controls(metrics: Mapping[str, float]) -> str:
    names = ("precision", "unhealed", "lower_theta", "random_swaps", "echo", "length", "cosine", "coverage")
    lines = [
        "",
        "Share of scenes within cosine .30 of the true next turn, healed and by what would have cost nothing, for the same",
        "number of scenes let through; equal mix of all kinds of spoiling, dialogues that nothing was trained on:",
        "",
        "| route | " + " | ".join(("healed", *names[1:])).replace("_", " ") + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for route, label in (
        ("regeneration", "regeneration"),
        ("bridge", "bridge"),
        ("bridge_memory", "bridge with a memory"),
    ):
        lines.append(f"| {label} | " + " | ".join(_number(metrics[f"{route}_{name}"]) for name in names) + " |")
    return "\n".join(lines)


def _licences(trained_on: Mapping[str, str]) -> list[str]:
    return [f"| {name} | {licence} |" for name, licence in trained_on.items()]


def _number(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _run(*command: str) -> str:
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    lines = [line.rstrip().replace(f"{Path.home()}", "~") for line in done.stdout.splitlines()]
    return "\n".join(lines).strip("\n")


def main() -> None:
    """Write the blocks into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", action="store_true", help="run the commands whose output is shown, too")
    options = parser.parse_args()
    blocks = from_sources() | (from_commands() if options.run else {})
    README.write_text(fill(README.read_text(encoding="utf-8"), blocks), encoding="utf-8")


if __name__ == "__main__":
    main()
