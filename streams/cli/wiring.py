"""Wiring: settings into models, and models into a scorer."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from models.encoder import ensure_built
from models.memory import MemoryBase
from models.sessions import Runtime
from models.suite import Suite
from streams.scoring.scorer import ModelScorer
from streams.settings import Settings


def runtime_of(settings: Settings) -> Runtime:
    """Return where models run."""
    return Runtime(settings.models.provider, settings.models.threads)


def artifacts_of(settings: Settings) -> Path:
    """Return the folder of trained weights."""
    chosen = settings.models.artifacts_folder
    return Path(str(files("models") / "artifacts")) if chosen is None else chosen


def encoder_of(settings: Settings) -> Path:
    """Return the encoder's folder; the default encoder is built at first use."""
    chosen = settings.models.encoder_folder
    return ensure_built(settings.models.cache_folder, runtime_of(settings)) if chosen is None else chosen


def open_suite(settings: Settings) -> Suite:
    """Open every model; raises ModelError when one is missing, corrupt or foreign."""
    runtime = runtime_of(settings)
    return Suite.open(artifacts_of(settings), encoder_of(settings), runtime, settings.models.encoder_batch)


def open_memory(settings: Settings, suite: Suite) -> MemoryBase | None:
    """Open the memory base, where one is set; raises ModelError when it is damaged, or of other models."""
    if settings.memory is None:
        return None
    return MemoryBase.open(settings.memory, encoder_sha256=suite.encoder.sha256, lexicon_sha256=suite.lexicon.sha256)


def open_scorer(settings: Settings, *, quotes: bool = True) -> ModelScorer:
    """Open every model, and the memory base where one is set; without `quotes` no cue repeats its words."""
    suite = open_suite(settings)
    return ModelScorer(suite, open_memory(settings, suite), settings.gate.codes, quotes=quotes)
