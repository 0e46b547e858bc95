"""The word lists that the lexicon is made from, and the counts that its frequencies and registers rest on."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.training.data import CORPORA, read_dialogues

WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True)
class Curated:
    """A code chosen by hand, its Russian label, and its symbol: empty for the one of that name, `-` for none."""

    code: str
    ru: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Prose:
    """Word counts of the verse and of the dry prose, and by how many poets each word was used."""

    verse: Counter[str]
    dry: Counter[str]
    poets: dict[str, int]


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a gzipped tab-separated file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


def read_curated(path: Path) -> list[Curated]:
    """Read the curated codes in the order of the file."""
    with path.open(encoding="utf-8") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Curated(row["code"], row["ru"], row["symbol"]) for row in rows]


def read_seeds(path: Path) -> frozenset[str]:
    """Read the seeds of the bodily register: words that a body feels, does or is made of."""
    return frozenset(path.read_text(encoding="utf-8").split())


def count_dialogue_words(data: Path) -> Counter[str]:
    """Count the words of the train dialogues, each corpus brought to the same size, for sgd would drown the others."""
    total: Counter[str] = Counter()
    for corpus in CORPORA:
        counts = Counter(
            word
            for dialogue in read_dialogues(data, corpus, "train")
            for turn in dialogue.turns
            for word in WORD.findall(turn.text.lower())
        )
        size = sum(counts.values())
        total.update({word: round(1e6 * count / size) for word, count in counts.items()})
    return total


def count_prose(data: Path) -> Prose:
    """Count the words of verse and of dry prose; the prose of 1911 counts three times, else the century is found."""
    verse: Counter[str] = Counter()
    poets: dict[str, set[str]] = defaultdict(set)
    for row in read_table(data / "poems_pd.tsv.gz"):
        words = WORD.findall(row["line"].lower())
        verse.update(words)
        for word in words:
            poets[word].add(row["author"])
    dry: Counter[str] = Counter()
    for name, times in (("dry_prose.tsv.gz", 1), ("dry_prose_1911_control.tsv.gz", 3)):
        for row in read_table(data / name):
            for word in WORD.findall(row["sentence"].lower()):
                dry[word] += times
    return Prose(verse, dry, {word: len(names) for word, names in poets.items()})


def read_symbols(data: Path, codes: frozenset[str]) -> dict[str, tuple[str, float]]:
    """Give code -> (symbol, closeness 0..1) by the names of symbols, never by their keywords.

    A code that is a symbol's whole name has closeness 1, the head of a longer name .75, another word of one .5. Of
    several names the closest wins, then the shortest, then the first.
    """
    best: dict[str, tuple[float, int, str]] = {}
    for row in read_table(data / "cldr_symbols_en_ru.tsv.gz"):
        words = row["en_name"].lower().split()
        for place, word in enumerate(words):
            if word not in codes or len(words) > 3:
                continue
            closeness = 1.0 if len(words) == 1 else 0.75 if place == len(words) - 1 else 0.5
            if word not in best or (closeness, -len(words)) > best[word][:2]:
                best[word] = (closeness, -len(words), row["symbol"])
    return {word: (symbol, closeness) for word, (closeness, _, symbol) in best.items()}
