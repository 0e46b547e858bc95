"""What the processor can do, as far as the bits of a result hang on it."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

X86_MACHINES = frozenset({"x86_64", "amd64", "AMD64"})
EXACT_INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni"})
CPU_INFO = Path("/proc/cpuinfo")


@functools.cache
def int8_products_overflow() -> bool:
    """Say whether ONNX Runtime's fast int8 product may overflow 16 bits here: on x86 without VNNI, or where unknown.

    Source: onnxruntime_session_options_config_keys.h, session.x64quantprecision.
    """
    return platform.machine() in X86_MACHINES and not EXACT_INT8_FLAGS & cpu_flags()


def cpu_flags() -> frozenset[str]:
    """Give the features of the first processor as Linux names them; none where they cannot be read."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
