"""The words that the report uses, one line each."""

from __future__ import annotations

GLOSSARY = {
    "scene": "one dialogue turn: what was said before it and the draft of what to say next",
    "chain": "one to five concept codes with weights, what the scene brings into the dialogue",
    "resonance": "p_form, the calibrated probability that a person would accept this scene, said this way, here",
    "intent": "p_intent, the calibrated probability that its meaning is right, however it is said",
    "register": "a voice: dry, poetic, bodily or symbolic",
    "regeneration": "the same embedding, decomposed again in another register",
    "bridge": "the chain is strengthened (amplified) or replaced in part or in full by what held in like scenes",
    "gain": "the predicted cosine of the healed chain with the true next turn, −1 to 1",
    "fidelity": "the cosine of the chain's vector with the scene's embedding, −1 to 1",
    "field": "how strongly the codes excite where they land, 0 to 1",
    "activation": "the nearest that anything in the context or memory comes to the draft, 0 to 1",
    "depth": "how far back lies what the draft activates: 0 the last turn, 1 the first",
    "tension": "0 where the codes pull one way, towards 1 where they tear apart",
    "density": "codes per ten words of the draft",
    "threshold": "the resonance a fresh scene needs; it belongs to each dialogue and follows its feedback",
    "ledger": "what a user was offered, given and let down by; a scene that would break its bound is withheld",
    "withheld": "silence: an outcome with a budget of its own, not an error",
    "lineage": "every hop of a scene's life, in order",
    "digest": "sha256 over the decisions in canonical order; the same log and settings give the same one",
}
