"""Building a memory base: entries come in chunks, so that a log of any length needs the memory of one chunk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.arrays import FloatArray, IntArray
from models.digests import sha256_of
from models.errors import ModelError
from models.memory.layout import (
    CODES,
    CODES_PER_CHAIN,
    CONTEXTS,
    DIALOGUES,
    FORMAT,
    MANIFEST_FILE,
    NEXT_TURNS,
    TEXT_ENDS,
    TEXTS,
    WEIGHTS,
    MemoryManifest,
    array_types,
    dialogue_key,
    write_manifest,
)


@dataclass(frozen=True, slots=True, eq=False)
class MemoryEntries:
    """A chunk of accepted scenes.

    `contexts` (n, d) are their context vectors and `next_turns` (n, d) the unit embeddings of what was said then;
    `codes` (n, 5) with -1 for padding and `weights` (n, 5) are the chain of what was said; `dialogue_ids` (n,) say
    whose they are; `texts` (n,) are the words, or None to keep none.
    """

    contexts: FloatArray
    next_turns: FloatArray
    codes: IntArray
    weights: FloatArray
    dialogue_ids: tuple[str, ...]
    texts: tuple[str, ...] | None = None


def build_memory(
    out: Path, chunks: Iterable[MemoryEntries], *, dim: int, encoder_sha256: str, lexicon_sha256: str, with_texts: bool
) -> int:
    """Write a memory base into the folder `out` and give its number of entries.

    A scene without context (a zero vector) is left out, for nothing is like it. The base appears whole or not at all,
    and takes the place of an older one. Raises ModelError when `out` holds something else or cannot be written, and
    ValueError when the arrays of a chunk do not fit each other.
    """
    out = out.absolute()
    if out.exists() and not (out / MANIFEST_FILE).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} holds something that is no memory base. Choose a new or an empty folder with --out.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            entries = _write(scratch, chunks, dim, encoder_sha256, lexicon_sha256, with_texts=with_texts)
            scratch.chmod(0o755)
            if out.exists():
                shutil.rmtree(out)
            scratch.replace(out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as failure:
        raise ModelError(
            f"The memory base cannot be written to {out}: {failure.strerror or failure}. "
            "Make room there (2.4 kB an entry), or choose another folder with --out."
        ) from failure
    return entries


def _write(
    folder: Path,
    chunks: Iterable[MemoryEntries],
    dim: int,
    encoder_sha256: str,
    lexicon_sha256: str,
    *,
    with_texts: bool,
) -> int:
    types = array_types(dim)
    if not with_texts:
        del types[TEXT_ENDS]
    entries = text_end = 0
    with _Columns(folder, types) as columns, (folder / TEXTS).open("wb") as texts:
        for chunk in chunks:
            _check(chunk, dim, with_texts=with_texts)
            kept = np.flatnonzero(chunk.contexts.any(axis=1))
            columns.append(CONTEXTS, chunk.contexts[kept])
            columns.append(NEXT_TURNS, chunk.next_turns[kept])
            columns.append(CODES, chunk.codes[kept])
            columns.append(WEIGHTS, chunk.weights[kept])
            columns.append(DIALOGUES, np.array([dialogue_key(chunk.dialogue_ids[row]) for row in kept], np.uint64))
            if with_texts and chunk.texts is not None:
                words = [chunk.texts[row].encode("utf-8", "replace") for row in kept]
                texts.write(b"".join(words))
                ends = text_end + np.cumsum([len(word) for word in words], dtype=np.uint64)
                columns.append(TEXT_ENDS, ends)
                text_end += sum(len(word) for word in words)
            entries += len(kept)
    if not with_texts:
        (folder / TEXTS).unlink()
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    write_manifest(folder, MemoryManifest(FORMAT, entries, dim, with_texts, encoder_sha256, lexicon_sha256, files))
    return entries


class _Columns:
    """Several .npy files growing side by side; each header is rewritten with the final length at the end."""

    def __init__(self, folder: Path, types: dict[str, tuple[np.dtype[np.generic], tuple[int, ...]]]) -> None:
        self._types = types
        self._streams = {name: (folder / name).open("wb") for name in types}
        self._rows = dict.fromkeys(types, 0)
        for name in types:
            self._write_header(name)

    def append(self, name: str, rows: NDArray[Any]) -> None:
        kind, _ = self._types[name]
        self._streams[name].write(np.ascontiguousarray(rows, kind).tobytes())
        self._rows[name] += len(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, stream in self._streams.items():
            with stream:
                if error is None:
                    stream.seek(0)
                    self._write_header(name)

    def _write_header(self, name: str) -> None:
        kind, shape = self._types[name]
        # numpy leaves room in a header for the first axis to grow to 20 digits, so that its length does not change.
        header = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": (self._rows[name], *shape),
        }
        np.lib.format.write_array_header_1_0(self._streams[name], header)


def _check(chunk: MemoryEntries, dim: int, *, with_texts: bool) -> None:
    n = len(chunk.dialogue_ids)
    shapes = (chunk.contexts.shape, chunk.next_turns.shape, chunk.codes.shape, chunk.weights.shape)
    if shapes != ((n, dim), (n, dim), (n, CODES_PER_CHAIN), (n, CODES_PER_CHAIN)):
        raise ValueError(f"The arrays of a chunk of {n} entries of {dim} dimensions have the shapes {shapes}.")
    if with_texts and (chunk.texts is None or len(chunk.texts) != n):
        raise ValueError("A base with texts needs the text of each entry.")
    if not (np.isfinite(chunk.contexts).all() and np.isfinite(chunk.next_turns).all()):
        raise ValueError("The vectors of a chunk must be finite.")
