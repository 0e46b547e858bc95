from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import models
from models.arrays import FloatArray, unit
from models.decomposition import Chains, Decomposer
from models.errors import ModelError
from models.lexicon import Lexicon
from models.registers import parameter_names
from models.sessions import Runtime
from schemas.names import REGISTERS, Register

ARTIFACTS = Path(models.__file__).parent / "artifacts"
FIELDS = ("codes", "weights", "vectors", "fidelity")


@pytest.fixture(scope="module")
def decomposer() -> Decomposer:
    return Decomposer.open(ARTIFACTS, Runtime())


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load(ARTIFACTS)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for path in ARTIFACTS.iterdir():
        if path.name.startswith("decomposition") or path.suffix == ".tsv":
            shutil.copyfile(path, tmp_path / path.name)
    return tmp_path


def sentences(decomposer: Decomposer, count: int, seed: int = 5) -> FloatArray:
    """Embeddings like those of sentences: the mean, a few words, and much that no word explains."""
    rng = np.random.default_rng(seed)
    words = decomposer.dictionary[rng.integers(0, len(decomposer.dictionary), (count, 4))].mean(axis=1)
    noise = unit(rng.standard_normal((count, decomposer.dictionary.shape[1])).astype(np.float32))
    return unit(decomposer.mean + unit(words) * np.float32(0.7) + noise * np.float32(0.5))


def mixed(count: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(count)
    return (rows % 5 - 1).astype(np.int8), 1 + rows % 5


def split(decomposer: Decomposer, embeddings: FloatArray, register: int = -1, k: int = 3) -> Chains:
    count = len(embeddings)
    return decomposer.decompose(embeddings, np.full(count, register, np.int8), np.full(count, k))


def write_adapter(path: Path, version: int, tensors: dict[str, FloatArray]) -> None:
    form = ort.AdapterFormat()
    form.set_adapter_version(1)
    form.set_model_version(version)
    form.set_parameters({name: ort.OrtValue.ortvalue_from_numpy(tensor) for name, tensor in tensors.items()})
    scratch = path.with_name(path.name + ".new")
    form.export_adapter(str(scratch))
    scratch.replace(path)


def zero_tensors(decomposer: Decomposer, register: Register) -> dict[str, FloatArray]:
    width, size = decomposer.dictionary.shape[1], len(decomposer.dictionary)
    shapes = ((width, 8), (8, width), (size,))
    return {name: np.zeros(shape, np.float32) for name, shape in zip(parameter_names(register), shapes, strict=True)}


def adapter_file(folder: Path, register: Register) -> Path:
    return folder / f"decomposition.{register}.onnx_adapter"


@pytest.mark.parametrize("batch", [1, 7, 64, 100])
def test_a_chain_has_the_same_bits_in_any_batch(decomposer: Decomposer, batch: int) -> None:
    embeddings = sentences(decomposer, 130)
    registers, k = mixed(130)
    whole = decomposer.decompose(embeddings, registers, k)
    starts = range(0, 130, batch)
    parts = [
        decomposer.decompose(embeddings[s : s + batch], registers[s : s + batch], k[s : s + batch]) for s in starts
    ]
    for field in FIELDS:
        assert np.array_equal(np.concatenate([getattr(part, field) for part in parts]), getattr(whole, field))


def test_a_chain_has_the_same_bits_in_any_order(decomposer: Decomposer) -> None:
    embeddings = sentences(decomposer, 90)
    registers, k = mixed(90)
    whole = decomposer.decompose(embeddings, registers, k)
    order = np.random.default_rng(1).permutation(90)
    shuffled = decomposer.decompose(embeddings[order], registers[order], k[order])
    for field in FIELDS:
        assert np.array_equal(getattr(shuffled, field), getattr(whole, field)[order])


def test_chains_are_never_empty_never_too_long_and_in_falling_order(decomposer: Decomposer) -> None:
    embeddings = sentences(decomposer, 200)
    registers, k = mixed(200)
    chains = decomposer.decompose(embeddings, registers, k)
    used = (chains.codes >= 0).sum(axis=1)
    assert used.min() >= 1
    assert (used <= k).all()
    assert (np.diff(chains.weights, axis=1) <= 0).all()
    assert np.array_equal(chains.codes >= 0, chains.weights > 0)
    longer = chains.weights[used > 1]
    assert longer[longer > 0].min() >= 0.15 - 1e-4
    for row in chains.codes:
        named = row[row >= 0]
        assert len(set(named.tolist())) == len(named)


@pytest.mark.parametrize("register", range(-1, 4))
def test_whatever_is_put_in_a_chain_comes_out(decomposer: Decomposer, register: int) -> None:
    strange = np.stack([np.zeros_like(decomposer.mean), decomposer.mean, -decomposer.dictionary.mean(axis=0)])
    chains = split(decomposer, strange.astype(np.float32), register, k=5)
    assert (chains.codes[:, 0] >= 0).all()
    for field in FIELDS:
        assert np.isfinite(getattr(chains, field)).all()


def test_the_words_that_a_vector_was_made_of_are_found(decomposer: Decomposer, lexicon: Lexicon) -> None:
    rows = lexicon.parse_chain("step + tension + morning")
    codes = np.array([[*rows, -1, -1]], np.int32)
    vectors = decomposer.compose(codes, np.array([[0.5, 0.4, 0.3, 0, 0]], np.float32))
    chains = split(decomposer, vectors)
    assert set(chains.codes[0, :3].tolist()) == set(rows)
    assert chains.fidelity[0] > 0.999


def test_the_same_chain_composes_to_the_same_vector(decomposer: Decomposer) -> None:
    chains = split(decomposer, sentences(decomposer, 40), k=5)
    assert np.array_equal(decomposer.compose(chains.codes, chains.weights), chains.vectors)
    one_by_one = [decomposer.compose(chains.codes[i : i + 1], chains.weights[i : i + 1])[0] for i in range(40)]
    assert np.array_equal(np.stack(one_by_one), chains.vectors)
    short = decomposer.compose(chains.codes[:, :5], chains.weights[:, :5] * np.float32(2))
    assert np.allclose(short, chains.vectors, atol=1e-6)


def test_fidelity_is_the_cosine_of_chain_and_embedding(decomposer: Decomposer) -> None:
    embeddings = sentences(decomposer, 40)
    chains = split(decomposer, embeddings)
    assert np.allclose(np.linalg.norm(chains.vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(chains.fidelity, np.sum(chains.vectors * embeddings, axis=1), atol=1e-6)


def test_registers_turn_chains_towards_their_words(decomposer: Decomposer, lexicon: Lexicon) -> None:
    embeddings = sentences(decomposer, 300)
    plain = split(decomposer, embeddings)
    for index in range(len(REGISTERS)):
        members = lexicon.members(index)
        turned = split(decomposer, embeddings, index)
        before = members[plain.codes[plain.codes >= 0]].mean()
        after = members[turned.codes[turned.codes >= 0]].mean()
        assert after > before + 0.05


def test_registers_side_by_side_do_as_each_alone(decomposer: Decomposer) -> None:
    embeddings = sentences(decomposer, 50)
    registers, _ = mixed(50)
    together = decomposer.decompose(embeddings, registers, np.full(50, 3))
    for index in range(-1, len(REGISTERS)):
        alone = split(decomposer, embeddings, index)
        rows = registers == index
        for field in FIELDS:
            assert np.array_equal(getattr(together, field)[rows], getattr(alone, field)[rows])


def test_an_empty_batch_gives_empty_chains(decomposer: Decomposer) -> None:
    chains = split(decomposer, np.zeros((0, 384), np.float32))
    assert chains.codes.shape == (0, 5)
    assert chains.vectors.shape == (0, 384)


def test_wrong_shapes_and_registers_are_refused(decomposer: Decomposer) -> None:
    embeddings = sentences(decomposer, 2)
    with pytest.raises(ValueError, match="are wanted"):
        decomposer.decompose(embeddings[:, :100], np.zeros(2, np.int8), np.full(2, 3))
    with pytest.raises(ValueError, match="A register is"):
        split(decomposer, embeddings, 4)


def test_a_replaced_adapter_is_taken_up_without_opening_again(copied: Path) -> None:
    decomposer = Decomposer.open(copied, Runtime())
    embeddings = sentences(decomposer, 40)
    before, plain = split(decomposer, embeddings, 1), split(decomposer, embeddings)
    assert decomposer.reload_adapters() == ()
    write_adapter(adapter_file(copied, "poetic"), decomposer.adapter_version, zero_tensors(decomposer, "poetic"))
    assert np.array_equal(split(decomposer, embeddings, 1).codes, before.codes)
    assert decomposer.reload_adapters() == ("poetic",)
    assert np.array_equal(split(decomposer, embeddings, 1).codes, plain.codes)
    assert not np.array_equal(before.codes, plain.codes)


def test_an_adapter_lives_on_after_its_file_was_replaced(copied: Path) -> None:
    decomposer = Decomposer.open(copied, Runtime())
    embeddings = sentences(decomposer, 40)
    before = split(decomposer, embeddings, 2)
    for _ in range(20):
        write_adapter(adapter_file(copied, "bodily"), decomposer.adapter_version, zero_tensors(decomposer, "bodily"))
        assert np.array_equal(split(decomposer, embeddings, 2).codes, before.codes)


@pytest.mark.parametrize("fault", ["corrupt", "truncated", "version", "register", "shape", "missing"])
def test_a_bad_adapter_is_refused_once_and_the_old_one_serves(copied: Path, fault: str) -> None:
    decomposer = Decomposer.open(copied, Runtime())
    embeddings = sentences(decomposer, 40)
    before = split(decomposer, embeddings, 1)
    path, version = adapter_file(copied, "poetic"), decomposer.adapter_version
    if fault == "corrupt":
        (copied / "bad").write_bytes(os.urandom(4096))
        (copied / "bad").replace(path)
    elif fault == "truncated":
        (copied / "bad").write_bytes(path.read_bytes()[:9000])
        (copied / "bad").replace(path)
    elif fault == "version":
        write_adapter(path, version + 1, zero_tensors(decomposer, "poetic"))
    elif fault == "register":
        write_adapter(path, version, zero_tensors(decomposer, "dry"))
    elif fault == "shape":
        tensors = zero_tensors(decomposer, "poetic")
        tensors["poetic.down"] = np.zeros((384, 4), np.float32)
        write_adapter(path, version, tensors)
    else:
        path.unlink()
    with pytest.raises(ModelError, match="goes on serving") as caught:
        decomposer.reload_adapters()
    assert "poetic" in str(caught.value)
    assert decomposer.reload_adapters() == ()
    assert np.array_equal(split(decomposer, embeddings, 1).codes, before.codes)
    with pytest.raises(ModelError, match=r"decomposition\.poetic\.onnx_adapter"):
        Decomposer.open(copied, Runtime())
    shutil.copyfile(adapter_file(ARTIFACTS, "poetic"), copied / "good")
    (copied / "good").replace(path)
    assert decomposer.reload_adapters() == ("poetic",)
    assert np.array_equal(split(decomposer, embeddings, 1).codes, before.codes)


def test_a_foreign_or_corrupt_model_is_named(copied: Path) -> None:
    table = (copied / "lexicon.tsv").read_text(encoding="utf-8").replace("\nzebra\t", "\nzebras\t")
    (copied / "lexicon.tsv").write_text(table, encoding="utf-8")
    with pytest.raises(ModelError, match="do not belong together"):
        Decomposer.open(copied, Runtime())
    (copied / "decomposition.onnx").write_bytes(b"no model at all")
    with pytest.raises(ModelError, match=r"decomposition\.onnx"):
        Decomposer.open(copied, Runtime())
