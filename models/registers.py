"""The four registers as adapters of the decomposition layer: read from files, replaced while running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from models.errors import ModelError
from schemas.names import REGISTERS, Register

ADAPTER_SUFFIX = ".onnx_adapter"
FLOAT = "tensor(float)"

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One adapter, and what its file looked like: inode, size and time of change."""

    adapter: ort.LoraAdapter
    signature: tuple[int, int, int]


class AdapterBank:
    """The adapters of all registers, active side by side in every run.

    A file is replaced by rename, never in place: ONNX Runtime maps it into memory and goes on reading the old inode.
    """

    def __init__(self, folder: Path, shapes: Mapping[Register, Shapes], version: int) -> None:
        self._folder = folder
        self._shapes = shapes
        self._version = version
        self._loaded: dict[Register, _Loaded] = {name: self._load(name) for name in REGISTERS}
        self._refused: dict[Register, tuple[int, int, int]] = {}

    def reload(self) -> tuple[Register, ...]:
        """Take up the files that were replaced; returns their registers. Costs four stats when there is nothing to do.

        Raises ModelError, once for each bad file, when one is missing, corrupt or foreign: the adapter in use goes on
        serving, and sound files beside it are taken up all the same.
        """
        renewed: list[Register] = []
        complaints: list[str] = []
        for name in REGISTERS:
            signature = _signature(self.path(name))
            if signature in (self._loaded[name].signature, self._refused.get(name)):
                continue
            try:
                self._loaded = {**self._loaded, name: self._load(name)}
                self._refused.pop(name, None)
                renewed.append(name)
            except ModelError as failure:
                self._refused[name] = signature
                complaints.append(str(failure))
        if complaints:
            raise ModelError(" ".join(complaints) + " The adapter in use goes on serving.")
        return tuple(renewed)

    def path(self, register: Register) -> Path:
        """Give the file of a register's adapter."""
        return self._folder / f"decomposition.{register}{ADAPTER_SUFFIX}"

    def activate(self) -> tuple[ort.RunOptions, tuple[ort.LoraAdapter, ...]]:
        """Give options with all adapters active, and the adapters: hold these until the run is over.

        RunOptions keeps no adapter alive; one that is collected during a run gives wrong numbers and no error.
        """
        adapters = tuple(loaded.adapter for loaded in self._loaded.values())
        options = ort.RunOptions()
        for adapter in adapters:
            options.add_active_adapter(adapter)
        return options, adapters

    def _load(self, register: Register) -> _Loaded:
        path = self.path(register)
        before = _signature(path)
        advice = "Put the right file there by rename, or run `make models`."
        try:
            told = ort.AdapterFormat.read_adapter(str(path))
            version, parameters = told.get_model_version(), told.get_parameters()
            found = {name: (tuple(value.shape()), value.data_type()) for name, value in parameters.items()}
        # ONNX Runtime's exceptions for a file that is no adapter have no common base.
        except Exception as failure:
            raise ModelError(f"The adapter {path} cannot be read: {_first_line(failure)}. {advice}") from failure
        if version != self._version:
            raise ModelError(
                f"The adapter {path} belongs to another dictionary (version {version}, not {self._version}). {advice}"
            )
        if found != {name: (shape, FLOAT) for name, shape in self._shapes[register].items()}:
            raise ModelError(
                f"The adapter {path} is none of the register {register}: its tensors are {_list(found)}. {advice}"
            )
        try:
            adapter = ort.LoraAdapter()
            adapter.Load(str(path))
        except Exception as failure:
            raise ModelError(f"The adapter {path} cannot be loaded: {_first_line(failure)}. {advice}") from failure
        if _signature(path) != before:
            raise ModelError(
                f"The adapter {path} changed while it was read. Nothing to do if it was renamed: it is read again."
            )
        return _Loaded(adapter, before)


def parameter_names(register: Register) -> tuple[str, str, str]:
    """Name a register's tensors in graph and file: down (d, r), up (r, d), and the bias on each code (n,)."""
    return f"{register}.down", f"{register}.up", f"{register}.bias"


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _list(found: Mapping[str, tuple[tuple[int, ...], str]]) -> str:
    return ", ".join(f"{name} {shape}" for name, (shape, _) in sorted(found.items())) or "none"


def _first_line(failure: Exception) -> str:
    return str(failure).strip().splitlines()[0][:200] if str(failure).strip() else type(failure).__name__
