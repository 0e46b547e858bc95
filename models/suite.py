"""The suite: every model that serves, opened together and vouched for by the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.decomposition import Decomposer
from models.encoder import DEFAULT_BATCH_SIZE, Encoder
from models.errors import ModelError
from models.gain import Gain
from models.heads import Heads
from models.healing import Healer
from models.lexicon import Lexicon
from models.manifest import Manifest, verify
from models.sessions import Runtime
from models.towers import Towers

ENCODER_NAME = "encoder"


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """All models of one folder of artifacts and one encoder."""

    encoder: Encoder
    lexicon: Lexicon
    decomposer: Decomposer
    towers: Towers
    heads: Heads
    healer: Healer
    manifest: Manifest
    digests: dict[str, str]

    @classmethod
    def open(
        cls, artifacts: Path, encoder_folder: Path, runtime: Runtime, batch_size: int = DEFAULT_BATCH_SIZE
    ) -> Suite:
        """Verify and open everything in the folder `artifacts`, and the encoder.

        Raises ModelError, saying what, where and what to do, when a file is missing, corrupt or foreign, when the
        provider is not there, or when the encoder's vectors are of another width than the artifacts were trained with.
        """
        manifest, digests = verify(artifacts)
        lexicon = Lexicon.load(artifacts)
        decomposer = Decomposer.open(artifacts, runtime)
        encoder = Encoder.open(encoder_folder, runtime, batch_size)
        if encoder.dim != len(decomposer.mean):
            raise ModelError(
                f"The encoder in {encoder_folder} gives vectors of {encoder.dim} numbers, the models in {artifacts} "
                f"were trained with {len(decomposer.mean)}. Train them with this encoder (`python -m models.training "
                "--encoder FOLDER --out DIR`) and set models.artifacts_folder, or leave the encoder unset."
            )
        towers = Towers.open(artifacts, runtime)
        heads = Heads.open(artifacts, runtime, decomposer, towers)
        healer = Healer(decomposer, lexicon, towers, Gain.open(artifacts, runtime))
        return cls(encoder, lexicon, decomposer, towers, heads, healer, manifest, digests)

    def describe(self) -> dict[str, str]:
        """Give the name and sha256 of everything that decides: each artifact as found, and the encoder."""
        return {ENCODER_NAME: self.encoder.sha256, **self.digests}

    @property
    def trained_with_this_encoder(self) -> bool:
        """Whether the artifacts were trained with the very encoder that is open; false for any other, fp32 included."""
        return self.encoder.sha256 == self.manifest.encoder_sha256
