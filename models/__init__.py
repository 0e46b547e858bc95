"""The scorers: arrays in, arrays out."""

import os

# ONNX Runtime reports to its makers from its import on, unless told not to before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# It must be loaded before usearch's kernels: the other way round the process dies while loading it.
import onnxruntime as _loaded_first  # noqa: F401
