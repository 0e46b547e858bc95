"""Searching a memory base: the accepted scenes whose context is most like this one, never of this dialogue."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from usearch.compiled import MetricKind
from usearch.index import search as scan

from models.arrays import FloatArray, IntArray
from models.digests import matches
from models.errors import ModelError
from models.memory.layout import (
    CODES,
    CODES_PER_CHAIN,
    CONTEXTS,
    DIALOGUES,
    NEXT_TURNS,
    TEXT_ENDS,
    TEXTS,
    WEIGHTS,
    MemoryManifest,
    array_types,
    dialogue_key,
    read_manifest,
)

HITS = 20
# Asked for beyond the hits at first, for the entries of the scene's own dialogue and for ties.
SPARE = 12
# The scan keeps some 24 bytes for each pair of query and entry.
PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """For each of n queries, up to 20 entries, most similar first; where fewer were found, the rest is padding.

    `positions` (n, 20) int64 in the base, -1 for padding; `similarities` (n, 20) float32 cosines of the contexts, -inf
    for padding; `contexts` and `next_turns` (n, 20, d) float32, zeros for padding; `codes` (n, 20, 5) int32, -1 for
    padding; `weights` (n, 20, 5) float32; `dialogues` (n, 20) uint64, see dialogue_key; `texts`, None when the base
    holds none, else a tuple per query with as many texts as were found.
    """

    positions: NDArray[np.int64]
    similarities: FloatArray
    contexts: FloatArray
    next_turns: FloatArray
    codes: IntArray
    weights: FloatArray
    dialogues: NDArray[np.uint64]
    texts: tuple[tuple[str, ...], ...] | None


class MemoryBase:
    """A frozen snapshot, opened by mapping its files: what is not searched is not read.

    The scan is exact, and goes over the mapped vectors themselves: an index's graph would be built, stored and loaded
    for nothing. Replacing the folder does not disturb a base that is open.
    """

    def __init__(self, folder: Path, manifest: MemoryManifest) -> None:
        self.manifest = manifest
        self.sha256 = hashlib.sha256(repr(sorted(manifest.files.items())).encode()).hexdigest()
        columns = {name: _map(folder / name, manifest) for name in array_types(manifest.dim) if name in manifest.files}
        self._columns = columns
        keys, counts = np.unique(columns[DIALOGUES], return_counts=True)
        self._sizes = dict(zip(keys.tolist(), counts.tolist(), strict=True))
        has_words = manifest.with_texts and (folder / TEXTS).stat().st_size > 0
        self._words = np.memmap(folder / TEXTS, np.uint8, "r") if has_words else np.zeros(0, np.uint8)

    def __len__(self) -> int:
        return self.manifest.entries

    @classmethod
    def open(cls, folder: Path, *, encoder_sha256: str, lexicon_sha256: str) -> MemoryBase:
        """Open the base in `folder`; ModelError when it is missing, damaged, or of another encoder or lexicon."""
        manifest = read_manifest(folder)
        for what, built, here in (
            ("encoder", manifest.encoder_sha256, encoder_sha256),
            ("lexicon", manifest.lexicon_sha256, lexicon_sha256),
        ):
            if built != here:
                raise ModelError(
                    f"The memory base {folder} was built with another {what} ({built[:12]}…, here {here[:12]}…), "
                    "so its numbers mean nothing to this one. Build it again with `scenestream memory build`."
                )
        for name, digest in manifest.files.items():
            if not matches(folder / name, digest):
                raise ModelError(
                    f"The memory base {folder} is damaged: {name} does not match the manifest. "
                    "Build it again with `scenestream memory build`, or copy it again."
                )
        return cls(folder, manifest)

    def search(self, contexts: FloatArray, exclude_dialogues: Sequence[str | None]) -> Hits:
        """Find the 20 entries nearest to each context vector (n, d) that are not of the dialogue to exclude.

        Equal similarities are ordered by position, and a query's hits do not depend on the queries beside it. A zero
        context finds nothing.
        """
        excluded = [None if name is None else dialogue_key(name) for name in exclude_dialogues]
        positions = np.full((len(contexts), HITS), -1, np.int64)
        similarities = np.full((len(contexts), HITS), -np.inf, np.float32)
        asked = [
            (query, HITS + SPARE) for query in range(len(contexts)) if self.manifest.entries and contexts[query].any()
        ]
        while asked:
            unsettled: list[tuple[int, int]] = []
            block = max(1, min(len(asked), PAIRS_AT_ONCE // self.manifest.entries))
            for start in range(0, len(asked), block):
                part = asked[start : start + block]
                wanted = min(self.manifest.entries, max(count for _, count in part))
                for (query, _), found in zip(part, self._scan(contexts[[q for q, _ in part]], wanted), strict=True):
                    settled = self._settle(*found, excluded[query])
                    if settled is None:
                        unsettled.append((query, wanted * 4))
                    else:
                        positions[query, : len(settled[0])], similarities[query, : len(settled[1])] = settled
            asked = unsettled
        return self._gather(positions, similarities)

    def _scan(self, queries: FloatArray, count: int) -> list[tuple[NDArray[np.int64], FloatArray]]:
        matches: Any = scan(
            self._columns[CONTEXTS], np.ascontiguousarray(queries), count, MetricKind.IP, exact=True, threads=1
        )
        keys = np.asarray(matches.keys).reshape(len(queries), -1).astype(np.int64)
        near = (1.0 - np.asarray(matches.distances)).reshape(len(queries), -1).astype(np.float32)
        return list(zip(keys, near, strict=True))

    def _settle(
        self, keys: NDArray[np.int64], near: FloatArray, excluded: int | None
    ) -> tuple[NDArray[np.int64], FloatArray] | None:
        """Give the final hits of one query, or None when more must be asked for to be sure of them."""
        order = np.lexsort((keys, -near))
        keys, near = keys[order], near[order]
        mine = np.zeros(len(keys), np.bool_)
        if excluded is not None and excluded in self._sizes:
            mine = self._columns[DIALOGUES][keys] == np.uint64(excluded)
        kept, kept_near = keys[~mine][:HITS], near[~mine][:HITS]
        # The scan breaks ties at its edge as it likes: sure is only what lies above the edge.
        complete = len(keys) == self.manifest.entries
        if complete or (len(kept) == HITS and kept_near[-1] > near[-1]):
            return kept, kept_near
        return None

    def _gather(self, positions: NDArray[np.int64], similarities: FloatArray) -> Hits:
        shape, dim = positions.shape, self.manifest.dim
        found = positions >= 0
        rows = positions[found]

        def column(name: str, kind: type[np.generic], *tail: int, padding: int = 0) -> NDArray[Any]:
            filled = np.full((*shape, *tail), padding, kind)
            filled[found] = self._columns[name][rows]
            return filled

        return Hits(
            positions=positions,
            similarities=similarities,
            contexts=column(CONTEXTS, np.float32, dim),
            next_turns=column(NEXT_TURNS, np.float32, dim),
            codes=column(CODES, np.int32, CODES_PER_CHAIN, padding=-1),
            weights=column(WEIGHTS, np.float32, CODES_PER_CHAIN),
            dialogues=column(DIALOGUES, np.uint64),
            texts=self._texts(positions),
        )

    def _texts(self, positions: NDArray[np.int64]) -> tuple[tuple[str, ...], ...] | None:
        if not self.manifest.with_texts:
            return None
        return tuple(tuple(self._text(position) for position in row[row >= 0].tolist()) for row in positions)

    def _text(self, position: int) -> str:
        ends = self._columns[TEXT_ENDS]
        start = int(ends[position - 1]) if position > 0 else 0
        return self._words[start : int(ends[position])].tobytes().decode("utf-8")


def _map(path: Path, manifest: MemoryManifest) -> NDArray[Any]:
    kind, tail = array_types(manifest.dim)[path.name]
    # An empty file cannot be mapped.
    array: NDArray[Any] = np.load(path, mmap_mode="r" if manifest.entries else None, allow_pickle=False)
    if array.dtype != kind or array.shape != (manifest.entries, *tail):
        raise ModelError(
            f"{path} holds {array.dtype} {array.shape}, which its manifest does not say. "
            "Build the memory base again with `scenestream memory build`."
        )
    return array
