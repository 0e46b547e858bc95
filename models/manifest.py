"""The manifest of the artifacts: what every file's sha256 is, what it was made from, and what was measured on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import ModelError

MANIFEST_FILE = "manifest.json"
FORMAT = 1
# A person may replace these: adapters while a program runs, analogues by hand. Their readers check them instead.
REPLACEABLE = (".onnx_adapter", "analogues.tsv")
ADVICE = "Restore it from the project's release, or run `make models`."


@dataclass(frozen=True, slots=True)
class Manifest:
    """File name -> sha256 of the artifacts, the identity of the encoder that they were trained with, and figures."""

    files: Mapping[str, str]
    encoder_sha256: str
    metrics: Mapping[str, float]


def read_manifest(artifacts: Path) -> Manifest:
    """Read manifest.json of a folder; raises ModelError when it is missing or malformed."""
    path = artifacts / MANIFEST_FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise ModelError(f"{path} has format {told['format']}, where {FORMAT} is read. {ADVICE}")
        files = {str(name): str(entry["sha256"]) for name, entry in told["artifacts"].items()}
        metrics = {str(name): float(figure) for name, figure in told["metrics"].items()}
        return Manifest(files, str(told["encoder_sha256"]), metrics)
    except OSError as failure:
        raise ModelError(f"{path} cannot be read: {failure.strerror or failure}. {ADVICE}") from failure
    except (ValueError, KeyError, TypeError, AttributeError) as failure:
        raise ModelError(f"{path} is no manifest of ours ({failure}). {ADVICE}") from failure


def verify(artifacts: Path) -> tuple[Manifest, dict[str, str]]:
    """Check every artifact against the manifest; gives the manifest, and file name -> sha256 as found.

    Raises ModelError for a file that is missing or is not the one that was trained. Adapters and analogues.tsv must be
    there but may differ, for they are meant to be replaced.
    """
    manifest = read_manifest(artifacts)
    found = {}
    for name, digest in manifest.files.items():
        path = artifacts / name
        try:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as failure:
            raise ModelError(f"{path} cannot be read: {failure.strerror or failure}. {ADVICE}") from failure
        if found[name] != digest and not name.endswith(REPLACEABLE):
            raise ModelError(
                f"{path} is corrupt or foreign: its sha256 is {found[name][:12]}…, where {MANIFEST_FILE} says "
                f"{digest[:12]}…. {ADVICE}"
            )
    return manifest, found
