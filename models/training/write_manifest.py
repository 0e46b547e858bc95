"""Writing the manifest: what is in the folder of artifacts, what it was made from, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from models.digests import sha256_of
from models.encoder import ensure_built
from models.encoder.encoder import identity
from models.manifest import FORMAT, MANIFEST_FILE
from models.sessions import Runtime
from models.training.data import LICENCES, WORD_LICENCES


def write_manifest(out: Path, cache: Path, seed: int, figures: Mapping[str, float]) -> None:
    """Write manifest.json; figures of steps that did not run this time are kept from the old one."""
    path = out / MANIFEST_FILE
    kept: dict[str, float] = {}
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8")).get("metrics", {})
    files = sorted(entry for entry in out.iterdir() if entry.is_file() and entry.name != MANIFEST_FILE)
    told = {
        "format": FORMAT,
        "encoder_sha256": identity(ensure_built(cache / "encoder", Runtime("cpu", 1))),
        "seed": seed,
        "trained_on": {**LICENCES, **WORD_LICENCES},
        "class_mix": "half true next turns, half spoilt: random, other_turn, generic, shattered, offtopic, echo alike",
        "artifacts": {entry.name: {"sha256": sha256_of(entry), "bytes": entry.stat().st_size} for entry in files},
        "metrics": {name: round(float(figure), 4) for name, figure in sorted({**kept, **figures}.items())},
    }
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    scratch.replace(path)
