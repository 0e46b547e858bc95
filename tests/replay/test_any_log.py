"""Any log of lines right, wrong, twice and out of place: nothing is lost, and the contract of its run holds."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.scene import Scene
from streams.replay.reader import Selection, read_logs
from streams.replay.run_dir import RunWriter
from streams.runtimes.embedded import EmbeddedRuntime
from streams.runtimes.lanes import Batching
from streams.stages.policy import Gate, Policy, Routes
from tests.contract.fake_scorer import FakeScorer
from tests.replay.run_contract import check_lines, summary_of

# Few names and turns, so that they meet. A dialogue is of one user: under another one its turns are other scenes.
turns = st.fixed_dictionaries({"turn": st.integers(0, 12) | st.sampled_from([300, 301, 700])})
whose = st.sampled_from([("a", "u"), ("b", "u"), ("c", "v"), ("d", None)])
keys = st.builds(lambda key, turn: {"dialogue_id": key[0], "user_id": key[1], **turn}, whose, turns)
strange = st.builds(lambda key, user: key | {"user_id": user}, keys, st.sampled_from(["u", "v", None]))
words = st.sampled_from(["Well.", "It is late.", "The ferry goes at ten.", "", "\u200b", "🚢", "x" * 65_537])
scenes = st.builds(lambda key, draft: {"type": "scene", "draft": draft, **key}, keys, words)
labels = st.builds(lambda key, good: {"type": "feedback", "accepted": good, **key}, keys | strange, st.booleans())
told = st.builds(
    lambda key, register, brevity: {
        "type": "feedback", "preference": {"register": register, "brevity": brevity}, **key
    },
    keys,
    st.sampled_from(["dry", "poetic", "loud"]),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
)  # fmt: skip
wrong = st.sampled_from(["", "{", "[]", "0", "NaN", '{"type": "scene"}', '{"messages": [1]}', "\ufeff{}"])
lines = st.lists(st.one_of(scenes, scenes, labels, told).map(json.dumps) | wrong, max_size=60)
policies = st.builds(
    Policy,
    gate=st.builds(
        Gate,
        mode=st.sampled_from(["strict", "expected", "off", "observe"]),
        alpha=st.sampled_from([0.0, 0.1, 1.0]),
        slack=st.sampled_from([0.0, 1.0, 3.0]),
        rho=st.sampled_from([0.0, 0.01]),
        expiry_turns=st.integers(1, 12),
        max_healings=st.integers(0, 2),
    ),
    routes=st.builds(Routes, regeneration=st.booleans(), bridge=st.booleans()),
)
batchings = st.builds(Batching, st.sampled_from([1, 3, 64]), st.just(0.0), st.sampled_from([8, 768]))


def replayed(log: Path, run: Path, policy: Policy, batching: Batching) -> int:
    """Replay as the program does, with models that know nothing; return how many lines came to something."""
    scorer = FakeScorer()
    runtime = EmbeddedRuntime(scorer, policy, batching)
    settled = 0
    with RunWriter(run, keep_texts=True) as writer:
        for outcome in runtime.run(read_logs([str(log)], scorer.terms(), Selection(32))):
            settled += 1
            if outcome.dead is not None:
                writer.dead(outcome.dead)
            elif outcome.feedback is not None:
                writer.feedback(outcome.feedback)
            else:
                assert isinstance(outcome.item.event, Scene)
                writer.scene(outcome.item.event, outcome.decisions)
        facts = {"seconds": 0.0, "scenes_per_second": 0.0, "stages": runtime.timings.summary(), "models": {}}
        writer.finish(
            runtime.rows, facts | {"interrupted": False, "settings": {"gate": policy.gate.model_dump(mode="json")}}
        )
    return settled


@settings(max_examples=60)
@given(lines, policies, batchings, batchings)
def test_nothing_is_lost_and_all_adds_up(log: list[str], policy: Policy, one: Batching, other: Batching) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "log.jsonl").write_text("\n".join(log), "utf-8")
        settled = replayed(folder / "log.jsonl", folder / "one", policy, one)
        assert settled == sum(bool(line.strip()) for line in log)
        check_lines(folder / "one")
        summary = summary_of(folder / "one")
        assert settled == summary["scenes"] + summary["dead"] + sum(summary["feedback"].values())
        assert replayed(folder / "log.jsonl", folder / "other", policy, other) == settled
        for file in ("decisions.jsonl", "dead.jsonl", "sensitivity.jsonl", "texts.jsonl"):
            assert (folder / "one" / file).read_bytes() == (folder / "other" / file).read_bytes()
