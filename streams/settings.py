"""Settings: `SCENESTREAM_*` variables first, then scenestream.toml of the working directory, then the defaults."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic_settings
from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.base import Frozen
from streams.stages.policy import Gate, Policy, Priors, Routes

PREFIX = "SCENESTREAM_"
SETTINGS_FILE = "scenestream.toml"
_WHERE = f"see {PREFIX}* and {SETTINGS_FILE}"
PositiveInt = Annotated[int, Field(ge=1)]
# Kafka counts these in milliseconds, as numbers of 32 bits.
_MOST_SECONDS = 2_147_483.0


class SettingsError(Exception):
    """Settings that cannot be used; each line of the message says what, where and what to do."""


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
    deadline_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=30.0, description="the worker ends when its models have not answered a micro-batch for so long"
    )
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


class TopicSettings(Frozen):
    """How `scenestream topics create` makes topics, and what `check` asks of them."""

    replication: PositiveInt = 1
    min_insync_replicas: PositiveInt = 1
    retention_hours: PositiveInt = 168
    dead_retention_hours: PositiveInt = Field(default=720, description="dead letters wait for a person")
    max_message_bytes: Annotated[int, Field(ge=64 * 1024)] = Field(
        default=2**20, description="of every topic but the dead ones, which take a little more"
    )
    max_redrives: PositiveInt = Field(default=3, description="how often a dead letter may be sent back")


class KafkaSettings(Frozen):
    """Where Kafka is, how the worker joins it, and what it promises."""

    bootstrap_servers: str = Field(default="127.0.0.1:9092", description="host:port, with commas between several")
    group: Annotated[str, Field(min_length=1)] = Field(
        default="scenestream", description="consumer group, and the first part of transactional ids"
    )
    instance_id: str | None = Field(
        default=None, description="static membership: the same for a worker before and after its restart"
    )
    topic_prefix: str = Field(default="", description="before every topic's name, so that pipelines can share Kafka")
    partitions: PositiveInt = Field(default=4, description="of every topic that is read with rows, the same for all")
    guarantee: Literal["exactly_once", "at_least_once"] = "exactly_once"
    session_timeout_seconds: Annotated[float, Field(gt=0.0, le=_MOST_SECONDS)] = Field(
        default=6.0, description="a worker that is silent for so long loses its partitions"
    )
    rebalance_timeout_seconds: Annotated[float, Field(gt=0.0, le=_MOST_SECONDS)] = Field(
        default=30.0, description="how long workers have to finish their batches when partitions move"
    )
    transaction_timeout_seconds: Annotated[float, Field(gt=0.0, le=_MOST_SECONDS)] = Field(
        default=10.0, description="Kafka aborts a transaction that is open for longer"
    )
    restore_timeout_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=300.0, description="how long the rows may take to be restored"
    )
    drain_timeout_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=15.0, description="how long a worker told to stop may take to finish, commit and leave"
    )
    watchdog_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=120.0, description="a worker that has work, reaches Kafka and commits nothing for so long ends"
    )
    max_records: PositiveInt = Field(default=512, description="records in a transaction at most")
    max_buffered: PositiveInt = Field(default=1024, description="a partition of which so many records wait is paused")
    max_buffered_bytes: PositiveInt = Field(
        default=8 * 2**20, description="and one of which so many bytes wait; as many again are with the models at most"
    )
    max_request_bytes: PositiveInt = Field(default=16 * 2**20, description="the largest message that can be passed on")
    max_fetch_bytes: PositiveInt = Field(default=2**20, description="fetched of a partition at once")
    patience_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=120.0, description="how long a replay waits for the next outcome before it gives up"
    )
    fetch_wait_ms: PositiveInt = Field(default=100, description="how long Kafka holds a fetch that finds nothing")
    retry_backoff_ms: PositiveInt = Field(
        default=5, description="Kafka 4 answers a transaction's first write to a partition with a retriable error"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_file: Path | None = Field(default=None, description="whom to trust, where not the system's authorities")
    ssl_cert_file: Path | None = Field(default=None, description="the worker's own certificate, for mutual TLS")
    ssl_key_file: Path | None = None
    ssl_key_password: SecretStr | None = None
    topics: TopicSettings = TopicSettings()

    def topic(self, name: str) -> str:
        """Return what a topic of the map is called in this cluster."""
        return self.topic_prefix + name


class WebSettings(Frozen):
    """The worker's own web server: /livez, /readyz and /metrics."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 6066
    stalled_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=60.0,
        description="/livez fails where there is work and none was committed for so long, though Kafka answers",
    )


class OpsSettings(Frozen):
    """How consumer lag is looked at, and from when on it is worth an alarm."""

    cluster_name: str | None = Field(default=None, description="what metrics call this Kafka; its own id by default")
    every_seconds: Annotated[float, Field(ge=0.5)] = Field(default=10.0, description="from one look to the next")
    window_seconds: Annotated[float, Field(gt=0.0)] = Field(default=300.0, description="looks that verdicts are about")
    rate_seconds: Annotated[float, Field(gt=0.0)] = Field(default=60.0, description="looks that rates are taken from")
    settle_seconds: Annotated[float, Field(ge=0.0)] = Field(
        default=60.0, description="looks must span so much before a group is said to stall or to fall behind"
    )
    floor_messages: PositiveInt = Field(default=100, description="fewer waiting ones alarm nobody")
    floor_age_seconds: Annotated[float, Field(ge=0.0)] = Field(default=60.0, description="as little do younger ones")
    old_age_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=3600.0, description="what has waited for so long may alarm, however few they are"
    )
    isolation: Literal["read_committed", "read_uncommitted"] = Field(
        default="read_committed", description="what counts as a message: as readers of committed records see it, or all"
    )
    timeout_seconds: Annotated[float, Field(gt=0.0)] = Field(default=5.0, description="how long Kafka may take")
    fetch_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=2.0, description="how long a look may fetch oldest records; what is left is fetched by the next"
    )
    pulse_minutes: Annotated[float, Field(ge=1.0, le=240.0)] = Field(
        default=15.0, description="how much of the pipeline's traffic the dashboard shows"
    )
    recent_megabytes: PositiveInt = Field(default=32, description="latest records kept to follow dialogues in")
    scan_seconds: Annotated[float, Field(gt=0.0)] = Field(
        default=10.0, description="how long a dialogue may be looked for on its topics"
    )
    logs_folder: Path | None = Field(default=None, description="logs in it may be replayed from the dashboard")
    runs_folder: Path = Field(default=Path("runs"), description="where such replays are put, and compared")
    replays_at_once: PositiveInt = Field(default=1, description="such replays that run side by side; others wait")


class DashboardSettings(Frozen):
    """`scenestream dashboard`: where it listens, who may change things, and how often it looks."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8088, description="0 takes a free one")
    token: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        default=None, description="who shows it may send dead letters back, start replays and see texts; else read-only"
    )
    names: tuple[str, ...] = Field(default=(), description="host names it answers to, besides addresses and localhost")
    proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description="proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: who signs in wrongly"
    )
    every_seconds: Annotated[float, Field(ge=0.5)] = Field(default=2.0, description="from one look at lag to the next")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        toml_file=SETTINGS_FILE,
        frozen=True,
        extra="forbid",
    )

    models: ModelSettings = ModelSettings()
    gate: Gate = Gate()
    routes: Routes = Routes()
    replay: ReplaySettings = ReplaySettings()
    kafka: KafkaSettings = KafkaSettings()
    web: WebSettings = WebSettings()
    ops: OpsSettings = OpsSettings()
    dashboard: DashboardSettings = DashboardSettings()
    memory: Path | None = Field(default=None, description="the folder of a memory base")
    priors: Path | None = Field(default=None, description="a file written by `scenestream priors fold`")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="of a worker `info`, unless it is set; at `debug` each verdict with its scene_id"
    )
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

    @model_validator(mode="after")
    def _watchdog_waits_longer_than_models_may_take(self) -> Self:
        if self.kafka.watchdog_seconds <= self.models.deadline_seconds:
            raise ValueError(
                "kafka.watchdog_seconds must be more than models.deadline_seconds, which names the culprit"
            )
        return self

    def policy(self) -> Policy:
        """Return what the stages decide by; raises SettingsError where the priors' file cannot be read."""
        return Policy(
            gate=self.gate, routes=self.routes, priors=Priors() if self.priors is None else _read(self.priors)
        )


def read_settings(memory: Path | None = None) -> Settings:
    """Return the settings, with the memory base that the command line named on top; raises SettingsError."""
    for name in sorted(os.environ):
        section = name.upper().removeprefix(PREFIX).split("__")[0].lower()
        if name.upper().startswith(PREFIX) and section not in Settings.model_fields:
            known = ", ".join(f"{PREFIX}{field.upper()}" for field in Settings.model_fields)
            raise SettingsError(
                f"{name}: there is no such setting; they begin with {known}, sections with __ after them"
            )
    try:
        return Settings() if memory is None else Settings(memory=memory)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = [f"{_setting(fault['loc'])}: {fault['msg']}; {_WHERE}" for fault in faults]
        raise SettingsError("\n".join(told)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{Path.cwd() / SETTINGS_FILE}: {error}; put the file right, it is TOML in UTF-8"
        ) from error
    except pydantic_settings.SettingsError as error:
        raise SettingsError(f"{error}; what a {PREFIX}* variable holds for a section or a list is JSON") from error


def _read(path: Path) -> Priors:
    what = "name a file that `scenestream priors fold` wrote"
    try:
        return Priors.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"setting priors: cannot read {path}: {error.strerror or error}; {what}") from error
    except ValidationError as error:
        raise SettingsError(f"setting priors: {path} holds no priors; {what}") from error


def _setting(path: tuple[int | str, ...]) -> str:
    return f"setting {'.'.join(map(str, path))}" if path else "settings"
