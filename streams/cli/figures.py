"""The figures that say how good the models are, in words: what `models info` and the README show of the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

HEADLINES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "p_form, AUC over all kinds of spoiling (length alone, cosine alone)",
        ("p_form_auc", "p_form_auc_length", "p_form_auc_cosine"),
    ),
    ("… random, another turn, generic", ("p_form_auc_random", "p_form_auc_other_turn", "p_form_auc_generic")),
    ("… shattered, off topic, echo", ("p_form_auc_shattered", "p_form_auc_offtopic", "p_form_auc_echo")),
    ("p_form, calibration error", ("p_form_ece",)),
    ("p_intent, AUC; calibration error", ("p_intent_auc", "p_intent_ece")),
    ("for scenes that come as chains: p_form AUC, p_intent AUC", ("chain_p_form_auc", "chain_p_intent_auc")),
    ("human ratings (conture_turn), Spearman: p_form, cosine alone", ("conture_rho", "conture_rho_cosine")),
    ("chain's cosine with its sentence at k = 3, 5", ("cosine_k3", "cosine_k5")),
    (
        "mean cosine with the true next turn: spoilt draft, blend, blend with memory",
        ("cosine_draft", "cosine_blend_ridge", "cosine_blend_memory"),
    ),
    ("… echo (a cheat), another scene's memory", ("cosine_echo", "cosine_other_memory")),
)


def headlines(metrics: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Yield each headline and its values, as .969, with commas between several; those not measured are left out."""
    for label, names in HEADLINES:
        if all(name in metrics for name in names):
            yield label, ", ".join(f"{metrics[name]:.3f}".removeprefix("0") for name in names)
