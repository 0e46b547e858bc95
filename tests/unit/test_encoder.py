from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import sessions
from models.cpu import int8_products_overflow
from models.encoder import Encoder, ensure_built
from models.encoder.build import build_graph
from models.encoder.store import WEIGHTS_SHA256, find_weights
from models.sessions import Runtime, open_session

RUNTIME = Runtime("cpu", 1)

WORDS = [
    "the",
    "kettle",
    "hums",
    "while",
    "rain",
    "taps",
    "tin",
    "roofs",
    "and",
    "somebody",
    "counts",
    "train",
    "tickets",
]


def sentences(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.choice((1, 3, 8, 14, 15, 20, 40, 70, 150, 300)))) for _ in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_built(tmp_path_factory.mktemp("cache"), RUNTIME)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder.open(folder, RUNTIME)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [*sentences(60, seed=3), "", "ok", "\u200b", "שלום עולם", "🙂🙃", "word " * 9000, "дождь и чайник"]


@pytest.fixture(scope="module")
def vectors(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    return encoder.encode(texts).vectors


def test_vectors_are_unit_rows_in_the_order_of_the_texts(
    encoder: Encoder, texts: list[str], vectors: NDArray[np.float32]
) -> None:
    assert vectors.shape == (len(texts), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(encoder.encode(texts[5:6]).vectors[0], vectors[5])


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batch_size_does_not_change_a_bit(
    folder: Path, texts: list[str], vectors: NDArray[np.float32], batch_size: int
) -> None:
    other = Encoder.open(folder, RUNTIME, batch_size=batch_size)
    np.testing.assert_array_equal(other.encode(texts).vectors, vectors)


def test_order_company_and_threads_do_not_change_a_bit(
    folder: Path, texts: list[str], vectors: NDArray[np.float32]
) -> None:
    order = random.Random(5).sample(range(len(texts)), len(texts))
    two_threads = Encoder.open(folder, Runtime("cpu", 2))
    np.testing.assert_array_equal(two_threads.encode([texts[i] for i in order]).vectors, vectors[order])


def test_worker_threads_may_share_an_encoder(encoder: Encoder, texts: list[str], vectors: NDArray[np.float32]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for encoded in pool.map(encoder.encode, [texts[:40]] * 3):
            np.testing.assert_array_equal(encoded.vectors, vectors[:40])


def test_long_texts_are_cut_and_say_so(encoder: Encoder) -> None:
    encoded = encoder.encode(["a " * 254, "a " * 255, "a " * 30_000])
    assert encoded.cut.tolist() == [False, True, True]
    np.testing.assert_array_equal(encoded.vectors[1], encoded.vectors[2])


def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([]).vectors.shape == (0, 384)


def test_a_batch_of_several_buckets_is_refused(encoder: Encoder) -> None:
    short, long = encoder.tokenize(["tea", "tea " * 30])
    assert (short.bucket, long.bucket) == (16, 32)
    with pytest.raises(ValueError, match="one bucket"):
        encoder.run([short, long])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_any_text_gets_a_finite_unit_vector_of_its_own(encoder: Encoder, strange: list[str]) -> None:
    together = encoder.encode(strange).vectors
    assert np.isfinite(together).all()
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)
    for text, vector in zip(strange, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([text]).vectors[0], vector)


def test_int8_stays_close_to_fp32(encoder: Encoder, texts: list[str], vectors: NDArray[np.float32]) -> None:
    exact = open_session(build_graph(find_weights() / "model.safetensors").SerializeToString(), RUNTIME)
    for text, tokens, vector in zip(texts[:30], encoder.tokenize(texts[:30]), vectors[:30], strict=True):
        ids = tokens.ids[None].astype(np.int64)
        mean = exact.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0].mean(axis=0)
        assert float(mean @ vector) / np.linalg.norm(mean) > 0.97, text


def test_a_cpu_that_must_avoid_overflow_gets_the_same_bits(
    folder: Path, texts: list[str], vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "int8_products_overflow", lambda: not int8_products_overflow())
    np.testing.assert_array_equal(Encoder.open(folder, RUNTIME).encode(texts[:30]).vectors, vectors[:30])


def test_meaning_survives(encoder: Encoder) -> None:
    cat, kitten, tax = encoder.encode(
        ["The cat sleeps.", "A kitten is napping.", "The tax form is due on Monday."]
    ).vectors
    assert float(cat @ kitten) > 0.5
    assert float(cat @ tax) < 0.2


def test_the_weights_are_the_original_release() -> None:
    assert WEIGHTS_SHA256.startswith("53aa5117")
    assert WEIGHTS_SHA256.endswith("d9db")
    assert len(WEIGHTS_SHA256) == 64
