"""Ways to spoil a good draft: text in, text out, seeded; for training and for replays that want failures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

Kind = Literal["random", "other_turn", "generic", "shattered", "offtopic", "echo"]
KINDS: tuple[Kind, ...] = get_args(Kind)

GENERIC: tuple[str, ...] = (
    "I see.",
    "Okay.",
    "That is interesting.",
    "I am not sure.",
    "Tell me more.",
    "Really?",
    "I understand.",
    "That makes sense.",
    "Good to know.",
    "Sure.",
    "Maybe.",
    "I think so too.",
    "Yes, I agree.",
    "No, not really.",
    "I don't know what to say.",
    "That sounds good.",
    "Alright then.",
    "Could you say that again?",
    "What do you mean?",
    "Oh, I had no idea.",
    "That's nice.",
    "I guess so.",
    "Fair enough.",
    "Hmm, let me think about it.",
    "You might be right about that.",
    "It depends.",
    "That is a good question.",
    "Thank you for telling me.",
    "Well, that is how it goes.",
    "I would say so.",
    "Who knows.",
    "I have heard that before.",
    "Please go on.",
    "Everyone is different.",
    "Is that so?",
    "I never thought of it that way.",
    "We will see what happens.",
    "I am happy to hear that.",
    "I am sorry to hear that.",
    "That could be true.",
    "How do you feel about it?",
    "There is a lot to think about.",
)

OFFTOPIC: tuple[str, ...] = (
    "The glaze has to dry overnight before the second firing.",
    "Penguins keep their eggs on top of their feet.",
    "The bridge was painted green in the spring of that year.",
    "You should sharpen the chisel before you touch the oak.",
    "Our choir rehearses in the old chapel on Thursdays.",
    "The comet will not be visible again for seventy years.",
    "She repaired the clock with a spring from a music box.",
    "Most of the beehives survived the winter.",
    "The tide comes in quickly on this side of the bay.",
    "He collects stamps with lighthouses on them.",
    "The violin needs a new bridge and two strings.",
    "Add the yeast only when the milk has cooled down.",
    "The tunnel is closed for maintenance until March.",
    "Moss grows better on the shaded side of the wall.",
    "They found a Roman coin under the kitchen floor.",
    "The parachute is folded by hand and checked twice.",
    "Their goat escaped through the hedge again.",
    "The recipe calls for two spoons of ground cardamom.",
    "A good saddle should never press on the spine.",
    "The lighthouse keeper wrote down the wind every hour.",
    "My uncle builds canoes out of cedar strips.",
    "The printing press jammed right before the deadline.",
    "Volcanic soil is excellent for growing tomatoes.",
    "The referee forgot to start the stopwatch.",
    "We insulated the attic with sheep's wool.",
    "The submarine surfaced twenty miles north of the island.",
    "Fold the paper along the diagonal and press it flat.",
    "The museum moved its dinosaur skeleton to the lobby.",
    "Chess openings were studied in his family for generations.",
    "The dentist recommended a softer brush.",
    "Icebergs float with most of their mass under water.",
    "The tailor shortened the sleeves by an inch.",
    "Our telescope has a mirror of twelve inches.",
    "The ferry does not run when the fog is thick.",
    "He planted a row of plum trees behind the barn.",
    "The crystal grows slowly in a saturated solution.",
    "Her thesis is about medieval trade in salt.",
    "The boiler makes that sound when the pressure drops.",
    "Camels can close their nostrils against the sand.",
    "The orchestra tunes to the oboe.",
    "Wipe the lens with a dry cloth and nothing else.",
    "The court adjourned until the following Monday.",
    "They sail to the reef to count the turtles.",
    "The carpet was woven in a village near the border.",
    "Owls swallow their prey whole.",
    "The glider landed in a field of barley.",
    "Polish the brass with lemon and salt.",
    "The vaccine has to be kept below eight degrees.",
    "My grandmother spoke four languages and wrote in none of them.",
    "The antenna points south because of the satellite.",
    "Cut the leather a little larger than the pattern.",
    "The harvest festival begins with a parade of tractors.",
    "Their kayak has a small leak near the stern.",
    "The archive smells of dust and vinegar.",
    "A falcon can see a mouse from a great height.",
    "The foundation must settle for a month before you build on it.",
    "The marathon route crosses the river three times.",
    "Graphite is softer than it looks.",
    "The puppet theatre opens after the last frost.",
    "He tied the boat with a knot that I had never seen.",
    "The glacier moved eleven metres last summer.",
    "Weigh the flour instead of measuring it in cups.",
)


@dataclass(frozen=True, slots=True)
class Pools:
    """Where replacements come from: replies of other dialogues, replies off the topic, and replies fit for nothing."""

    random: Sequence[str] = OFFTOPIC
    offtopic: Sequence[str] = OFFTOPIC
    generic: Sequence[str] = GENERIC


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a spoiler may look at: the user's last turn ('' if there is none) and other turns of this dialogue."""

    last_user: str
    other_turns: Sequence[str]


SHIPPED_POOLS = Pools()

_EDGE_MARKS = re.compile(r"^\W+|\W+$")


def _other_than(avoid: str, pool: Sequence[str], fallback: Sequence[str], rng: Random) -> str:
    """Draw from `pool` what is not `avoid`, from `fallback` when a dozen draws find nothing."""
    for candidates in (pool, fallback):
        for _ in range(12 if candidates else 0):
            text = candidates[rng.randrange(len(candidates))]
            if text.strip().casefold() != avoid.strip().casefold():
                return text
    return fallback[0]


def shatter(text: str, rng: Random) -> str:
    """Drop a fifth to a half of the words and shuffle the rest; half of the time case and marks go too.

    A text of one word has no order to break: it is returned as it is.
    """
    words = text.split()
    if len(words) < 2:
        return text
    if rng.random() < 0.5:
        words = [_EDGE_MARKS.sub("", word).lower() or word for word in words]
    keep = max(2, round(len(words) * (1.0 - rng.uniform(0.2, 0.5))))
    kept = rng.sample(range(len(words)), keep)
    # A shuffle may come out in the old order, which would break nothing; turning it round always does.
    order = kept if kept != sorted(kept) else kept[::-1]
    return " ".join(words[index] for index in order)


def _random(draft: str, _: Surroundings, pools: Pools, rng: Random) -> str:
    return _other_than(draft, pools.random, OFFTOPIC, rng)


def _other_turn(draft: str, around: Surroundings, pools: Pools, rng: Random) -> str:
    others = [text for text in around.other_turns if text != around.last_user]
    return _other_than(draft, others, pools.random or OFFTOPIC, rng)


def _generic(draft: str, _: Surroundings, pools: Pools, rng: Random) -> str:
    return _other_than(draft, pools.generic, GENERIC, rng)


def _shattered(draft: str, _: Surroundings, __: Pools, rng: Random) -> str:
    return shatter(draft, rng)


def _offtopic(draft: str, _: Surroundings, pools: Pools, rng: Random) -> str:
    return _other_than(draft, pools.offtopic, OFFTOPIC, rng)


def _echo(draft: str, around: Surroundings, pools: Pools, rng: Random) -> str:
    return around.last_user or _other_than(draft, pools.offtopic, OFFTOPIC, rng)


_SPOILERS: Mapping[Kind, Callable[[str, Surroundings, Pools, Random], str]] = {
    "random": _random,
    "other_turn": _other_turn,
    "generic": _generic,
    "shattered": _shattered,
    "offtopic": _offtopic,
    "echo": _echo,
}


def spoil(kind: Kind, draft: str, around: Surroundings, rng: Random, pools: Pools = SHIPPED_POOLS) -> str:
    """Spoil `draft` in one way; the same seed gives the same text.

    Args:
        kind: one of KINDS.
        draft: the reply as it was meant.
        around: the user's last turn (what `echo` copies) and other turns of the dialogue (what `other_turn` takes).
        rng: the source of chance.
        pools: replies of other dialogues and off the topic; without them written sentences of our own serve.

    Returns:
        A text that differs from the draft, except that a draft of one word cannot be shattered and that an echo
        of a user who said the same is the same.

    """
    return _SPOILERS[kind](draft, around, pools, rng)


def parse_kinds(text: str) -> tuple[Kind, ...]:
    """Read kinds written as `shattered,offtopic,echo`; raises ValueError naming what is unknown and what there is."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = {kind: kind for kind in KINDS}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"unknown way of spoiling: {', '.join(unknown) or '(none)'}; choose from {', '.join(KINDS)}")
    return tuple(dict.fromkeys(known[name] for name in names if name in known))
