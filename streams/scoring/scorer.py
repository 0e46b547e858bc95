"""The scorer: what the models say of scenes, as the plain values that the stages decide by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models import measures
from models.arrays import FloatArray
from models.decomposition import Chains
from models.healing import Candidates, embeddings_of
from models.memory import Hits, MemoryBase
from models.situation import Situation, context_vector
from models.suite import Suite
from schemas.decision import Parts
from schemas.names import REGISTERS, Origin, Register
from schemas.scene import Scene
from streams.scoring.chains import rounded, symbols_of, to_arrays, to_chain, voice_of
from streams.scoring.port import Encoded, Wish
from streams.scoring.situations import Situations
from streams.stages.admit import Terms
from streams.stages.reading import Candidate, Reading, Rendering

_ACTIVATION_MIN = 0.15
_MEMORY_MIN = 0.30


class ModelScorer:
    """Implements the port over the model suite, with or without a memory base."""

    def __init__(self, suite: Suite, memory: MemoryBase | None, codes: int) -> None:
        self.suite = suite
        self._memory = memory
        self._codes = codes
        self._situations = Situations(suite.encoder, suite.lexicon)

    def encode(self, scenes: Sequence[Scene]) -> list[Encoded]:
        """Return each scene with the vectors of its texts."""
        return self._situations.encode(scenes)

    def read(self, scenes: Sequence[Encoded]) -> list[Reading]:
        """Return how each scene resonates; adapters that were replaced meanwhile are taken up first."""
        self.suite.decomposer.reload_adapters()
        chains = self._chains_of(scenes)
        hits = self._remember(scenes)
        p_form, p_intent = self._judge(scenes, chains)
        words = self.suite.decomposer.dictionary[np.maximum(chains.codes, 0)]
        contexts = np.stack([context_vector(one.situation) for one in scenes])
        field = measures.field(words, chains.weights, contexts)
        tension = measures.tension(words, chains.weights)
        embeddings = embeddings_of([one.situation for one in scenes], chains)
        readings = []
        for row, one in enumerate(scenes):
            activation, depth = self._activation(one.situation, embeddings[row], hits, row)
            chain = to_chain(chains, row, self.suite.lexicon)
            healing = one.scene.healing
            fidelity = rounded(chains.fidelity[row]) if one.situation.draft is not None else None
            parts = Parts.model_construct(
                intent=rounded(p_intent[row]) if healing is None else one.scene.lineage[0].intent,
                fidelity=fidelity if healing is None else healing.fidelity,
                field=rounded(field[row]),
                activation=activation,
                depth=depth,
                tension=rounded(tension[row]),
                density=rounded(measures.density(len(chain), one.situation.draft_text, self._codes)),
                gain=None if healing is None else healing.gain,
            )
            form = rounded(p_form[row]) if one.scene.origin is Origin.FRESH else None
            readings.append(
                Reading(form, chain, parts, voice_of(chains, row, self.suite.lexicon), embeddings[row], one.cut)
            )
        return readings

    def render(self, wishes: Sequence[Wish]) -> list[Rendering]:
        """Return each scene's embedding decomposed in the register wished for."""
        embeddings = self._embeddings(wishes)
        chains = self.suite.decomposer.decompose(embeddings, _registers(wishes), _lengths(wishes))
        risks = self.suite.healer.gain.regeneration_risk(chains.fidelity, _intents(wishes))
        return [
            Rendering(
                register=wish.register or REGISTERS[0],
                chain=to_chain(chains, row, self.suite.lexicon),
                symbols=symbols_of(chains, row, self.suite.lexicon),
                fidelity=rounded(chains.fidelity[row]),
                risk=rounded(risks[row]),
            )
            for row, wish in enumerate(wishes)
        ]

    def bridge(self, wishes: Sequence[Wish]) -> list[tuple[Candidate, ...]]:
        """Return for each scene the blend's chain, and each authored analogue that applies."""
        encoded = [wish.encoded for wish in wishes]
        situations = [one.situation for one in encoded]
        chains = self._chains_of(encoded)
        hits = self._remember(encoded)
        offered = self.suite.healer.candidates(
            situations, chains, _intents(wishes), _registers(wishes), _lengths(wishes), hits
        )
        embeddings = embeddings_of(situations, chains)
        found: list[list[Candidate]] = [[] for _ in wishes]
        for number, row in enumerate(offered.scene.tolist()):
            activated = self._is_activated(situations[row], embeddings[row], hits, row)
            found[row].append(
                self._candidate(offered, number, chains.codes[row], _nearest_reply(hits, row), activated=activated)
            )
        return [tuple(candidates) for candidates in found]

    def terms(self) -> Terms:
        """Return what the models ask of an event."""

        def find_code(label: str) -> str | None:
            row = self.suite.lexicon.find(label)
            return None if row is None else self.suite.lexicon.codes[row]

        return Terms(self.suite.encoder.dim, find_code)

    def describe(self) -> Mapping[str, str]:
        """Return the name and sha256 of everything that decides."""
        described = dict(self.suite.describe())
        if self._memory is not None:
            described["memory"] = self._memory.sha256
        return described

    def _judge(self, scenes: Sequence[Encoded], chains: Chains) -> tuple[FloatArray, FloatArray]:
        """Ask the heads about fresh scenes: those with a draft by the draft, the others by their chain."""
        p_form, p_intent = np.zeros(len(scenes), np.float32), np.zeros(len(scenes), np.float32)
        fresh = [row for row, one in enumerate(scenes) if one.scene.origin is Origin.FRESH]
        drafts = np.array([row for row in fresh if scenes[row].situation.draft is not None], np.int64)
        bare = np.array([row for row in fresh if scenes[row].situation.draft is None], np.int64)
        if drafts.size:
            p_form[drafts], p_intent[drafts] = self.suite.heads.scenes([scenes[row].situation for row in drafts])
        if bare.size:
            some = Chains(chains.codes[bare], chains.weights[bare], chains.vectors[bare], chains.fidelity[bare])
            p_form[bare], p_intent[bare] = self.suite.heads.chains([scenes[row].situation for row in bare], some)
        return p_form, p_intent

    def _chains_of(self, scenes: Sequence[Encoded]) -> Chains:
        """Return every scene's chain: the one it carries, else its draft decomposed in its register."""
        codes, weights = to_arrays([one.scene.chain for one in scenes], self.suite.lexicon)
        bare = [row for row, one in enumerate(scenes) if not one.scene.chain]
        if bare:
            drafts = np.stack([_draft(scenes[row].situation) for row in bare])
            registers = np.array([_register_index(scenes[row].scene.register) for row in bare], np.int8)
            made = self.suite.decomposer.decompose(drafts, registers, np.full(len(bare), self._codes))
            codes[bare], weights[bare] = made.codes, made.weights
        vectors = self.suite.decomposer.compose(codes, weights)
        embeddings = [
            vectors[row] if one.situation.draft is None else one.situation.draft for row, one in enumerate(scenes)
        ]
        fidelity = np.array(
            [np.sum(a.astype(np.float64) * b) for a, b in zip(vectors, embeddings, strict=True)], np.float32
        )
        return Chains(codes, weights, vectors, np.clip(fidelity, -1.0, 1.0))

    def _embeddings(self, wishes: Sequence[Wish]) -> FloatArray:
        encoded = [wish.encoded for wish in wishes]
        return embeddings_of([one.situation for one in encoded], self._chains_of(encoded))

    def _remember(self, scenes: Sequence[Encoded]) -> Hits | None:
        if self._memory is None:
            return None
        contexts = np.stack([context_vector(one.situation) for one in scenes])
        return self._memory.search(contexts, [one.scene.dialogue_id for one in scenes])

    def _activation(
        self, situation: Situation, embedding: FloatArray, hits: Hits | None, row: int
    ) -> tuple[float, float]:
        said = measures.cosines(embedding, situation.context)
        remembered = (
            np.zeros(0) if hits is None else measures.cosines(embedding, hits.contexts[row][hits.positions[row] >= 0])
        )
        return rounded(max(0.0, min(1.0, measures.activation(said, remembered)))), rounded(measures.depth(said))

    def _is_activated(self, situation: Situation, embedding: FloatArray, hits: Hits | None, row: int) -> bool:
        activation, _ = self._activation(situation, embedding, hits, row)
        return activation >= _ACTIVATION_MIN or (
            hits is not None and float(hits.similarities[row].max()) >= _MEMORY_MIN
        )

    def _candidate(
        self, offered: Candidates, number: int, old: NDArray[np.int32], reply: str | None, *, activated: bool
    ) -> Candidate:
        source = offered.source[number]
        if source == "random":
            raise LookupError("a random chain is a baseline, never a candidate")
        new = offered.chains.codes[number]
        dictionary = self.suite.decomposer.dictionary
        closeness = dictionary[old[old >= 0]].astype(np.float64) @ dictionary[new[new >= 0]].astype(np.float64).T
        return Candidate(
            source=source,
            chain=to_chain(offered.chains, number, self.suite.lexicon),
            symbols=symbols_of(offered.chains, number, self.suite.lexicon),
            closeness=tuple(tuple(rounded(max(-1.0, min(1.0, cell))) for cell in line) for line in closeness.tolist()),
            fidelity=rounded(offered.chains.fidelity[number]),
            gain=rounded(offered.gain[number]),
            risk=rounded(offered.risk[number]),
            activated=activated,
            nearest_reply=reply,
        )


def _draft(situation: Situation) -> FloatArray:
    if situation.draft is None:
        raise LookupError("a scene was admitted without draft, embedding and chain")
    return situation.draft


def _register_index(register: Register | None) -> int:
    return -1 if register is None else REGISTERS.index(register)


def _registers(wishes: Sequence[Wish]) -> NDArray[np.int8]:
    return np.array([_register_index(wish.register) for wish in wishes], np.int8)


def _lengths(wishes: Sequence[Wish]) -> NDArray[np.int64]:
    return np.array([wish.codes for wish in wishes], np.int64)


def _intents(wishes: Sequence[Wish]) -> FloatArray:
    """Return the intent that a scene was judged to have when it was fresh, which its lineage begins with."""
    return np.array([wish.encoded.scene.lineage[0].intent or 0.0 for wish in wishes], np.float32)


def _nearest_reply(hits: Hits | None, row: int) -> str | None:
    if hits is None or hits.texts is None or not hits.texts[row]:
        return None
    return hits.texts[row][0]
