"""The sha256 of files: by it models, artifacts and bases vouch for what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Give the hexadecimal sha256 of a file; raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def matches(path: Path, digest: str) -> bool:
    """Say whether the file is there, can be read and has this sha256."""
    try:
        return sha256_of(path) == digest
    except OSError:
        return False
