"""`python -m models.training`: train and export everything, measure it, and write the manifest."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from models.errors import ModelError
from models.training import (
    decomposition_train,
    evaluate,
    gain_train,
    heads_train,
    lexicon_build,
    registers_train,
    towers_train,
)
from models.training.tables import print_figures
from models.training.write_manifest import write_manifest

Step = Callable[[Path, Path, Path, int], Mapping[str, float]]

# In this order, for each builds on the ones before it.
STEPS: Mapping[str, Step] = {
    "lexicon": lexicon_build.run,
    "decomposition": decomposition_train.run,
    "registers": registers_train.run,
    "towers": towers_train.run,
    "heads": heads_train.run,
    "gain": gain_train.run,
    "evaluate": evaluate.run,
}
SEED = 7
ARTIFACTS = Path(__file__).resolve().parents[1] / "artifacts"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main() -> int:
    """Run the steps that were asked for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the corpora (default: ../shared/data)")
    parser.add_argument(
        "--out", type=Path, default=ARTIFACTS, help="where the artifacts go (default: models/artifacts)"
    )
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "scenestream" / "training")
    parser.add_argument("--only", action="append", choices=list(STEPS), help="run this step alone; may be repeated")
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    if not asked.data.is_dir():
        print(f"{asked.data} is no folder. Point --data at the folder of the corpora.", file=sys.stderr)
        return 2
    asked.out.mkdir(parents=True, exist_ok=True)
    asked.cache.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    try:
        for name in asked.only or list(STEPS):
            began = time.monotonic()
            print(f"{name} …", flush=True)
            figures |= STEPS[name](asked.data, asked.out, asked.cache, asked.seed)
            print(f"{name} done in {time.monotonic() - began:.0f} s", flush=True)
        write_manifest(asked.out, asked.cache, asked.seed, figures)
    except ModelError as failure:
        print(failure, file=sys.stderr)
        return 2
    print_figures(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
