"""ONNX Runtime sessions: opened one way, on the device that was asked for and on no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from models.cpu import int8_products_overflow
from models.errors import ModelError

Provider = Literal["cpu", "cuda"]

PROVIDER_NAMES: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# TF32 would round the mantissa to 10 bits and move every score.
PROVIDER_OPTIONS: dict[Provider, dict[str, str]] = {"cpu": {}, "cuda": {"use_tf32": "0"}}
LOG_ERRORS_ONLY = 3
VERSION: str = ort.__version__

# ONNX Runtime's exceptions have no common base below Exception.
LOAD_FAILURES: tuple[type[Exception], ...] = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where models run: the execution provider, and how many threads the encoder may use on the CPU."""

    provider: Provider = "cpu"
    threads: int = 1

    def small(self) -> Runtime:
        """Give the runtime of every model but the encoder: one CPU thread, for their few rows are not worth moving."""
        return Runtime("cpu", 1)


def providers_found() -> list[str]:
    """Return the execution providers of the ONNX Runtime that is installed, by its names."""
    return list(ort.get_available_providers())


def open_session(model: Path | bytes, runtime: Runtime) -> ort.InferenceSession:
    """Open a model file, or its bytes, on the provider of `runtime`.

    Raises ModelError when the provider is not there or does not start, or when the model cannot be read.
    """
    wanted = PROVIDER_NAMES[runtime.provider]
    if wanted not in providers_found():
        raise ModelError(_missing_provider(runtime.provider))
    options = ort.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = LOG_ERRORS_ONLY
    # A spinning thread takes the core from the thread that prepares the next batch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if int8_products_overflow():
        # The exact product gives the same bits as a CPU with VNNI, at two thirds of its speed.
        options.add_session_config_entry("session.x64quantprecision", "1")
    where = "given as bytes" if isinstance(model, bytes) else f"{model}"
    try:
        session = ort.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            sess_options=options,
            providers=[(wanted, PROVIDER_OPTIONS[runtime.provider])],
        )
    except LOAD_FAILURES as failure:
        raise ModelError(
            f"The model {where} cannot be opened: {_first_line(failure)}. "
            "Put a sound ONNX file there, or `scenestream models build` for one of ours."
        ) from failure
    # When a provider fails to start, ONNX Runtime goes on with the CPU.
    if wanted not in session.get_providers():
        raise ModelError(_missing_provider(runtime.provider))
    return session


def _missing_provider(provider: Provider) -> str:
    return (
        f"The provider {provider} is not available to ONNX Runtime {ort.__version__} here "
        f"(it has: {', '.join(providers_found())}). Set models.provider to cpu, or install onnxruntime-gpu "
        "with its CUDA libraries."
    )


def _first_line(failure: Exception) -> str:
    return str(failure).strip().splitlines()[0][:200] if str(failure).strip() else type(failure).__name__
