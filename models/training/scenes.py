"""Scenes for training and measuring: true next turns, and the same turns spoilt in every way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from models.arrays import FloatArray
from models.situation import Situation
from models.spoiling import KINDS, Kind, Pools, Surroundings, spoil
from models.training.data import Dialogue, Position
from models.training.vectors import TextVectors

Origin = Literal["real", "random", "other_turn", "generic", "shattered", "offtopic", "echo"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One scene: what was said before, a draft of some origin, and the true next turn, all encoded."""

    position: Position
    origin: Origin
    situation: Situation
    truth: FloatArray

    @property
    def real(self) -> bool:
        """Whether the draft is the true next turn."""
        return self.origin == "real"


class Replies:
    """Replies of the assistants of many dialogues, to spoil with: any of them, or those of another task."""

    def __init__(self, dialogues: Sequence[Dialogue], generic: Sequence[str]) -> None:
        self._generic = generic
        self._all: list[tuple[str, str]] = []
        self._by_corpus: dict[str, list[tuple[str, frozenset[str], str]]] = defaultdict(list)
        for dialogue in dialogues:
            tasks = frozenset(dialogue.task.split("+"))
            for turn in dialogue.turns[1::2]:
                self._all.append((dialogue.id, turn.text))
                self._by_corpus[dialogue.corpus].append((dialogue.corpus, tasks, turn.text))

    def pools(self, dialogue: Dialogue, rng: Random) -> Pools:
        """Draw small pools for one scene of `dialogue`: replies of other dialogues, and of dialogues on other tasks.

        Off the topic means another task of the same corpus where it has several, and another corpus otherwise.
        """
        drawn = [self._all[rng.randrange(len(self._all))] for _ in range(8)]
        others = [text for dialogue_id, text in drawn if dialogue_id != dialogue.id]
        tasks = frozenset(dialogue.task.split("+"))
        corpora = [dialogue.corpus] if dialogue.corpus in {"sgd", "selfdialogue"} else []
        corpora = corpora or [corpus for corpus in sorted(self._by_corpus) if corpus != dialogue.corpus]
        far: list[str] = []
        for _ in range(60):
            pool = self._by_corpus[corpora[rng.randrange(len(corpora))]]
            _, their_tasks, text = pool[rng.randrange(len(pool))]
            if not tasks & their_tasks:
                far.append(text)
            if len(far) == 4:
                break
        return Pools(random=others, offtopic=far, generic=self._generic)


def spoilt_text(position: Position, kind: Kind, replies: Replies, seed: int) -> str:
    """Spoil the true turn of a position; a seed of its own for each position and kind."""
    dialogue = position.dialogue
    rng = Random(f"{seed}:{dialogue.id}:{position.turn}:{kind}")
    others = [turn.text for index, turn in enumerate(dialogue.turns[:17]) if index != position.turn]
    around = Surroundings(last_user=dialogue.turns[position.turn - 1].text, other_turns=others)
    return spoil(kind, position.truth, around, rng, replies.pools(dialogue, rng))


def make_example(position: Position, origin: Origin, text: str, vectors: TextVectors) -> Example:
    """Put a draft into its place in the dialogue; all texts must be prepared in `vectors`."""
    context = position.context
    situation = Situation(
        draft_text=text,
        draft=vectors[text],
        context_texts=tuple(turn.text for turn in context),
        context_roles=tuple(turn.role for turn in context),
        context=vectors.rows(turn.text for turn in context),
    )
    return Example(position, origin, situation, vectors[position.truth])


def real_and_spoilt(positions: Sequence[Position], vectors: TextVectors, replies: Replies, seed: int) -> list[Example]:
    """Give every position with its true turn and with each way of spoiling it: seven examples a position.

    Examples of a position follow each other, the real one first, then the kinds in the order of KINDS.
    """
    texts = {
        (index, kind): spoilt_text(position, kind, replies, seed)
        for index, position in enumerate(positions)
        for kind in KINDS
    }
    said = (turn.text for position in positions for turn in position.dialogue.turns[: position.turn + 1])
    vectors.prepare([*texts.values(), *said])
    examples: list[Example] = []
    for index, position in enumerate(positions):
        examples.append(make_example(position, "real", position.truth, vectors))
        examples += [make_example(position, kind, texts[index, kind], vectors) for kind in KINDS]
    return examples
