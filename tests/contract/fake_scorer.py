"""Models that know nothing: what they say of a scene is a hash of its texts, so it is the same in every batch."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from builders import DIMENSIONS, TERMS

from models.situation import Situation
from schemas.decision import Parts
from schemas.names import REGISTERS, Origin
from schemas.scene import Chain, Code, Scene
from streams.scoring.port import Encoded, Wish
from streams.stages.admit import Terms
from streams.stages.reading import Candidate, Reading, Rendering


def chance(*about: object) -> float:
    """Return 0 to 1 at 4 decimals, the same for the same words."""
    return round(int.from_bytes(hashlib.sha256(repr(about).encode()).digest()[:4]) / 2**32, 4)


@dataclass
class FakeScorer:
    """A Scorer that keeps count of who asked for what; `pause_seconds` makes it slow.

    On certain drafts the encoder fails, or a method never answers, or the process is gone, or the answer is none that a
    stage can stand.
    """

    pause_seconds: float = 0.0
    fails_on: str | None = None
    hangs_on: str | None = None
    hangs_in: str = "encode"
    dies_on: str | None = None
    breaks_on: str | None = None
    batches: dict[str, list[int]] = field(default_factory=dict)
    threads: dict[str, set[str]] = field(default_factory=dict)

    def encode(self, scenes: Sequence[Scene]) -> list[Encoded]:
        self._note("encode", scenes)
        if any(scene.draft == self.fails_on for scene in scenes if scene.draft is not None):
            raise ZeroDivisionError("the encoder failed")
        nothing = np.zeros((0, DIMENSIONS), np.float32)
        return [Encoded(one, Situation(one.draft, None, (), (), nothing), cut=False) for one in scenes]

    def read(self, scenes: Sequence[Encoded]) -> list[Reading]:
        self._note("read", [one.scene for one in scenes])
        readings = [_read(one.scene) for one in scenes]
        if self.breaks_on is None:
            return readings
        return [
            replace(reading, parts=cast("Parts", None)) if one.scene.draft == self.breaks_on else reading
            for one, reading in zip(scenes, readings, strict=True)
        ]

    def render(self, wishes: Sequence[Wish]) -> list[Rendering]:
        self._note("render", [wish.encoded.scene for wish in wishes])
        return [_render(wish) for wish in wishes]

    def bridge(self, wishes: Sequence[Wish]) -> list[tuple[Candidate, ...]]:
        self._note("bridge", [wish.encoded.scene for wish in wishes])
        return [(_candidate(wish, "blend"), _candidate(wish, "authored")) for wish in wishes]

    def terms(self) -> Terms:
        return TERMS

    def _note(self, what: str, scenes: Sequence[Scene]) -> None:
        time.sleep(self.pause_seconds)
        if self.hangs_in == what and any(scene.draft == self.hangs_on for scene in scenes if scene.draft is not None):
            threading.Event().wait()
        if any(scene.draft == self.dies_on for scene in scenes if scene.draft is not None):
            os._exit(139)
        self.batches.setdefault(what, []).append(len(scenes))
        self.threads.setdefault(what, set()).add(threading.current_thread().name)


def _chain(about: object, codes: int) -> Chain:
    return tuple(Code(code=f"code{int(chance(about, place) * 9)}.{place}", weight=0.5) for place in range(codes))


def _read(scene: Scene) -> Reading:
    about = (scene.draft, scene.context)
    intent = chance("intent", about)
    return Reading(
        p_form=chance("form", about) if scene.origin is Origin.FRESH else None,
        chain=scene.chain or _chain(about, 3),
        parts=Parts(intent=intent, fidelity=chance("fit", about), field=chance("field", about), density=3.0),
        voice=REGISTERS[int(chance("voice", about) * 4) % 4],
        embedding=np.array([chance(about, axis) for axis in range(DIMENSIONS)], np.float32),
        cut=False,
    )


def _render(wish: Wish) -> Rendering:
    scene = wish.encoded.scene
    about = (scene.draft, wish.register, wish.codes)
    assert wish.register is not None
    return Rendering(
        register=wish.register,
        chain=_chain(about, wish.codes),
        symbols=tuple("∗" * wish.codes),
        fidelity=chance("fidelity", about),
        risk=round(chance("risk", about) / 2, 4),
    )


def _candidate(wish: Wish, source: str) -> Candidate:
    scene = wish.encoded.scene
    about = (scene.draft, scene.register, wish.codes, source)
    chain = _chain(about, wish.codes)
    return Candidate(
        source="blend" if source == "blend" else "authored",
        chain=chain,
        symbols=tuple("∗" * wish.codes),
        closeness=tuple(tuple(chance(about, i, j) for j in range(len(chain))) for i in range(len(scene.chain or ()))),
        fidelity=chance("fidelity", about),
        gain=round(chance("gain", about) * 0.5, 4),
        risk=round(chance("risk", about) / 2, 4),
        activated=chance("alive", about) > 0.3,
        nearest_reply=None,
    )
