"""Ids for those who may not know whose they are: the same id has the same mask, and only who has the salt can tell."""

from __future__ import annotations

import hashlib


def mask(name: str, salt: bytes) -> str:
    """Return what stands for an id: eight hex digits, the same for the same salt (at most 64 bytes)."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4, key=salt).hexdigest()
