"""Scenes as arrays: their texts encoded once, and remembered while scenes that share them pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from models.arrays import FloatArray, unit
from models.encoder import Encoder
from models.lexicon import Lexicon
from models.situation import Chain, Situation
from schemas.scene import Scene, Utterance
from streams.scoring.port import Encoded

_REMEMBERED_TEXTS = 16384


class Situations:
    """Makes situations of scenes; the texts seen last are not encoded again."""

    def __init__(self, encoder: Encoder, lexicon: Lexicon) -> None:
        self._encoder = encoder
        self._lexicon = lexicon
        self._vectors: OrderedDict[str, tuple[FloatArray, bool]] = OrderedDict()

    def encode(self, scenes: Sequence[Scene]) -> list[Encoded]:
        """Return each scene with the vectors of its texts; all texts that are new go to the encoder together.

        One thread at a time, but for scenes without texts, which touch neither the encoder nor what is remembered.
        """
        wanted = dict.fromkeys(text for scene in scenes for text in texts_of(scene))
        vectors = self._look_up(wanted) if wanted else {}
        return [self._situation(scene, vectors) for scene in scenes]

    def _look_up(self, wanted: Collection[str]) -> dict[str, tuple[FloatArray, bool]]:
        new = [text for text in wanted if text not in self._vectors]
        if new:
            result = self._encoder.encode(new)
            for text, vector, cut in zip(new, result.vectors, result.cut.tolist(), strict=True):
                # A row of the batch would keep the whole batch in memory.
                self._vectors[text] = (vector.copy(), cut)
        for text in wanted:
            self._vectors.move_to_end(text)
        found = {text: self._vectors[text] for text in wanted}
        while len(self._vectors) > _REMEMBERED_TEXTS:
            self._vectors.popitem(last=False)
        return found

    def _situation(self, scene: Scene, vectors: dict[str, tuple[FloatArray, bool]]) -> Encoded:
        said = _said(scene)
        context = [vectors[utterance.text] for utterance in said]
        cut = any(was_cut for _, was_cut in context)
        draft: FloatArray | None = None
        if scene.embedding is not None:
            draft = unit(scene.embedding.to_numpy()[None])[0]
        elif scene.draft is not None:
            draft, draft_cut = vectors[scene.draft]
            cut = cut or draft_cut
        width = self._encoder.dim
        situation = Situation(
            draft_text=scene.draft,
            draft=draft,
            context_texts=tuple(utterance.text for utterance in said),
            context_roles=tuple(utterance.role for utterance in said),
            context=np.stack([vector for vector, _ in context]) if context else np.zeros((0, width), np.float32),
            chain=self._chain(scene),
        )
        return Encoded(scene, situation, cut)

    def _chain(self, scene: Scene) -> Chain | None:
        if not scene.chain:
            return None
        rows = [self._lexicon.find(code.code) for code in scene.chain]
        if None in rows:
            raise LookupError(f"scene {scene.scene_id} was admitted with a code that the lexicon does not have")
        return Chain(tuple(row for row in rows if row is not None), tuple(code.weight for code in scene.chain))


def _said(scene: Scene) -> tuple[Utterance, ...]:
    # A system prompt is an instruction: nobody said it, and nothing in the dialogue answers it.
    return tuple(utterance for utterance in scene.context if utterance.role != "system")


def texts_of(scene: Scene) -> Iterable[str]:
    """Yield the texts of a scene that the encoder reads; a draft that brings its embedding is not among them."""
    yield from (utterance.text for utterance in _said(scene))
    if scene.draft is not None and scene.embedding is None:
        yield scene.draft
