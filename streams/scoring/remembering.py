"""Scenes as entries of a memory base: where they landed, what was said, and its chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from models.decomposition import Decomposer
from models.encoder import Encoder
from models.lexicon import Lexicon
from models.memory import MemoryEntries
from models.situation import context_vector
from schemas.scene import Scene
from streams.scoring.situations import Situations

_CHUNK_SCENES = 256


def remember(
    scenes: Iterable[Scene], encoder: Encoder, lexicon: Lexicon, decomposer: Decomposer, codes: int, *, with_texts: bool
) -> Iterator[MemoryEntries]:
    """Yield the entries of scenes in chunks of 256; one that came as a bare chain says nothing and is left out."""
    situations = Situations(encoder, lexicon)
    said = (scene for scene in scenes if scene.draft is not None or scene.embedding is not None)
    while chunk := list(islice(said, _CHUNK_SCENES)):
        yield _entries(chunk, situations, decomposer, codes, with_texts=with_texts)


def _entries(
    scenes: Sequence[Scene], situations: Situations, decomposer: Decomposer, codes: int, *, with_texts: bool
) -> MemoryEntries:
    encoded = [one.situation for one in situations.encode(scenes)]
    next_turns = np.stack([one.draft for one in encoded if one.draft is not None])
    chains = decomposer.decompose(next_turns, np.full(len(scenes), -1, np.int8), np.full(len(scenes), codes, np.int64))
    return MemoryEntries(
        contexts=np.stack([context_vector(one) for one in encoded]),
        next_turns=next_turns,
        codes=chains.codes,
        weights=chains.weights,
        dialogue_ids=tuple(scene.dialogue_id for scene in scenes),
        texts=tuple(scene.draft or "" for scene in scenes) if with_texts else None,
    )
