from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.arrays import unit
from models.errors import ModelError
from models.memory import HITS, Hits, MemoryBase, MemoryEntries, build_memory, dialogue_key

DIM = 24
NAMES = {"encoder_sha256": "e" * 64, "lexicon_sha256": "f" * 64}


def directions(rows: int, seed: int) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32))


def entries(contexts: NDArray[np.float32], dialogues: list[str], *, first: int = 0) -> MemoryEntries:
    n = len(contexts)
    numbers = np.arange(first, first + n)
    codes = np.full((n, 5), -1, np.int32)
    codes[:, 0] = numbers % 3000
    weights = np.zeros((n, 5), np.float32)
    weights[:, 0] = 0.5
    texts = tuple(f"реплика {number}" for number in numbers)
    return MemoryEntries(contexts, directions(n, 77), codes, weights, tuple(dialogues), texts)


def build(
    out: Path, contexts: NDArray[np.float32], dialogues: list[str], *, chunk: int = 50, texts: bool = True
) -> MemoryBase:
    def chunks() -> Iterator[MemoryEntries]:
        for start in range(0, len(contexts), chunk):
            part = slice(start, start + chunk)
            yield entries(contexts[part], dialogues[part], first=start)

    build_memory(out, chunks(), dim=DIM, with_texts=texts, **NAMES)
    return MemoryBase.open(out, **NAMES)


def expected(
    contexts: NDArray[np.float32], dialogues: list[str], query: NDArray[np.float32], excluded: str | None
) -> tuple[list[int], NDArray[np.float64]]:
    near = (contexts.astype(np.float64) * query).sum(axis=1)
    allowed = [row for row in range(len(contexts)) if dialogues[row] != excluded]
    return sorted(allowed, key=lambda row: (-near[row].round(6), row))[:HITS], near


def same(one: Hits, other: Hits, rows: list[int] | slice) -> None:
    np.testing.assert_array_equal(one.positions, other.positions[rows])
    np.testing.assert_array_equal(one.similarities, other.similarities[rows])
    np.testing.assert_array_equal(one.next_turns, other.next_turns[rows])


@pytest.fixture(scope="module")
def contexts() -> NDArray[np.float32]:
    return directions(3000, 1)


@pytest.fixture(scope="module")
def dialogues() -> list[str]:
    return [f"d{row // 7}" if row < 2000 else "long" for row in range(3000)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, contexts: NDArray[np.float32], dialogues: list[str]) -> MemoryBase:
    return build(tmp_path_factory.mktemp("memory") / "base", contexts, dialogues, chunk=333)


def test_the_nearest_contexts_come_first_with_what_was_said_there(
    base: MemoryBase, contexts: NDArray[np.float32], dialogues: list[str]
) -> None:
    query = directions(4, 2)
    hits = base.search(query, [None] * 4)
    for row in range(4):
        rows, near = expected(contexts, dialogues, query[row], None)
        assert hits.positions[row].tolist() == rows
        np.testing.assert_allclose(hits.similarities[row], near[rows], atol=1e-6)
        np.testing.assert_array_equal(hits.contexts[row], contexts[rows])
        assert hits.codes[row, :, 0].tolist() == rows
        assert (hits.codes[row, :, 1:] == -1).all()
        assert (hits.weights[row, :, 0] == 0.5).all()
        assert hits.texts is not None
        assert hits.texts[row] == tuple(f"реплика {position}" for position in rows)
        assert hits.dialogues[row].tolist() == [dialogue_key(dialogues[position]) for position in rows]


def test_next_turns_are_kept_to_half_precision(tmp_path: Path) -> None:
    base = build(tmp_path / "base", directions(30, 4), ["a"] * 30, chunk=30)
    hits = base.search(directions(1, 5), [None])
    np.testing.assert_allclose(hits.next_turns[0], directions(30, 77)[hits.positions[0]], atol=5e-4)


@pytest.mark.parametrize("excluded", ["d0", "d100", "long"])
def test_a_scene_never_finds_its_own_dialogue(
    base: MemoryBase, contexts: NDArray[np.float32], dialogues: list[str], excluded: str
) -> None:
    own = [row for row, name in enumerate(dialogues) if name == excluded][:10]
    hits = base.search(contexts[own], [excluded] * len(own))
    for query, row in enumerate(own):
        rows, _ = expected(contexts, dialogues, contexts[row], excluded)
        assert hits.positions[query].tolist() == rows
        assert dialogue_key(excluded) not in hits.dialogues[query]


def test_hits_do_not_depend_on_the_queries_beside_them(base: MemoryBase) -> None:
    query = directions(64, 3)
    excluded: list[str | None] = [None if row % 3 else ("long" if row % 2 else f"d{row}") for row in range(64)]
    together = base.search(query, excluded)
    for size in (1, 7):
        for start in range(0, 64, size):
            part = slice(start, start + size)
            same(base.search(query[part], excluded[part]), together, part)
    order = np.random.default_rng(9).permutation(64).tolist()
    same(base.search(query[order], [excluded[row] for row in order]), together, order)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 150),
    kinds=st.integers(1, 8),
    owners=st.integers(1, 5),
    queries=st.integers(1, 4),
)
def test_ties_go_by_position_however_many(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, kinds: int, owners: int, queries: int
) -> None:
    rng = np.random.default_rng(seed)
    contexts = directions(kinds, seed)[rng.integers(0, kinds, n)]
    dialogues = [f"o{owner}" for owner in rng.integers(0, owners, n)]
    base = build(tmp_path_factory.mktemp("ties") / "base", contexts, dialogues, chunk=int(rng.integers(1, 60)))
    query = directions(queries, seed + 1)
    excluded = [f"o{owner}" for owner in rng.integers(0, owners + 1, queries)]
    hits = base.search(query, excluded)
    for row in range(queries):
        rows, _ = expected(contexts, dialogues, query[row], excluded[row])
        found = hits.positions[row][hits.positions[row] >= 0].tolist()
        assert found == rows
        assert (hits.positions[row, len(rows) :] == -1).all()
        assert np.isneginf(hits.similarities[row, len(rows) :]).all()


def test_what_has_no_context_is_neither_kept_nor_found(tmp_path: Path) -> None:
    contexts = directions(10, 1)
    contexts[3] = 0
    base = build(tmp_path / "base", contexts, ["a"] * 10)
    assert len(base) == 9
    assert (base.search(np.zeros((1, DIM), np.float32), [None]).positions == -1).all()
    assert base.search(contexts[4:5], [None]).texts == (
        tuple(f"реплика {row}" for row in expected(contexts, ["a"] * 10, contexts[4], None)[0] if row != 3),
    )


def test_an_empty_base_and_an_empty_question_find_nothing(tmp_path: Path, base: MemoryBase) -> None:
    empty = build(tmp_path / "base", np.zeros((0, DIM), np.float32), [])
    assert len(empty) == 0
    assert (empty.search(directions(2, 1), [None, "a"]).positions == -1).all()
    assert base.search(np.zeros((0, DIM), np.float32), []).next_turns.shape == (0, HITS, DIM)


def test_texts_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    base = build(tmp_path / "base", directions(30, 1), ["a"] * 30, texts=False)
    assert base.search(directions(1, 2), [None]).texts is None
    assert not any(path.name.startswith("text") for path in (tmp_path / "base").iterdir())


def test_the_chunks_do_not_change_the_base(tmp_path: Path) -> None:
    contexts = directions(120, 1)
    one = build(tmp_path / "one", contexts, ["a"] * 120, chunk=120, texts=False)
    two = build(tmp_path / "two", contexts, ["a"] * 120, chunk=7, texts=False)
    assert one.manifest.files["contexts.npy"] == two.manifest.files["contexts.npy"]
    assert one.manifest.files["codes.npy"] == two.manifest.files["codes.npy"]


def test_a_new_base_takes_the_place_of_the_old_one_which_stays_open(tmp_path: Path) -> None:
    old = build(tmp_path / "base", directions(40, 1), ["a"] * 40)
    before = old.search(directions(1, 2), [None])
    new = build(tmp_path / "base", directions(50, 3), ["b"] * 50)
    assert len(new) == 50
    assert new.sha256 != old.sha256
    same(old.search(directions(1, 2), [None]), before, slice(None))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("keep me")
    with pytest.raises(ModelError, match=r"no memory base. Choose a new or an empty folder"):
        build(tmp_path / "letters", directions(3, 1), ["a"] * 3)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "keep me"


def test_a_build_that_fails_leaves_the_old_base(tmp_path: Path) -> None:
    build(tmp_path / "base", directions(40, 1), ["a"] * 40)
    broken = directions(5, 1)
    broken[2, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        build(tmp_path / "base", broken, ["a"] * 5)
    assert len(MemoryBase.open(tmp_path / "base", **NAMES)) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


@pytest.mark.parametrize("what", ["encoder", "lexicon"])
def test_a_base_of_another_model_is_refused(tmp_path: Path, what: str) -> None:
    build(tmp_path / "base", directions(3, 1), ["a"] * 3)
    with pytest.raises(ModelError, match=f"another {what}.*memory build"):
        MemoryBase.open(tmp_path / "base", **(NAMES | {f"{what}_sha256": "0" * 64}))


def test_a_damaged_base_is_named(tmp_path: Path) -> None:
    build(tmp_path / "base", directions(30, 1), ["a"] * 30)
    path = tmp_path / "base" / "contexts.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"contexts.npy does not match the manifest"):
        MemoryBase.open(tmp_path / "base", **NAMES)
    path.unlink()
    with pytest.raises(ModelError, match=r"contexts.npy does not match the manifest"):
        MemoryBase.open(tmp_path / "base", **NAMES)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format": 1}'])
def test_what_is_no_base_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ModelError, match="is no memory base"):
        MemoryBase.open(tmp_path, **NAMES)


def test_another_format_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "base", directions(3, 1), ["a"] * 3)
    path = tmp_path / "base" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(ModelError, match="has format 2"):
        MemoryBase.open(tmp_path / "base", **NAMES)


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    chunk = entries(directions(3, 1), ["a"] * 2)
    with pytest.raises(ValueError, match="2 entries"):
        build_memory(tmp_path / "base", [chunk], dim=DIM, with_texts=False, **NAMES)
