from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import models
from models.arrays import FloatArray, unit
from models.decomposition import Chains, Decomposer
from models.errors import ModelError
from models.features import DEPTH_TEMPERATURE, text_features, vector_features, view_of
from models.fluency import FLUENCY_FEATURES, Fluency, words_of
from models.heads import CHAIN_HEADS_FILE, DRAFT_HEADS_FILE, Heads
from models.measures import DEPTH_TEMPERATURE as MEASURED_TEMPERATURE
from models.measures import cosines, depth
from models.sessions import Runtime
from models.situation import Situation
from models.towers import Towers

ARTIFACTS = Path(models.__file__).parent / "artifacts"
DIM = 384
SENTENCES = (
    "Can you book me a table for two at seven?",
    "Sure, which restaurant do you have in mind?",
    "The small one by the river, please.",
    "It is fully booked at seven; would half past eight do?",
    "That works. Do they have parking?",
    "There is a car park behind the house.",
)


@pytest.fixture(scope="module")
def decomposer() -> Decomposer:
    return Decomposer.open(ARTIFACTS, Runtime())


@pytest.fixture(scope="module")
def towers() -> Towers:
    return Towers.open(ARTIFACTS, Runtime())


@pytest.fixture(scope="module")
def heads(decomposer: Decomposer, towers: Towers) -> Heads:
    return Heads.open(ARTIFACTS, Runtime(), decomposer, towers)


def directions(count: int, seed: int) -> FloatArray:
    """Vectors that lean one way, as those of sentences do."""
    rng = np.random.default_rng(seed)
    return unit((rng.standard_normal((count, DIM)) + 0.7 * np.sin(np.arange(DIM))).astype(np.float32))


def scenes(count: int) -> list[Situation]:
    """Scenes of 0 to 9 turns; some have no text, some no context."""
    found = []
    for number in range(count):
        turns = number % 10
        vectors = directions(turns + 1, number)
        texts = tuple(SENTENCES[(number + turn) % len(SENTENCES)] for turn in range(turns))
        roles = tuple("user" if (turns - turn) % 2 else "assistant" for turn in range(turns))
        text = None if number % 7 == 3 else SENTENCES[(number * 5) % len(SENTENCES)]
        found.append(Situation(text, vectors[turns], texts, roles, vectors[:turns]))
    return found


def plain(decomposer: Decomposer, situations: list[Situation]) -> Chains:
    drafts = np.stack([situation.draft for situation in situations if situation.draft is not None])
    count = len(drafts)
    return decomposer.decompose(drafts, np.full(count, -1, np.int8), np.full(count, 3))


def chosen(chains: Chains, rows: np.ndarray) -> Chains:
    return Chains(chains.codes[rows], chains.weights[rows], chains.vectors[rows], chains.fidelity[rows])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_probabilities_have_the_same_bits_in_any_batch(heads: Heads, decomposer: Decomposer, size: int) -> None:
    situations = scenes(70)
    chains = plain(decomposer, situations)
    whole = (*heads.scenes(situations), *heads.chains(situations, chains))
    order = np.random.default_rng(size).permutation(70)
    for start in range(0, 70, size):
        rows = order[start : start + size]
        some = [situations[row] for row in rows]
        part = (*heads.scenes(some), *heads.chains(some, chosen(chains, rows)))
        for expected, found in zip(whole, part, strict=True):
            np.testing.assert_array_equal(expected[rows].view(np.uint32), found.view(np.uint32))


def test_probabilities_are_probabilities_even_of_scenes_without_text_or_context(
    heads: Heads, decomposer: Decomposer
) -> None:
    situations = scenes(40)
    for chances in (*heads.scenes(situations), *heads.chains(situations, plain(decomposer, situations))):
        assert chances.dtype == np.float32
        assert ((chances >= 0) & (chances <= 1)).all()


def test_nothing_to_judge_gives_nothing(heads: Heads, decomposer: Decomposer) -> None:
    none = plain(decomposer, scenes(1))
    assert heads.scenes([])[0].shape == (0,)
    assert heads.chains([], chosen(none, np.zeros(0, np.int64)))[1].shape == (0,)


def test_a_scene_without_a_draft_is_sent_to_the_heads_for_chains(heads: Heads) -> None:
    with pytest.raises(ValueError, match="chain"):
        heads.scenes([Situation(None, None, (), (), np.zeros((0, DIM), np.float32))])


def test_depth_is_the_measure_of_that_name_as_long_as_the_context_is_recent(towers: Towers) -> None:
    assert DEPTH_TEMPERATURE == MEASURED_TEMPERATURE
    for situation in scenes(9):
        if situation.draft is None or len(situation.context) < 2:
            continue
        view = view_of([situation], towers, DIM)
        features = vector_features(view, situation.draft[None], towers.replies(situation.draft[None]))
        assert features[0, 9] == pytest.approx(depth(cosines(situation.draft, situation.context)), abs=1e-5)


def test_a_shuffled_sentence_runs_worse_than_the_sentence() -> None:
    fluency = Fluency.open(ARTIFACTS)
    place = FLUENCY_FEATURES.index("fluency_mean")
    straight = words_of("i would like to book a table for two at seven")
    assert fluency.features(straight)[place] > fluency.features(straight[1::2] + straight[::2])[place] + 1.0


def test_an_echo_is_seen_in_the_words() -> None:
    nothing = np.zeros((1, DIM), np.float32)
    fluency = Fluency.open(ARTIFACTS)
    echo = text_features(Situation(SENTENCES[0], nothing[0], (SENTENCES[0],), ("user",), nothing), fluency)
    other = text_features(Situation(SENTENCES[5], nothing[0], (SENTENCES[0],), ("user",), nothing), fluency)
    assert echo[6] == 1.0 > other[6]


@pytest.mark.parametrize("name", [DRAFT_HEADS_FILE, CHAIN_HEADS_FILE, "fluency.npy"])
@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_a_bad_file_is_named_with_what_to_do(
    tmp_path: Path, decomposer: Decomposer, towers: Towers, name: str, damage: str
) -> None:
    for file in (DRAFT_HEADS_FILE, CHAIN_HEADS_FILE, "fluency.npy"):
        shutil.copyfile(ARTIFACTS / file, tmp_path / file)
    path = tmp_path / name
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif name == "fluency.npy":
        np.save(path, np.zeros(3, np.float16))
    else:
        shutil.copyfile(ARTIFACTS / "reply_tower.onnx", path)
    with pytest.raises(ModelError, match=name):
        Heads.open(tmp_path, Runtime(), decomposer, towers)
