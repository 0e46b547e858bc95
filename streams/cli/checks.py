"""What a machine must have, one check at a time: each says what it found, and what to do when that is not right."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.cpu import X86_MACHINES, cpu_flags
from models.encoder.encoder import identity
from models.encoder.store import RECIPES, WEIGHTS_PACKAGE, find_weights, is_intact
from models.errors import ModelError
from models.lexicon import Lexicon
from models.manifest import verify
from models.memory import MemoryBase
from models.sessions import PROVIDER_NAMES, VERSION, providers_found
from streams.cli.wiring import artifacts_of
from streams.settings import PREFIX, SETTINGS_FILE, Settings, SettingsError, read_settings

Mark = Literal["right", "optional", "wrong"]
_ROOM_BYTES = 200_000_000
_ANSWER_SECONDS = 20
_JAVA = 17
_BROKER = "a Kafka on this machine without Docker needs it (make kafka, make demo-live)"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: `wrong` keeps a replay from working, `optional` something else, or its speed."""

    mark: Mark
    what: str
    value: str
    advice: str = ""


def check_settings() -> tuple[Check, Settings | None]:
    """Return whether settings can be read, and them; None where they cannot."""
    path = Path.cwd() / SETTINGS_FILE
    names = sorted(name for name in os.environ if name.upper().startswith(PREFIX))
    found = [str(path)] if path.is_file() else []
    value = ", ".join([*found, *names]) or f"defaults (no {SETTINGS_FILE} here, no {PREFIX}* variables)"
    try:
        return Check("right", "settings", value), read_settings()
    except SettingsError as error:
        fault, _, advice = str(error).splitlines()[0].rpartition("; ")
        return Check("wrong", "settings", fault, advice), None


def check_all(settings: Settings) -> Iterator[Check]:
    """Yield every check but that of the settings, in the order that a person reads them in."""
    yield _processor()
    yield _cores(settings)
    yield Check("right", "Python", platform.python_version())
    yield _providers(settings)
    yield _weights(settings)
    yield _cache(settings)
    yield _encoder(settings)
    yield _artifacts(settings)
    if settings.priors is not None:
        yield _priors(settings, settings.priors)
    if settings.memory is not None:
        yield _memory(settings, settings.memory)
    yield _java()
    yield _maven()


def _processor() -> Check:
    flags, machine = cpu_flags(), platform.machine()
    if machine not in X86_MACHINES:
        return Check("right", "CPU", f"{machine}: digests are its own, not those of x86")
    if not flags:
        return Check("right", "CPU", f"{machine}, features unknown: exact int8 products, at two thirds of the speed")
    if {"avx512_vnni", "avx_vnni"} & flags:
        return Check("right", "CPU", f"{machine} with VNNI: int8 at full speed")
    for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")):
        if flag in flags:
            return Check("right", "CPU", f"{machine} with {name}, no VNNI: exact int8 at two thirds of the speed")
    return Check(
        "optional", "CPU", f"{machine} without AVX2: slow", "use a machine of the last ten years for long logs"
    )


def _cores(settings: Settings) -> Check:
    cores, threads = os.cpu_count() or 1, settings.models.threads
    if threads > cores:
        return Check("optional", "cores", f"{cores}, encoder threads {threads}", "set models.threads below the cores")
    return Check("right", "cores", f"{cores}, encoder threads {threads}")


def _providers(settings: Settings) -> Check:
    there = providers_found()
    value = f"{VERSION}: {', '.join(there)}; chosen {settings.models.provider}"
    if PROVIDER_NAMES[settings.models.provider] in there:
        return Check("right", "ONNX Runtime", value)
    return Check("wrong", "ONNX Runtime", value, "set models.provider to cpu, or install onnxruntime-gpu with CUDA")


def _weights(settings: Settings) -> Check:
    if settings.models.encoder_folder is not None:
        return Check("right", "weights", f"not needed: the encoder is {settings.models.encoder_folder}")
    try:
        find_weights()
    except ModelError as error:
        return _complaint("weights", error)
    return Check("right", "weights", f"{WEIGHTS_PACKAGE}, the original")


def _cache(settings: Settings) -> Check:
    folder = settings.models.cache_folder
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check("wrong", "cache", f"{folder} cannot be written", "choose another with models.cache_folder")
    free = shutil.disk_usage(there).free
    if free < _ROOM_BYTES:
        return Check("wrong", "cache", f"{folder}: {free / 1e6:.0f} MB free", "make room there: 200 MB")
    return Check("right", "cache", f"{folder}: can be written, {free / 1e9:.0f} GB free")


def _encoder(settings: Settings) -> Check:
    chosen = settings.models.encoder_folder
    if chosen is not None:
        missing = [name for name in ("model.onnx", "tokenizer.json") if not (chosen / name).is_file()]
        if missing:
            return Check("wrong", "encoder", f"{chosen} has no {missing[0]}", "name another models.encoder_folder")
        return Check("right", "encoder", str(chosen))
    folder = settings.models.cache_folder / RECIPES[settings.models.provider]
    if is_intact(folder):
        return Check("right", "encoder", f"built: {folder.name}")
    return Check(
        "optional", "encoder", "not built yet", "`scenestream models build` (2 s), or the first replay does it"
    )


def _artifacts(settings: Settings) -> Check:
    try:
        manifest, found = verify(artifacts_of(settings))
    except ModelError as error:
        return _complaint("models", error)
    replaced = sorted(name for name, digest in found.items() if digest != manifest.files[name])
    value = f"{len(found)} files as their manifest says"
    return Check("right", "models", value + (f", but for {', '.join(replaced)}: replaced" if replaced else ""))


def _memory(settings: Settings, folder: Path) -> Check:
    encoder = settings.models.encoder_folder
    built = settings.models.cache_folder / RECIPES[settings.models.provider] if encoder is None else encoder
    if not built.is_dir():
        return Check("optional", "memory", f"{folder}: cannot be checked before the encoder is built")
    try:
        lexicon = Lexicon.load(artifacts_of(settings))
        base = MemoryBase.open(folder, encoder_sha256=identity(built), lexicon_sha256=lexicon.sha256)
    except ModelError as error:
        return _complaint("memory", error)
    return Check("right", "memory", f"{folder}: {len(base):,} entries")


def _priors(settings: Settings, path: Path) -> Check:
    try:
        priors = settings.policy().priors
    except SettingsError as error:
        fault, _, advice = str(error).rpartition("; ")
        return Check("wrong", "priors", fault, advice)
    return Check("right", "priors", f"{path}: version {priors.version}, {len(priors.tasks)} tasks")


def _java() -> Check:
    told = _ask("java", "-version")
    found = re.search(r'version "(?:1\.)?(\d+)', told or "")
    advice = f"only {_BROKER}: install a JDK {_JAVA} or newer (Debian: openjdk-17-jdk-headless)"
    if found is None:
        return Check("optional", "Java", "not found", advice)
    mark: Mark = "right" if int(found[1]) >= _JAVA else "optional"
    return Check(mark, "Java", found[1], "" if mark == "right" else advice)


def _maven() -> Check:
    told = _ask("mvn", "-v")
    found = re.search(r"Apache Maven (\S+?)(?:\x1b|\s|$)", told or "")
    if found is None:
        return Check("optional", "Maven", "not found", f"only {_BROKER}: install maven")
    return Check("right", "Maven", found[1])


def _ask(program: str, argument: str) -> str | None:
    path = shutil.which(program)
    if path is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - a program of the user's own path, asked for its version
            [path, argument], capture_output=True, text=True, errors="replace", timeout=_ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout + answer.stderr


def _complaint(what: str, error: ModelError) -> Check:
    value, _, advice = str(error).partition(". ")
    return Check("wrong", what, value, advice)
