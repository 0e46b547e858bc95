"""Settings: `SCENESTREAM_*` variables first, then scenestream.toml of the working directory, then the defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.base import Frozen
from streams.stages.policy import Gate, Policy, Priors, Routes

PositiveInt = Annotated[int, Field(ge=1)]


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "scenestream"


def _encoder_threads() -> int:
    # One core is left for the stages, which prepare the next batch while the encoder runs this one.
    return max(1, (os.cpu_count() or 2) - 1)


class ModelSettings(Frozen):
    """Where models are, what runs them, and how large their batches are."""

    provider: Literal["cpu", "cuda"] = "cpu"
    threads: PositiveInt = Field(default_factory=_encoder_threads, description="threads of the encoder on the CPU")
    max_batch: PositiveInt = Field(default=64, description="scenes in a micro-batch")
    max_wait_ms: Annotated[float, Field(ge=0.0)] = Field(default=5.0, description="how long a batch waits to fill up")
    encoder_batch: PositiveInt = Field(default=8, description="texts of like length that the encoder reads at once")
    encoder_folder: Path | None = Field(default=None, description="a folder with model.onnx and tokenizer.json")
    artifacts_folder: Path | None = Field(default=None, description="trained weights other than the installed ones")
    cache_folder: Path = Field(default_factory=_cache_folder, description="where the encoder is built at first use")


class ReplaySettings(Frozen):
    """How logs are read."""

    context_turns: PositiveInt = Field(default=32, description="how much of a logged dialogue a scene brings along")
    open_scenes: Annotated[int, Field(ge=8)] = Field(
        default=768, description="scenes read ahead of the oldest open one"
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="SCENESTREAM_",
        env_nested_delimiter="__",
        toml_file="scenestream.toml",
        frozen=True,
        extra="forbid",
    )

    models: ModelSettings = ModelSettings()
    gate: Gate = Gate()
    routes: Routes = Routes()
    replay: ReplaySettings = ReplaySettings()
    memory: Path | None = Field(default=None, description="the folder of a memory base")
    priors: Path | None = Field(default=None, description="a file written by `scenestream priors fold`")
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    log_format: Literal["console", "json"] = "console"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the file behind the variables."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def policy(self) -> Policy:
        """Return what the stages decide by; reads the priors' file."""
        priors = Priors() if self.priors is None else Priors.model_validate_json(self.priors.read_bytes())
        return Policy(gate=self.gate, routes=self.routes, priors=priors)
