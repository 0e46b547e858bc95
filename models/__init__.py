"""The scorers: arrays in, arrays out."""

# ONNX Runtime must be loaded before usearch's kernels: the other way round the process dies while loading it.
import onnxruntime as _loaded_first  # noqa: F401
