"""What a memory base looks like on disk: arrays that are mapped, not read, and a manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.errors import ModelError

FORMAT = 1
MANIFEST_FILE = "manifest.json"
CODES_PER_CHAIN = 5

CONTEXTS = "contexts.npy"
NEXT_TURNS = "next_turns.npy"
CODES = "codes.npy"
WEIGHTS = "weights.npy"
DIALOGUES = "dialogues.npy"
TEXT_ENDS = "text_ends.npy"
TEXTS = "texts.bin"


@dataclass(frozen=True, slots=True)
class MemoryManifest:
    """What a base was built from and holds; `files` gives the sha256 of each file."""

    format: int
    entries: int
    dim: int
    with_texts: bool
    encoder_sha256: str
    lexicon_sha256: str
    files: dict[str, str]


def dialogue_key(dialogue_id: str) -> int:
    """Give the 64 bits of sha256 that stand for a dialogue in a base, which so holds no ids of its own."""
    return int.from_bytes(hashlib.sha256(dialogue_id.encode()).digest()[:8], "little")


def array_types(dim: int) -> dict[str, tuple[np.dtype[np.generic], tuple[int, ...]]]:
    """Give, for each array file, its type and the shape of one entry."""
    return {
        CONTEXTS: (np.dtype(np.float32), (dim,)),
        NEXT_TURNS: (np.dtype(np.float16), (dim,)),
        CODES: (np.dtype(np.int16), (CODES_PER_CHAIN,)),
        WEIGHTS: (np.dtype(np.float16), (CODES_PER_CHAIN,)),
        DIALOGUES: (np.dtype(np.uint64), ()),
        TEXT_ENDS: (np.dtype(np.uint64), ()),
    }


def write_manifest(folder: Path, manifest: MemoryManifest) -> None:
    """Write the manifest, last of all files: a folder without one is no memory base."""
    (folder / MANIFEST_FILE).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> MemoryManifest:
    """Read the manifest; raises ModelError when there is none, or one of another format."""
    path = folder / MANIFEST_FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        manifest = MemoryManifest(**told)
    except (OSError, ValueError, TypeError) as failure:
        raise ModelError(
            f"{folder} is no memory base: its {MANIFEST_FILE} is missing or cannot be read. "
            "Build one with `scenestream memory build LOG... --out DIR`."
        ) from failure
    if manifest.format != FORMAT:
        raise ModelError(
            f"The memory base {folder} has format {manifest.format}; this version reads {FORMAT}. "
            "Build it again with `scenestream memory build`."
        )
    return manifest
