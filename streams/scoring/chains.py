"""Chains as events hold them and as the models do: labels and weights here, rows of the lexicon there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.arrays import FloatArray, IntArray
from models.decomposition import Chains
from models.lexicon import MAX_CODES, Lexicon
from schemas.names import REGISTERS, Register
from schemas.scene import Chain, Code

# Everything that decides is rounded, so that nothing hangs on the last bit of a float.
DECIMALS = 4
_VOICE_MIN = 0.5


def rounded(value: float | np.floating) -> float:
    """Return `value` at the four decimals that scores have."""
    return round(float(value), DECIMALS)


def to_arrays(chains: Sequence[Chain | None], lexicon: Lexicon) -> tuple[IntArray, FloatArray]:
    """Return codes (n, 5) int32, -1 where unused, and weights (n, 5); a row of no chain is all unused.

    Raises LookupError for a code that the lexicon does not have, which admission has looked for.
    """
    codes = np.full((len(chains), MAX_CODES), -1, np.int32)
    weights = np.zeros((len(chains), MAX_CODES), np.float32)
    for number, chain in enumerate(chains):
        for place, code in enumerate(chain or ()):
            row = lexicon.find(code.code)
            if row is None:
                raise LookupError(f"a scene was admitted with the code {code.code!r}, which the lexicon does not have")
            codes[number, place], weights[number, place] = row, code.weight
    return codes, weights


def to_chain(chains: Chains, number: int, lexicon: Lexicon) -> Chain:
    """Return chain `number` with its labels and rounded weights."""
    pairs = zip(chains.codes[number].tolist(), chains.weights[number].tolist(), strict=True)
    return tuple(
        Code.model_construct(code=lexicon.codes[code], weight=rounded(weight)) for code, weight in pairs if code >= 0
    )


def symbols_of(chains: Chains, number: int, lexicon: Lexicon) -> tuple[str, ...]:
    """Return the symbols of a chain's codes, to condense it; the label where a code has none."""
    return tuple(lexicon.symbols[code] or lexicon.codes[code] for code in chains.codes[number].tolist() if code >= 0)


def voice_of(chains: Chains, number: int, lexicon: Lexicon) -> Register | None:
    """Return the register that half of a chain's weight leans to at least; None where it leans to none."""
    used = chains.codes[number] >= 0
    weights = chains.weights[number][used].astype(np.float64)
    leanings = weights @ lexicon.register_weights[chains.codes[number][used]].astype(np.float64)
    strongest = int(np.argmax(leanings))
    return REGISTERS[strongest] if leanings[strongest] >= _VOICE_MIN * max(float(weights.sum()), 1e-9) else None
