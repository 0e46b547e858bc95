"""The lexicon: curated concept codes with their labels, symbols and registers, and the authored analogues."""

from __future__ import annotations

import csv
import difflib
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from models.arrays import FloatArray
from models.errors import ModelError
from schemas.names import REGISTERS

LEXICON_FILE = "lexicon.tsv"
ANALOGUES_FILE = "analogues.tsv"
LEXICON_COLUMNS = ("code", "ru", "symbol", "log_frequency", *REGISTERS)
ANALOGUE_COLUMNS = ("old", "new", "origin")
MAX_CODES = 5
# A word belongs to a register from this weight on.
MEMBER_WEIGHT = 0.5
ADVICE = "Restore the file from the project's release, or run `make models`."


@dataclass(frozen=True, slots=True)
class AuthoredAnalogue:
    """A replacement that a person wrote: `old` (a chain, or one code) may give way to `new`, place by place."""

    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Concept codes in the order of the dictionary's rows; a code's id is its English label, lower case.

    `labels_ru` and `symbols` are empty strings where there is none. `log_frequency` (n,) is log10(1 + uses per million
    words of the training dialogues). `register_weights` (n, 4) are 0..1 in the order of REGISTERS; a word is a member
    of a register from .5 on. `analogues` are in the order of their file.
    """

    codes: tuple[str, ...]
    labels_ru: tuple[str, ...]
    symbols: tuple[str, ...]
    log_frequency: FloatArray
    register_weights: FloatArray
    analogues: tuple[AuthoredAnalogue, ...] = field(default=())

    @classmethod
    def load(cls, artifacts: Path) -> Lexicon:
        """Read lexicon.tsv and analogues.tsv of a folder; raises ModelError when one is missing or malformed."""
        rows = _read_table(artifacts / LEXICON_FILE, LEXICON_COLUMNS)
        path = artifacts / LEXICON_FILE
        codes = tuple(row["code"] for row in rows)
        if not codes:
            raise ModelError(f"{path} holds no codes. {ADVICE}")
        if len(set(codes)) != len(codes) or any(code != normalise_label(code) for code in codes):
            raise ModelError(f"{path}: its codes are not unique lower-case words. {ADVICE}")
        try:
            numbers = np.array([[float(row[name]) for name in LEXICON_COLUMNS[3:]] for row in rows], np.float32)
        except ValueError as failure:
            raise ModelError(f"{path}: {failure}. {ADVICE}") from failure
        if not np.isfinite(numbers).all():
            raise ModelError(f"{path}: a frequency or weight is not finite. {ADVICE}")
        return cls(
            codes,
            tuple(row["ru"] for row in rows),
            tuple(row["symbol"] for row in rows),
            np.ascontiguousarray(numbers[:, 0]),
            np.ascontiguousarray(numbers[:, 1:]),
            read_analogues(artifacts / ANALOGUES_FILE, frozenset(codes)),
        )

    @cached_property
    def sha256(self) -> str:
        """The digest of the codes and their order: a dictionary fits a lexicon when this agrees."""
        return hashlib.sha256("\n".join(self.codes).encode()).hexdigest()

    def members(self, register: int) -> FloatArray:
        """Give 1 for each word of a register and 0 for the others, (n,) float32; -1 has every word."""
        if register < 0:
            return np.ones(len(self.codes), np.float32)
        inside: FloatArray = (self.register_weights[:, register] >= MEMBER_WEIGHT).astype(np.float32)
        return inside

    def find(self, label: str) -> int | None:
        """Give the row of an English or Russian label, whatever its case, ё as е; None when no code has it."""
        return self._rows.get(normalise_label(label))

    def parse_chain(self, text: str) -> tuple[int, ...]:
        """Read a chain such as `вход + дрожь + неясность`, in either language, into rows.

        Raises ValueError, fit for a person's eyes, when a label is unknown or repeated, or there are not one to five.
        """
        labels = [part for part in (normalise_label(part) for part in text.split("+")) if part]
        if not 1 <= len(labels) <= MAX_CODES:
            raise ValueError(
                f"A chain has one to {MAX_CODES} codes joined by +, such as 'entrance + tremor + vagueness'; "
                f"{text!r} has {len(labels)}."
            )
        rows = tuple(self._row_or_raise(label) for label in labels)
        if len(set(rows)) != len(rows):
            raise ValueError(f"The chain {text!r} names one code twice. Name each code once.")
        return rows

    def _row_or_raise(self, label: str) -> int:
        row = self.find(label)
        if row is None:
            near = difflib.get_close_matches(label, self._rows, n=3)
            hint = f"Near it are: {', '.join(near)}." if near else "Use a plain English noun, or its Russian label."
            raise ValueError(f"There is no code {label!r} among the {len(self.codes)} of the lexicon. {hint}")
        return row

    @cached_property
    def _rows(self) -> Mapping[str, int]:
        rows: dict[str, int] = {}
        # Where two codes share a Russian label, the more frequent one answers to it; English labels come before all.
        for row in np.argsort(-self.log_frequency, kind="stable").tolist():
            if self.labels_ru[row]:
                rows.setdefault(normalise_label(self.labels_ru[row]), row)
        rows.update({code: row for row, code in enumerate(self.codes)})
        return rows


def normalise_label(label: str) -> str:
    """Bring a label to the form it is looked up by: case folded, ё as е, single spaces."""
    return " ".join(label.casefold().replace("ё", "е").split())


def read_analogues(path: Path, codes: frozenset[str]) -> tuple[AuthoredAnalogue, ...]:
    """Read authored pairs; raises ModelError when a code is not in `codes` or a pair's sides differ in length."""
    pairs: list[AuthoredAnalogue] = []
    for number, row in enumerate(_read_table(path, ANALOGUE_COLUMNS), start=2):
        pair = AuthoredAnalogue(_split(row["old"]), _split(row["new"]))
        unknown = [code for code in (*pair.old, *pair.new) if code not in codes]
        if unknown:
            raise ModelError(
                f"{path}, line {number}: {unknown[0]!r} is no code of the lexicon. Use its English labels."
            )
        if len(pair.old) != len(pair.new) or not 1 <= len(pair.old) <= MAX_CODES:
            raise ModelError(f"{path}, line {number}: old and new must have as many codes, one to {MAX_CODES}.")
        pairs.append(pair)
    return tuple(pairs)


def write_lexicon(path: Path, lexicon: Lexicon) -> None:
    """Write lexicon.tsv: frequencies and weights with two decimals, so that the file is the same on every machine."""
    lines = ["\t".join(LEXICON_COLUMNS)]
    for row, code in enumerate(lexicon.codes):
        numbers = [float(lexicon.log_frequency[row]), *(float(w) for w in lexicon.register_weights[row])]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"The code {code!r} has a frequency or weight that is not finite.")
        cells = [code, lexicon.labels_ru[row], lexicon.symbols[row], *(f"{number:.2f}" for number in numbers)]
        lines.append("\t".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _split(chain: str) -> tuple[str, ...]:
    return tuple(normalise_label(part) for part in chain.split("+"))


def _read_table(path: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n")
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise ModelError(f"{path}: its columns are not {', '.join(columns)}. {ADVICE}")
            rows = list(reader)
    except OSError as failure:
        raise ModelError(f"{path} cannot be read: {failure.strerror or failure}. {ADVICE}") from failure
    except (UnicodeDecodeError, csv.Error) as failure:
        raise ModelError(f"{path} is no UTF-8 table: {failure}. {ADVICE}") from failure
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ModelError(f"{path}, line {number}: wrong number of columns. {ADVICE}")
    return rows
