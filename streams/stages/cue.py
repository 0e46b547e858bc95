"""The cue: one line for a generator, since the words of a healed scene do not exist yet."""

from __future__ import annotations

from schemas.scene import Chain, Healing
from streams.stages.preferences import CONDENSED_BREVITY

_REPLY_CHARACTERS = 160


def write_cue(chain: Chain, healing: Healing, register: str | None, brevity: float) -> str:
    """Return what to say instead: codes with weights, voice, what to keep, the nearest accepted reply.

    For a listener who likes it brief the codes are condensed to their symbols where they have one.
    """
    condensed = brevity >= CONDENSED_BREVITY
    labels = healing.symbols if condensed and healing.symbols else tuple(code.code for code in chain)
    parts = ["say: " + " + ".join(f"{label} {code.weight:.2f}" for label, code in zip(labels, chain, strict=True))]
    if register is not None:
        parts.append(f"voice: {register}")
    old = {code.code for code in healing.before}
    kept = [code.code for code in chain if code.code in old]
    if healing.route == "regeneration":
        parts.append("keep: the draft's meaning")
    elif kept:
        parts.append("keep: " + ", ".join(kept))
    else:
        parts.append("keep: nothing of the draft")
    if condensed:
        parts.append("length: as brief as can be")
    if healing.nearest_reply is not None:
        reply = " ".join(healing.nearest_reply.split())
        parts.append(
            "like: “" + (reply if len(reply) <= _REPLY_CHARACTERS else reply[: _REPLY_CHARACTERS - 1] + "…") + "”"
        )
    return " | ".join(parts)
