"""The bridge: meaning weak. The chain gives way, in part or wholly, to one that is expected to hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from schemas.scene import Healing, Scene, Swap
from streams.stages.homeward import send_back
from streams.stages.policy import Routes
from streams.stages.reading import Candidate


def choose(candidates: Sequence[Candidate], routes: Routes) -> Candidate:
    """Return the candidate of the highest gain; of equals the first; authored ones only where they are allowed."""
    allowed = [one for one in candidates if routes.authored or one.source != "authored"]
    return max(allowed, key=lambda one: one.gain)


def strength(old: Sequence[str], new: Sequence[str]) -> Literal["amplified", "partial", "full"]:
    """Return how much of the old chain survived: all codes (amplified), some (partial), none (full)."""
    survived = len(set(old) & set(new))
    if survived == len(set(old)):
        return "amplified"
    return "partial" if survived else "full"


def pair(old: Sequence[str], new: Sequence[str], closeness: Sequence[Sequence[float]]) -> tuple[Swap, ...]:
    """Return which new code stands for which old one: the closest pair first, then the closest of the rest."""
    gone = {i for i, code in enumerate(old) if code not in new}
    come = {j for j, code in enumerate(new) if code not in old}
    swaps: list[Swap] = []
    while gone and come:
        i, j = max(((i, j) for i in gone for j in come), key=lambda ij: (closeness[ij[0]][ij[1]], -ij[0], -ij[1]))
        swaps.append(Swap(old=old[i], new=new[j], closeness=closeness[i][j]))
        gone.discard(i)
        come.discard(j)
    return tuple(swaps)


def bridge(scene: Scene, candidates: Sequence[Candidate], routes: Routes) -> Scene:
    """Return the scene with the best candidate in the place of its chain, on its way back to be judged."""
    best = choose(candidates, routes)
    before = scene.chain or ()
    old = [code.code for code in before]
    new = [code.code for code in best.chain]
    healing = Healing(
        route="bridge",
        before=before,
        from_register=scene.register,
        strength=strength(old, new),
        source=best.source,
        swaps=pair(old, new, best.closeness),
        symbols=best.symbols,
        fidelity=best.fidelity,
        gain=best.gain,
        risk=best.risk,
        activated=best.activated,
        nearest_reply=best.nearest_reply,
    )
    return send_back(scene, healing, best.chain, scene.register, f"{healing.strength} {best.source}")
