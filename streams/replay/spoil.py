"""Spoil a share of a log's drafts on purpose, so that healing can be seen at work; seeded by scene."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from models.spoiling import GENERIC, OFFTOPIC, Kind, Pools, Surroundings, parse_kinds, spoil
from schemas.scene import Scene
from streams.replay.items import Item

_REMEMBERED_REPLIES = 512


@dataclass(frozen=True, slots=True)
class Spoiling:
    """Which ways, what share of the drafts (0 to 1), and the seed."""

    kinds: tuple[Kind, ...]
    share: float
    seed: int

    @classmethod
    def parse(cls, text: str, seed: int) -> Spoiling:
        """Read `KINDS:SHARE`, e.g. `shattered,echo:0.3`; raises ValueError that says what is wrong."""
        kinds, colon, share = text.rpartition(":")
        try:
            value = float(share)
        except ValueError:
            value = -1.0
        if not colon or not 0.0 <= value <= 1.0:
            raise ValueError(f"{text!r} is not KINDS:SHARE with a share from 0 to 1, e.g. shattered,echo:0.3")
        return cls(parse_kinds(kinds), value, seed)


def spoil_items(items: Iterable[Item], spoiling: Spoiling) -> Iterator[Item]:
    """Yield the items with a share of the drafts spoilt; the same seed spoils the same scenes in the same way."""
    replies: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED_REPLIES)
    for item in items:
        scene = item.event
        if not isinstance(scene, Scene) or scene.draft is None:
            yield item
            continue
        rng = Random(f"{spoiling.seed}:{scene.scene_id}")  # noqa: S311 - seeded sampling, not secrets
        if rng.random() < spoiling.share:
            yield Item(item.where, _spoilt(scene, scene.draft, spoiling.kinds, replies, rng), truth=scene.draft)
        else:
            yield item
        replies.append((scene.dialogue_id, scene.draft))


def _spoilt(
    scene: Scene, draft: str, kinds: tuple[Kind, ...], replies: Iterable[tuple[str, str]], rng: Random
) -> Scene:
    kind = kinds[rng.randrange(len(kinds))]
    last_user = next((said.text for said in reversed(scene.context) if said.role == "user"), "")
    around = Surroundings(last_user, [said.text for said in scene.context])
    others = tuple(text for dialogue_id, text in replies if dialogue_id != scene.dialogue_id)
    pools = Pools(random=others or OFFTOPIC, offtopic=OFFTOPIC, generic=GENERIC)
    text = spoil(kind, draft, around, rng, pools)
    # A draft of one word cannot be shattered: what is still as it was is not called spoilt.
    if text == draft:
        return scene
    return scene.model_copy(update={"draft": text, "spoilt": kind, "embedding": None, "chain": None})
