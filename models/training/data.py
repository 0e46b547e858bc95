"""The dialogues that the models learn from, and the one split that keeps the held-out ones out."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from schemas.names import Role

Split = Literal["train", "calib", "test"]

CORPORA = ("sgd", "taskmaster4", "selfdialogue", "topicalchat")

LICENCES: Mapping[str, str] = {
    "sgd_dialogues": "CC BY-SA 4.0; google-research-datasets/dstc8-schema-guided-dialogue @ e852981",
    "taskmaster4_dialogues": "CC BY 4.0; google-research-datasets/Taskmaster @ d92cb6a",
    "selfdialogue_dialogues": "BSD-3-Clause; jfainberg/self_dialogue_corpus @ 113a1b0",
    "topicalchat_dialogues": "CDLA-Sharing-1.0; alexa/Topical-Chat @ 7c93922",
}

WORD_LICENCES: Mapping[str, str] = {
    "glasgow_norms": "CC BY 4.0; Scott, Keitel, Becirspahic, Yao & Sereno 2019, The Glasgow Norms",
    "oewn_lexfiles": "CC BY 4.0 and WordNet licence; Open English WordNet, derived from Princeton WordNet",
    "poems_pd": "public domain; CC0 edition",
    "dry_prose": "CC0 / US government work; NIST SP 800-63-3, republished courtesy of NIST",
    "cldr_symbols_en_ru": "Unicode-3.0; Copyright (c) 2004-2025 Unicode, Inc.",
    "en_ru_concepticon": "CC BY 4.0; Concepticon, List et al.",
}

# Of a hundred dialogues eighty teach, ten calibrate, ten are measured on.
_CALIB_FROM = 80
_TEST_FROM = 90


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance and who said it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue of a corpus: its first speaker is the user, the second the assistant; turns alternate."""

    id: str
    corpus: str
    task: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """A turn of the assistant in a dialogue: what was said before it is the context, the turn itself the truth."""

    dialogue: Dialogue
    turn: int

    @property
    def context(self) -> tuple[Turn, ...]:
        """The turns before this one, oldest first."""
        return self.dialogue.turns[: self.turn]

    @property
    def truth(self) -> str:
        """What was really said."""
        return self.dialogue.turns[self.turn].text


def split_of(dialogue_id: str) -> Split:
    """Say which part a dialogue belongs to, by the sha256 of its id: the only place where this is decided."""
    bucket = int(hashlib.sha256(dialogue_id.encode()).hexdigest()[:8], 16) % 100
    if bucket < _CALIB_FROM:
        return "train"
    return "calib" if bucket < _TEST_FROM else "test"


def read_rows(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `name`.jsonl.gz in the folder `data`."""
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _task(corpus: str, row: Mapping[str, Any]) -> str:
    if corpus == "sgd":
        return "+".join(sorted({service.split("_")[0].lower() for service in row["services"]}))
    if corpus == "selfdialogue":
        return str(row["topic"])
    return "coffee" if corpus == "taskmaster4" else "chat"


def read_dialogues(data: Path, corpus: str, split: Split) -> list[Dialogue]:
    """Read the dialogues of one corpus that belong to `split`, in the order of the file."""
    roles: tuple[Role, Role] = ("user", "assistant")
    found = []
    for row in read_rows(data, f"{corpus}_dialogues"):
        if split_of(row["id"]) != split or len(row["turns"]) < 2:
            continue
        first = row["turns"][0][0]
        turns = tuple(Turn(roles[turn[0] != first], turn[1]) for turn in row["turns"])
        found.append(Dialogue(row["id"], corpus, _task(corpus, row), turns))
    return found


def sample_dialogues(data: Path, split: Split, per_corpus: Mapping[str, int], seed: int) -> list[Dialogue]:
    """Draw up to `per_corpus[corpus]` dialogues of each corpus, seeded; corpora follow each other in a fixed order."""
    drawn: list[Dialogue] = []
    for corpus in CORPORA:
        dialogues = read_dialogues(data, corpus, split)
        Random(f"{seed}:{corpus}:{split}").shuffle(dialogues)
        drawn += dialogues[: per_corpus.get(corpus, 0)]
    return drawn


def sample_positions(dialogues: Sequence[Dialogue], per_dialogue: int, max_turn: int, seed: int) -> list[Position]:
    """Draw up to `per_dialogue` assistant turns among the first `max_turn` turns of each dialogue, seeded."""
    rng = Random(f"{seed}:positions")
    positions = []
    for dialogue in dialogues:
        candidates = list(range(1, min(len(dialogue.turns), max_turn), 2))
        chosen = sorted(rng.sample(candidates, min(per_dialogue, len(candidates))))
        positions += [Position(dialogue, turn) for turn in chosen]
    return positions
