from __future__ import annotations

import numpy as np
from builders import chain, judged, policy, reading, rendering, row, scene

from schemas.names import Origin
from schemas.scene import Scene
from schemas.sensitivity import DialogueRow
from streams.stages import regeneration


def onward() -> Scene:
    judgement = judged(scene(), reading(p_form=0.2), row(), policy())
    assert judgement.onward is not None
    return judgement.onward


def test_the_register_that_this_dialogue_likes_is_switched_on() -> None:
    liking = row(likes=(0, 0.1, 0, 0), dialogues=(DialogueRow(dialogue_id="d", likes=(0, 0, 0.2, 0)),))
    assert regeneration.choose_register(scene(), row()) == "dry"
    assert regeneration.choose_register(scene(), liking) == "bodily"
    assert regeneration.choose_register(scene(register="bodily"), liking) == "poetic"
    assert regeneration.choose_register(scene(dialogue="other"), liking) == "poetic"


def test_the_register_it_is_in_is_switched_off_even_where_it_is_liked_most() -> None:
    assert regeneration.choose_register(scene(register="dry"), row()) == "poetic"
    assert regeneration.choose_register(scene(register="poetic"), row(likes=(0, 1, 0, 0))) == "dry"


def test_the_same_embedding_is_held_in_other_words() -> None:
    before = onward()
    healed = regeneration.regenerate(before, rendering("poetic"))
    assert before.embedding is not None
    assert healed.embedding == before.embedding
    assert before.embedding.to_numpy().dtype == np.float32
    assert (healed.origin, healed.attempt, healed.register) == (Origin.REGENERATION, 1, "poetic")
    assert [code.code for code in healed.chain or ()] == ["doorway", "shiver", "mist"]
    assert healed.healing is not None
    assert healed.healing.before == chain()
    assert (healed.healing.fidelity, healed.healing.risk, healed.healing.gain) == (0.6, 0.2, None)
    assert Scene.model_validate_json(healed.model_dump_json()) == healed


def test_the_lineage_tells_each_step() -> None:
    healed = regeneration.regenerate(onward(), rendering("poetic"))
    assert [(step.stage, step.attempt, step.outcome) for step in healed.lineage] == [
        ("resonance", 0, "regenerate"),
        ("regeneration", 0, "healed"),
    ]
    assert healed.lineage[1].codes == ("doorway", "shiver", "mist")
