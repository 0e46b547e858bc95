from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import models
from models.arrays import FloatArray, unit
from models.decomposition import Chains, Decomposer
from models.errors import ModelError
from models.features import view_of
from models.gain import GAIN_FEATURES, Gain
from models.healing import Candidates, Healer, authored, blend_targets, random_codes
from models.lexicon import Lexicon
from models.manifest import MANIFEST_FILE, verify
from models.memory import HITS, Hits
from models.sessions import Runtime
from models.situation import Situation
from models.towers import Towers

ARTIFACTS = Path(models.__file__).parent / "artifacts"
DIM = 384


@pytest.fixture(scope="module")
def decomposer() -> Decomposer:
    return Decomposer.open(ARTIFACTS, Runtime())


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load(ARTIFACTS)


@pytest.fixture(scope="module")
def towers() -> Towers:
    return Towers.open(ARTIFACTS, Runtime())


@pytest.fixture(scope="module")
def healer(decomposer: Decomposer, lexicon: Lexicon, towers: Towers) -> Healer:
    return Healer(decomposer, lexicon, towers, Gain.open(ARTIFACTS, Runtime()))


def directions(count: int, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    return unit((rng.standard_normal((count, DIM)) + 0.7 * np.sin(np.arange(DIM))).astype(np.float32))


def scenes(count: int) -> list[Situation]:
    """Scenes of 0 to 5 turns; every third came as a chain."""
    found = []
    for number in range(count):
        turns = number % 6
        vectors = directions(turns + 1, number)
        roles = tuple("user" if (turns - turn) % 2 else "assistant" for turn in range(turns))
        draft = None if number % 3 == 2 else vectors[turns]
        found.append(Situation(None, draft, ("Will it rain?",) * turns, roles, vectors[:turns]))
    return found


def chains_of(decomposer: Decomposer, count: int) -> Chains:
    return decomposer.decompose(directions(count, 99), np.full(count, -1, np.int8), np.full(count, 3))


def typed_chain(decomposer: Decomposer, lexicon: Lexicon, text: str) -> Chains:
    codes = np.full((1, 5), -1, np.int32)
    rows = lexicon.parse_chain(text)
    codes[0, : len(rows)] = rows
    weights = np.where(codes >= 0, 1.0, 0.0).astype(np.float32)
    return Chains(codes, weights, decomposer.compose(codes, weights), np.ones(1, np.float32))


def some_hits(count: int, similarity: float) -> Hits:
    return Hits(
        positions=np.zeros((count, HITS), np.int64),
        similarities=np.full((count, HITS), similarity, np.float32),
        contexts=np.zeros((count, HITS, DIM), np.float32),
        next_turns=np.tile(directions(HITS, 5), (count, 1, 1)),
        codes=np.full((count, HITS, 5), -1, np.int32),
        weights=np.zeros((count, HITS, 5), np.float32),
        dialogues=np.zeros((count, HITS), np.uint64),
        texts=None,
    )


def healed(healer: Healer, situations: list[Situation], chains: Chains, hits: Hits | None = None) -> Candidates:
    count = len(situations)
    return healer.candidates(
        situations, chains, np.linspace(0, 0.49, count, dtype=np.float32), np.full(count, -1, np.int8),
        np.full(count, 3), hits,
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 64])
def test_candidates_have_the_same_bits_in_any_batch(healer: Healer, decomposer: Decomposer, size: int) -> None:
    situations, chains = scenes(70), chains_of(decomposer, 70)
    intents = np.linspace(0, 0.49, 70, dtype=np.float32)
    hits = some_hits(70, 0.4)

    def offered(rows: np.ndarray) -> Candidates:
        return healer.candidates(
            [situations[row] for row in rows],
            Chains(chains.codes[rows], chains.weights[rows], chains.vectors[rows], chains.fidelity[rows]),
            intents[rows],
            np.full(len(rows), -1, np.int8),
            np.full(len(rows), 3),
            some_hits(len(rows), 0.4) if len(rows) < 70 else hits,
        )

    whole = offered(np.arange(70))
    order = np.random.default_rng(size).permutation(70)
    for start in range(0, 70, size):
        rows = order[start : start + size]
        part = offered(rows)
        for place, row in enumerate(rows):
            mine, same = part.scene == place, whole.scene == row
            np.testing.assert_array_equal(part.chains.codes[mine], whole.chains.codes[same])
            np.testing.assert_array_equal(part.gain[mine].view(np.uint32), whole.gain[same].view(np.uint32))
            np.testing.assert_array_equal(part.risk[mine].view(np.uint32), whole.risk[same].view(np.uint32))


def test_every_scene_is_offered_the_blend_first(healer: Healer, decomposer: Decomposer) -> None:
    offered = healed(healer, scenes(20), chains_of(decomposer, 20))
    first = np.unique(offered.scene, return_index=True)[1]
    assert len(first) == 20
    assert all(offered.source[index] == "blend" for index in first)
    assert (np.diff(offered.scene) >= 0).all()
    assert (np.abs(offered.gain) <= 1).all()
    assert ((offered.risk >= 0) & (offered.risk <= 1)).all()


def test_the_blend_is_the_draft_where_its_meaning_is_sure_and_the_forecast_where_it_is_lost(towers: Towers) -> None:
    situation = scenes(5)[4]
    view = view_of([situation, situation], towers, DIM)
    says = directions(2, 3)
    targets = blend_targets(view, says, np.zeros(2, np.float32), np.array([1, 0], np.float32), None)
    np.testing.assert_allclose(targets.blend[0], says[0], atol=1e-6)
    np.testing.assert_allclose(targets.blend[1], view.side.ridge[1], atol=1e-6)
    assert np.isnan(targets.best).all()


def test_memory_pulls_the_blend_towards_what_was_said_in_like_contexts(towers: Towers) -> None:
    situation = scenes(5)[4]
    view = view_of([situation], towers, DIM)
    arguments = (view, directions(1, 3), np.zeros(1, np.float32), np.zeros(1, np.float32))
    mean = unit(directions(HITS, 5).mean(axis=0))
    without, with_memory = (blend_targets(*arguments, hits).blend[0] for hits in (None, some_hits(1, 0.5)))
    assert with_memory @ mean > without @ mean


def test_a_memory_that_found_nothing_is_no_memory(towers: Towers) -> None:
    view = view_of(scenes(5)[4:], towers, DIM)
    arguments = (view, directions(1, 3), np.zeros(1, np.float32), np.zeros(1, np.float32))
    empty, none = blend_targets(*arguments, some_hits(1, -np.inf)), blend_targets(*arguments, None)
    np.testing.assert_array_equal(empty.blend, none.blend)
    assert np.isnan(empty.agreement).all()


def test_the_worked_example_is_among_the_candidates_because_a_person_wrote_it(
    healer: Healer, decomposer: Decomposer, lexicon: Lexicon, towers: Towers
) -> None:
    context = Situation(None, None, ("It is a room.",), ("user",), directions(1, 1))
    chain = typed_chain(decomposer, lexicon, "вход + дрожь + неясность")
    wanted = set(lexicon.parse_chain("шаг + напряжение + утро"))
    offered = healed(healer, [context], chain)
    written = [set(codes[codes >= 0].tolist()) for codes in offered.chains.codes]
    assert wanted in written
    assert offered.source[written.index(wanted)] == "authored"
    erased = Lexicon(
        lexicon.codes,
        lexicon.labels_ru,
        lexicon.symbols,
        lexicon.log_frequency,
        lexicon.register_weights,
        tuple(pair for pair in lexicon.analogues if len(pair.old) != 3),
    )
    without = healed(Healer(decomposer, erased, towers, healer.gain), [context], chain)
    assert wanted not in [set(codes[codes >= 0].tolist()) for codes in without.chains.codes]


def test_an_analogue_that_would_name_a_code_twice_is_not_offered(lexicon: Lexicon) -> None:
    pair = next(pair for pair in lexicon.analogues if len(pair.old) == 1)
    old, new = lexicon.find(pair.old[0]), lexicon.find(pair.new[0])
    found = authored(np.array([old, new, -1, -1, -1], np.int32), lexicon)
    assert all(len(set(codes[codes >= 0].tolist())) == 2 for codes in found)
    assert not any(codes[0] == codes[1] for codes in found)


def test_random_chains_are_as_long_seeded_and_without_repeats(lexicon: Lexicon) -> None:
    codes = np.array([[4, 8, 9, -1, -1]] * 30, np.int32)
    first, again = random_codes(codes, len(lexicon.codes), 3), random_codes(codes, len(lexicon.codes), 3)
    np.testing.assert_array_equal(first, again)
    assert ((first >= 0) == (codes >= 0)).all()
    assert all(len(set(row[:3].tolist())) == 3 for row in first)


def test_the_baseline_judges_as_many_random_chains_as_it_was_asked_for(
    healer: Healer, decomposer: Decomposer, lexicon: Lexicon
) -> None:
    chain = typed_chain(decomposer, lexicon, "entrance + tremor + vagueness")
    situation = Situation(None, None, ("It is a room.",), ("user",), directions(1, 1))
    baseline = healer.random_candidates(situation, chain, np.full(1, 0.1, np.float32), 25, seed=1)
    assert baseline.gain.shape == (25,)
    assert set(baseline.source) == {"random"}


def test_gain_looks_at_no_resonance() -> None:
    assert not [name for name in GAIN_FEATURES if "form" in name]


def test_risks_fall_with_gain_fidelity_and_intent(healer: Healer) -> None:
    rising = np.linspace(0, 0.9, 10, dtype=np.float32)
    half = np.full(10, 0.5, np.float32)
    assert (np.diff(healer.gain.bridge_risk(rising)) < 0).all()
    assert (np.diff(healer.gain.regeneration_risk(rising, half)) < 0).all()
    assert (np.diff(healer.gain.regeneration_risk(half, rising)) < 0).all()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ARTIFACTS, tmp_path / "artifacts")
    return tmp_path / "artifacts"


def test_the_committed_artifacts_are_those_of_the_manifest() -> None:
    manifest, found = verify(ARTIFACTS)
    assert dict(manifest.files) == found
    assert {path.name for path in ARTIFACTS.iterdir()} == {*found, MANIFEST_FILE}
    assert sum(path.stat().st_size for path in ARTIFACTS.iterdir()) < 12 << 20


def test_a_changed_missing_or_unlisted_artifact_is_named(copied: Path) -> None:
    (copied / "gain.onnx").write_bytes((copied / "heads.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"gain\.onnx is corrupt or foreign"):
        verify(copied)
    (copied / "gain.onnx").unlink()
    with pytest.raises(ModelError, match=r"gain\.onnx cannot be read"):
        verify(copied)


def test_adapters_and_analogues_may_be_replaced_and_are_told_as_found(copied: Path) -> None:
    path = copied / "analogues.tsv"
    path.write_text(path.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    manifest, found = verify(copied)
    assert found["analogues.tsv"] != manifest.files["analogues.tsv"]


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"format": 99}), '{"format": 1, "artifacts": 3}'])
def test_a_manifest_that_is_none_is_refused(copied: Path, text: str) -> None:
    (copied / MANIFEST_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="manifest"):
        verify(copied)


def test_a_gain_model_without_its_risks_is_refused(tmp_path: Path) -> None:
    shutil.copyfile(ARTIFACTS / "heads.onnx", tmp_path / "gain.onnx")
    with pytest.raises(ModelError, match=r"gain\.onnx"):
        Gain.open(tmp_path, Runtime())
