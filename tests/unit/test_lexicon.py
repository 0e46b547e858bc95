from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import models
from models.errors import ModelError
from models.lexicon import LEXICON_COLUMNS, Lexicon, write_lexicon
from schemas.names import REGISTERS

ARTIFACTS = Path(models.__file__).parent / "artifacts"


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load(ARTIFACTS)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("lexicon.tsv", "analogues.tsv"):
        shutil.copyfile(ARTIFACTS / name, tmp_path / name)
    return tmp_path


def test_the_lexicon_has_two_to_four_thousand_codes_with_their_columns(lexicon: Lexicon) -> None:
    count = len(lexicon.codes)
    assert 2000 <= count <= 4000
    assert len(lexicon.labels_ru) == len(lexicon.symbols) == count
    assert lexicon.log_frequency.shape == (count,)
    assert lexicon.register_weights.shape == (count, len(REGISTERS))
    assert lexicon.register_weights.min() >= 0
    assert lexicon.register_weights.max() <= 1


def test_every_code_has_a_russian_label_of_its_own(lexicon: Lexicon) -> None:
    found = {lexicon.find(label) for label in lexicon.labels_ru}
    assert len(found) == len(lexicon.codes)


@pytest.mark.parametrize(
    ("russian", "english"),
    [
        ("вход", "entrance"),
        ("дрожь", "tremor"),
        ("неясность", "vagueness"),
        ("шаг", "step"),
        ("напряжение", "tension"),
        ("утро", "morning"),
        ("порог", "threshold"),
    ],
)
def test_the_words_of_the_worked_example_are_found_in_both_languages(
    lexicon: Lexicon, russian: str, english: str
) -> None:
    assert lexicon.find(russian) == lexicon.find(english.upper()) == lexicon.codes.index(english)


def test_labels_are_found_whatever_their_case_and_spelling_of_yo(lexicon: Lexicon) -> None:
    row = lexicon.find("child")
    assert row is not None
    assert lexicon.find("Ребёнок") == lexicon.find("  ребенок ") == row
    assert lexicon.find("no such word") is None


def test_every_word_of_an_analogue_is_found_by_its_russian_label_too(lexicon: Lexicon) -> None:
    assert len(lexicon.analogues) >= 60
    for analogue in lexicon.analogues:
        assert len(analogue.old) == len(analogue.new)
        for code in (*analogue.old, *analogue.new):
            row = lexicon.codes.index(code)
            assert lexicon.find(lexicon.labels_ru[row]) == row


def test_the_worked_example_is_authored_whole_and_code_by_code(lexicon: Lexicon) -> None:
    pairs = {analogue.old: analogue.new for analogue in lexicon.analogues}
    assert pairs["entrance", "tremor", "vagueness"] == ("step", "tension", "morning")
    assert pairs["entrance",] == ("step",)
    assert pairs["tremor",] == ("tension",)
    assert pairs["vagueness",] == ("morning",)
    assert pairs["threshold",] == ("step",)


def test_a_chain_is_read_in_either_language_and_in_both(lexicon: Lexicon) -> None:
    expected = tuple(lexicon.codes.index(code) for code in ("entrance", "tremor", "vagueness"))
    assert lexicon.parse_chain("вход + дрожь + неясность") == expected
    assert lexicon.parse_chain("entrance+Дрожь +  vagueness") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one to 5 codes"),
        (" + ", "one to 5 codes"),
        ("step + door + morning + tension + tremor + threshold", "has 6"),
        ("step + шаг", "twice"),
        ("thresholt", "Near it are: threshold"),
    ],
)
def test_a_chain_that_cannot_be_read_is_explained(lexicon: Lexicon, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lexicon.parse_chain(text)


def test_members_of_a_register_are_words_from_the_middle_weight_on(lexicon: Lexicon) -> None:
    for index in range(len(REGISTERS)):
        members = lexicon.members(index)
        assert 0.1 < members.mean() < 0.4
        assert np.array_equal(members > 0, lexicon.register_weights[:, index] >= 0.5)
    assert lexicon.members(-1).all()


def test_registers_hold_the_words_one_would_expect(lexicon: Lexicon) -> None:
    expected = {"dry": "specification", "poetic": "moonlight", "bodily": "shoulder", "symbolic": "anchor"}
    for index, register in enumerate(REGISTERS):
        assert lexicon.members(index)[lexicon.codes.index(expected[register])] == 1


def test_what_is_written_is_read_again_byte_for_byte(lexicon: Lexicon, copied: Path) -> None:
    write_lexicon(copied / "lexicon.tsv", lexicon)
    assert (copied / "lexicon.tsv").read_bytes() == (ARTIFACTS / "lexicon.tsv").read_bytes()
    assert Lexicon.load(copied).sha256 == lexicon.sha256


def test_the_file_is_a_plain_table(lexicon: Lexicon) -> None:
    with (ARTIFACTS / "lexicon.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert tuple(rows[0]) == LEXICON_COLUMNS
    assert {len(row) for row in rows} == {len(LEXICON_COLUMNS)}
    assert len(rows) == len(lexicon.codes) + 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("lexicon.tsv", "word\tru\n", "columns are not"),
        ("lexicon.tsv", "\t".join(LEXICON_COLUMNS) + "\n", "holds no codes"),
        ("lexicon.tsv", "\t".join(LEXICON_COLUMNS) + "\nstep\tшаг\n", "wrong number of columns"),
        ("lexicon.tsv", "\t".join(LEXICON_COLUMNS) + "\nstep\tшаг\t\tmany\t0\t0\t0\t0\n", "could not convert"),
        ("lexicon.tsv", "\t".join(LEXICON_COLUMNS) + "\nstep\tшаг\t\tnan\t0\t0\t0\t0\n", "not finite"),
        ("lexicon.tsv", "\t".join(LEXICON_COLUMNS) + "\nStep\tшаг\t\t1\t0\t0\t0\t0\n", "lower-case"),
        ("analogues.tsv", "old\tnew\torigin\nstep\tnowhereness\tauthored\n", "'nowhereness' is no code"),
        ("analogues.tsv", "old\tnew\torigin\nstep + door\tmorning\tauthored\n", "as many codes"),
    ],
)
def test_a_damaged_table_is_named_with_its_fault(copied: Path, name: str, text: str, message: str) -> None:
    (copied / name).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message) as caught:
        Lexicon.load(copied)
    assert name in str(caught.value)


def test_a_missing_or_binary_table_is_a_model_error(copied: Path) -> None:
    (copied / "analogues.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="UTF-8"):
        Lexicon.load(copied)
    (copied / "analogues.tsv").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        Lexicon.load(copied)
