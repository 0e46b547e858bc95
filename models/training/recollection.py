"""A memory of train dialogues, for teaching and measuring what healing makes of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.arrays import FloatArray
from models.features import View, dot
from models.memory import Hits, MemoryBase, MemoryEntries, build_memory
from models.situation import weigh_context
from models.training.pairs import pairs_of
from models.training.samples import MAX_TURN
from models.training.scenes import Example
from models.training.workshop import Workshop

# Stands in the place of a lexicon's digest: the chains of this memory are never read.
_NO_LEXICON = "none"


def train_memory(shop: Workshop, folder: Path) -> MemoryBase:
    """Build and open a memory of the dialogues that taught the towers; heads and measures use others."""
    dialogues = shop.samples.towers
    pairs = pairs_of(dialogues, shop.vectors, MAX_TURN)
    entries = MemoryEntries(
        contexts=np.ascontiguousarray(pairs.context[:, -pairs.reply.shape[1] :]),
        next_turns=pairs.reply,
        codes=np.full((len(pairs.reply), 5), -1, np.int32),
        weights=np.zeros((len(pairs.reply), 5), np.float32),
        dialogue_ids=tuple(dialogues[owner].id for owner in pairs.dialogue),
    )
    return _built(shop, folder, entries)


def small_memory(shop: Workshop, folder: Path, said: Sequence[tuple[str, str]]) -> MemoryBase:
    """Build and open a memory of a few scenes, each a turn and what was said next."""
    shop.vectors.prepare(text for pair in said for text in pair)
    entries = MemoryEntries(
        contexts=np.stack([weigh_context(shop.vectors.rows([turn])) for turn, _ in said]),
        next_turns=shop.vectors.rows(reply for _, reply in said),
        codes=np.full((len(said), 5), -1, np.int32),
        weights=np.zeros((len(said), 5), np.float32),
        dialogue_ids=tuple(f"written-{number}" for number in range(len(said))),
    )
    return _built(shop, folder, entries)


def _built(shop: Workshop, folder: Path, entries: MemoryEntries) -> MemoryBase:
    sha256 = shop.encoder.sha256
    build_memory(
        folder, [entries], dim=shop.encoder.dim, encoder_sha256=sha256, lexicon_sha256=_NO_LEXICON, with_texts=False
    )
    return MemoryBase.open(folder, encoder_sha256=sha256, lexicon_sha256=_NO_LEXICON)


def recall(memory: MemoryBase, view: View, examples: list[Example], forget: FloatArray) -> Hits:
    """Search for the contexts of examples; those where `forget` (n,) is not 0 find nothing."""
    contexts = np.where(forget[:, None] > 0, 0, view.context).astype(np.float32)
    return memory.search(contexts, [example.position.dialogue.id for example in examples])


def thinned(hits: Hits, contexts: FloatArray, rng: np.random.Generator) -> Hits:
    """Make memories poorer, as those of few or foreign dialogues are: some keep a hit or two, some find other scenes'.

    Takes the context vectors (n, d) that the hits were found for; similarities of foreign hits are worked out anew.
    """
    count, width = hits.similarities.shape
    foreign = rng.random(count) < 0.3
    other = np.roll(np.arange(count), count // 2)
    source = np.where(foreign, other, np.arange(count))
    theirs = dot(hits.contexts[source], contexts[:, None, :])
    near = np.where(np.isfinite(hits.similarities[source]), theirs, -np.inf)
    kept = np.where(rng.random(count) < 0.5, width, rng.integers(1, 6, count))
    places = rng.permuted(np.tile(np.arange(width), (count, 1)), axis=1)
    return replace(
        hits,
        similarities=np.where(places < kept[:, None], near, -np.inf).astype(np.float32),
        next_turns=hits.next_turns[source],
    )
