"""A memory of train dialogues, for teaching and measuring what healing makes of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.arrays import FloatArray
from models.features import View
from models.memory import Hits, MemoryBase, MemoryEntries, build_memory
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
    sha256 = shop.encoder.sha256
    build_memory(
        folder, [entries], dim=shop.encoder.dim, encoder_sha256=sha256, lexicon_sha256=_NO_LEXICON, with_texts=False
    )
    return MemoryBase.open(folder, encoder_sha256=sha256, lexicon_sha256=_NO_LEXICON)


def recall(memory: MemoryBase, view: View, examples: list[Example], forget: FloatArray) -> Hits:
    """Search for the contexts of examples; those where `forget` (n,) is not 0 find nothing."""
    contexts = np.where(forget[:, None] > 0, 0, view.context).astype(np.float32)
    return memory.search(contexts, [example.position.dialogue.id for example in examples])
