from __future__ import annotations

import hashlib
import json
import random

import pytest
from builders import decision, parts
from hypothesis import given
from hypothesis import strategies as st

from schemas.decision import Decision
from schemas.names import Verdict
from streams.replay.digest import Digest


def digest(*decisions: Decision) -> str:
    made = Digest()
    for one in decisions:
        made.add(one)
    return made.hexdigest()


def test_a_digest_is_that_of_the_stated_fields() -> None:
    line = [
        "", "d:1", 0, "ready", "fresh.resonates", None, ["entrance", "tremor", "vagueness"],
        ["0.9000", "0.5000", "0.1000", "0.8000", "0.6000", "0.1000", "0.4000", None, None, "3.0000", None],
    ]  # fmt: skip
    chained = hashlib.sha256(json.dumps(line, separators=(",", ":")).encode()).hexdigest()
    keys = json.dumps([["u", chained]], separators=(",", ":"))
    assert digest(decision()) == hashlib.sha256(keys.encode()).hexdigest()


@pytest.mark.parametrize(
    "fields",
    [
        {"scene_id": "d:2"}, {"attempt": 1}, {"verdict": Verdict.WITHHELD}, {"rule": "x"}, {"register": "dry"},
        {"resonance": 0.91}, {"threshold": 0.51}, {"risk": 0.11}, {"chain": ()}, {"user_id": "v"},
        {"parts": parts(gain=0.1)}, {"parts": parts(tension=0.0)},
    ],
    ids=str,
)  # fmt: skip
def test_what_was_decided_shows_in_it(fields: dict[str, object]) -> None:
    assert digest(decision(**fields)) != digest(decision())


@pytest.mark.parametrize(
    "fields",
    [{"reason": "other words"}, {"resonance": 0.900000001}, {"cue": "x"}, {"parts": parts(field=0.1 + 1e-9)}],
    ids=str,
)
def test_words_and_last_bits_do_not(fields: dict[str, object]) -> None:
    assert digest(decision(**fields)) == digest(decision())


def test_the_sign_of_nothing_does_not() -> None:
    assert digest(decision(parts=parts(gain=-1e-9))) == digest(decision(parts=parts(gain=1e-9)))


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(0, 2**32))
def test_keys_may_interleave_but_each_keeps_its_order(keys: list[str], seed: int) -> None:
    decisions = [decision(user_id=key, scene_id=f"{key}:{number}") for number, key in enumerate(keys)]
    queues = {key: [one for one in decisions if one.key == key] for key in set(keys)}
    rng = random.Random(seed)
    mixed = []
    while any(queues.values()):
        mixed.append(queues[rng.choice(sorted(key for key, rest in queues.items() if rest))].pop(0))
    assert digest(*mixed) == digest(*decisions)


def test_order_within_a_key_matters() -> None:
    one, two = decision(scene_id="d:1"), decision(scene_id="d:2")
    assert digest(one, two) != digest(two, one)
    assert digest(one) != digest(one, one)


def test_nothing_has_a_digest_too() -> None:
    assert digest() == hashlib.sha256(b"[]").hexdigest()
