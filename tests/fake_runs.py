"""Run directories that look like a replay's, made without models: for tests of what reads them."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from schemas.dead import DeadLetter, DeadReason
from schemas.decision import AccountName, Decision, LedgerView, Parts
from schemas.names import REGISTERS, Origin, Register, Verdict
from schemas.scene import Code, Healing, Step, Swap

CODES = [
    "entrance", "tremor", "vagueness", "step", "tension", "morning", "door", "kitchen", "breath", "weight",
    "promise", "patience", "ferry", "ticket", "refund", "rain", "window", "engine", "signal", "winter", "bread",
    "stranger", "harbour", "silence", "ladder", "lantern", "debt", "garden", "fever", "compass", "anchor", "bridge",
]  # fmt: skip
SYMBOLS = {"step": "👣", "morning": "🌅", "door": "🚪", "rain": "🌧", "bread": "🍞", "anchor": "⚓"}
ASKED = (
    "Is the last ferry still running? The board at the harbour says nothing.",
    "I woke before the house did. The floor is cold and my shoulders will not come down.",
    "You said the refund would be here by Monday. It is Thursday.",
    "Could you read me the list again, slowly?",
    "The engine light is back. I only just paid for it.",
    "My mother keeps asking which bread I bought.",
    "What would you do if you were me, honestly?",
)
ANSWERED = (
    "The 22:40 runs tonight; boarding closes ten minutes before.",
    "Then let us begin with one slow breath, and one foot on the floor.",
    "It left us on Tuesday. Banks take two working days, so tomorrow at noon at the latest.",
    "Of course. First the flour, then the two tins, then the stamps.",
    "Then it is not the sensor they replaced. Ask them for the fault code; they have to tell you.",
    "I see. Thank you for sharing that with me.",
    "Honestly? I would wait until the morning and ring them then.",
)
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u2028{{7*7}}&amp;"
)


@dataclass(slots=True)
class _Account:
    emitted: int = 0
    errors: int = 0
    pending: int = 0
    expected: float = 0.0


@dataclass(slots=True)
class _User:
    name: str
    offered: int = 0
    theta: float = 0.5
    accounts: dict[AccountName, _Account] = field(default_factory=lambda: {"drafts": _Account(), "healed": _Account()})


@dataclass(slots=True)
class _Turn:
    """The facts of one scene that do not change with its attempts."""

    rng: random.Random
    user: _User
    scene: dict[str, object]
    chain: tuple[Code, ...]
    p_form: float
    p_intent: float
    activation: float
    lineage: tuple[Step, ...] = ()


def decisions_of(scenes: int, *, seed: int = 0, users: int = 12, mode: str = "expected") -> list[Decision]:
    """Return the decisions of a run in admission order; a few hundred scenes see every route, strength and verdict."""
    rng = random.Random(seed)
    people = [_User(f"user-{index:02d}") for index in range(users)]
    decided: list[Decision] = []
    for index in range(scenes):
        user = people[min(int(rng.expovariate(1 / 4)), users - 1)]
        decided += _scene(rng, user, index, drift=0.4 < index / scenes < 0.55, mode=mode)
    return decided


def _scene(rng: random.Random, user: _User, index: int, *, drift: bool, mode: str) -> list[Decision]:
    spoilt = rng.choice([None, None, None, "echo", "shattered", "generic", "offtopic"])
    quality = rng.betavariate(5, 2) if spoilt is None else rng.betavariate(2, 4)
    p_form = round(max(0.0, quality - 0.25 * drift), 4)
    p_intent = round(min(1.0, max(0.0, rng.gauss(0.65 if spoilt in {None, "shattered"} else 0.3, 0.17))), 4)
    dialogue = f"{user.name}-{user.offered // 24}"
    turn = _Turn(
        rng=rng,
        user=user,
        scene={
            "scene_id": f"{dialogue}:{index}",
            "dialogue_id": dialogue,
            "user_id": user.name,
            "task": rng.choice(["support", "evening", "booking"]),
            "turn": user.offered % 24,
            "spoilt": spoilt,
        },
        chain=_chain(rng, rng.sample(CODES, rng.choice([2, 3, 3, 3]))),
        p_form=p_form,
        p_intent=p_intent,
        activation=round(rng.betavariate(2, 4), 4),
    )
    user.offered += 1
    user.theta = min(max(user.theta + rng.gauss(0, 0.012) + 0.015 * drift, 0.2), 0.85)
    return _attempts(turn, mode)


def _attempts(turn: _Turn, mode: str) -> list[Decision]:
    theta = round(turn.user.theta, 4)
    if turn.p_form >= theta:
        return [_decide(turn, Origin.FRESH, Verdict.READY, "fresh.resonates", theta, mode)]
    decided = []
    register: Register = turn.rng.choice(REGISTERS)
    if turn.p_intent >= 0.5:
        decided.append(_decide(turn, Origin.FRESH, Verdict.REGENERATE, "fresh.meaning_right", theta, mode))
        fidelity = round(turn.rng.gauss(0.48, 0.1), 4)
        before = turn.chain
        turn.chain = _chain(turn.rng, [before[0].code, *turn.rng.sample(CODES, 2)])
        healing = Healing(
            route="regeneration", before=before, fidelity=fidelity, risk=round(1 - turn.p_intent * 0.9, 4)
        )
        _healed(turn, "regeneration", 1, register)
        faithful = fidelity >= 0.35
        verdict, rule = (
            (Verdict.READY, "regenerated.faithful") if faithful else (Verdict.ANALOGUE, "regenerated.strayed")
        )
        decided.append(_decide(turn, Origin.REGENERATION, verdict, rule, 0.35, mode, healing, register))
        if faithful:
            return decided
    else:
        decided.append(_decide(turn, Origin.FRESH, Verdict.ANALOGUE, "fresh.meaning_weak", theta, mode))
    healing = _bridge(turn)
    _healed(turn, "bridge", len(decided), None)
    if healing.gain is not None and healing.gain >= 0.3:
        verdict, rule = Verdict.READY, "bridged.gains"
    elif healing.activated:
        verdict, rule = Verdict.WITHHELD, "bridged.gains_little"
    else:
        verdict, rule = Verdict.REASONING, "bridged.nothing_alive"
    return [*decided, _decide(turn, Origin.BRIDGE, verdict, rule, 0.3, mode, healing)]


def _bridge(turn: _Turn) -> Healing:
    rng, before = turn.rng, turn.chain
    strength = rng.choice(["amplified", "partial", "partial", "full"])
    lost = {"amplified": 0, "partial": max(1, len(before) - 1), "full": len(before)}[strength]
    fresh = rng.sample([code for code in CODES if code not in {old.code for old in before}], lost + 1)
    swaps = tuple(
        Swap(old=old.code, new=new, closeness=round(rng.uniform(0.2, 0.8), 4))
        for old, new in zip(before[:lost], fresh, strict=False)
    )
    codes = [swap.new for swap in swaps] + [old.code for old in before[lost:]]
    turn.chain = _chain(rng, codes if strength != "amplified" else [*codes, fresh[0]])
    gain = round(min(0.9, rng.gauss(0.33, 0.12)), 4)
    return Healing(
        route="bridge",
        before=before,
        strength=strength,
        source="authored" if rng.random() < 0.06 else "blend",
        swaps=swaps,
        symbols=tuple(SYMBOLS.get(code.code, code.code) for code in turn.chain),
        fidelity=round(rng.gauss(0.3, 0.1), 4),
        gain=gain,
        risk=round(min(1.0, max(0.0, 0.75 - gain)), 4),
        activated=turn.activation >= 0.15,
        nearest_reply=rng.choice(ANSWERED),
    )


def _healed(turn: _Turn, stage: str, attempt: int, register: Register | None) -> None:
    codes = tuple(code.code for code in turn.chain)
    step = Step(
        stage=stage, attempt=attempt - 1, outcome="healed", rule=f"{stage}.best", register=register, codes=codes
    )
    turn.lineage = (*turn.lineage, step)


def _decide(
    turn: _Turn,
    origin: Origin,
    verdict: Verdict,
    rule: str,
    threshold: float,
    mode: str,
    healing: Healing | None = None,
    register: Register | None = None,
) -> Decision:
    name: AccountName = "drafts" if origin is Origin.FRESH else "healed"
    risk = round(1 - turn.p_form, 4) if healing is None else healing.risk
    reason = f"resonance {1 - risk:.2f} against {threshold:.2f} (intent {turn.p_intent:.2f})"
    alpha = 0.1 if name == "drafts" else 0.4
    account = turn.user.accounts[name]
    bound = alpha * account.emitted + 3 + 0.01 * turn.user.offered
    if verdict is Verdict.READY:
        held = account.errors + (account.pending if mode == "strict" else account.expected)
        if mode != "off" and held + (1 if mode == "strict" else risk) > bound + alpha:
            verdict, rule = Verdict.WITHHELD, f"ledger.{name}"
            reason += f", but the promise on {name} leaves no room for its risk of {risk:.2f}"
        else:
            account.emitted += 1
            account.pending += 1
            account.expected += risk
            bound += alpha
            _label(turn.rng, account, risk)
    turn.lineage = (
        *turn.lineage,
        Step(
            stage="resonance",
            attempt=sum(step.outcome == "healed" for step in turn.lineage),
            outcome=verdict.value,
            rule=rule,
            register=register,
            resonance=round(1 - risk, 4),
            codes=tuple(code.code for code in turn.chain),
        ),
    )
    cue = " + ".join(f"{code.code} {code.weight:.2f}" for code in turn.chain)
    return Decision(
        **turn.scene,
        attempt=turn.lineage[-1].attempt,
        origin=origin,
        verdict=verdict,
        rule=rule,
        reason=reason,
        register=register,
        resonance=round(1 - risk, 4),
        parts=_parts(turn, healing),
        threshold=threshold,
        risk=risk,
        ledger=LedgerView(
            account=name,
            offered=turn.user.offered,
            emitted=account.emitted,
            errors=account.errors,
            pending=account.pending,
            expected=round(account.expected, 4),
            bound=round(bound, 4),
        ),
        chain=turn.chain,
        cue=f"say: {cue} | keep: the draft's meaning" if healing is not None and verdict is Verdict.READY else None,
        healing=healing,
        lineage=turn.lineage,
        final=verdict in {Verdict.READY, Verdict.WITHHELD, Verdict.REASONING},
    )


def _label(rng: random.Random, account: _Account, risk: float) -> None:
    if rng.random() < 0.8:
        account.pending -= 1
        account.expected = max(0.0, account.expected - risk)
        account.errors += rng.random() < risk * 0.5


def _parts(turn: _Turn, healing: Healing | None) -> Parts:
    rng = turn.rng
    return Parts(
        intent=turn.p_intent,
        fidelity=round(rng.gauss(0.58, 0.08), 4) if healing is None else healing.fidelity,
        field=round(rng.betavariate(2, 9), 4),
        activation=turn.activation,
        depth=round(rng.betavariate(1.2, 4), 4),
        tension=round(rng.betavariate(4, 5), 4),
        density=round(rng.gammavariate(4, 0.8), 4),
        gain=None if healing is None else healing.gain,
    )


def _chain(rng: random.Random, codes: list[str]) -> tuple[Code, ...]:
    weights = sorted((round(rng.uniform(0.2, 0.8), 4) for _ in codes), reverse=True)
    return tuple(Code(code=code, weight=weight) for code, weight in zip(dict.fromkeys(codes), weights, strict=False))


def write_run(
    folder: Path,
    decisions: list[Decision],
    *,
    texts: bool = True,
    mode: str = "expected",
    interrupted: bool = False,
    dead: list[DeadLetter] | None = None,
    words: str | None = None,
) -> Path:
    """Write a run's directory of `decisions` and return it; every text is `words` where they are given."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [decision.model_dump_json(by_alias=True) for decision in decisions]
    (folder / "decisions.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    if texts:
        with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
            for decision in decisions:
                if decision.final:
                    file.write(f"{json.dumps(_texts(decision.scene_id, words), ensure_ascii=False)}\n")
    letters = dead or []
    (folder / "dead.jsonl").write_text("".join(f"{letter.model_dump_json()}\n" for letter in letters), "utf-8")
    summary = _summary(decisions, mode=mode, interrupted=interrupted, dead=len(letters))
    (folder / "summary.json").write_text(json.dumps(summary, indent=2), "utf-8")
    return folder


def _texts(scene_id: str, words: str | None) -> dict[str, object]:
    rng = random.Random(scene_id)
    context = []
    for _ in range(rng.randint(1, 5)):
        context.append({"role": "user", "text": words or rng.choice(ASKED)})
        context.append({"role": "assistant", "text": words or rng.choice(ANSWERED)})
    context.append({"role": "user", "text": words or rng.choice(ASKED)})
    return {"scene_id": scene_id, "context": context, "draft": words or rng.choice(ANSWERED)}


def _summary(decisions: list[Decision], *, mode: str, interrupted: bool, dead: int) -> dict[str, object]:
    final = [decision for decision in decisions if decision.final]
    return {
        "scenes": len(final),
        "final": {name: sum(one.verdict == name for one in final) for name in ("ready", "withheld", "reasoning")},
        "healed": sum(one.verdict is Verdict.READY and one.healing is not None for one in final),
        "by_verdict": {verdict.value: sum(one.verdict is verdict for one in decisions) for verdict in Verdict},
        "dead": dead,
        "digest": hashlib.sha256(str(len(decisions)).encode()).hexdigest(),
        "seconds": round(len(final) / 231.4 + 0.2, 3),
        "scenes_per_second": 231.4 if final else 0.0,
        "stages": {
            name: {"count": len(final) // 40 + 1, "p50_ms": p50, "p99_ms": p99}
            for name, p50, p99 in (
                ("models.encode", 118.2, 240.6),
                ("resonance", 9.41, 21.7),
                ("models.regeneration", 1.3, 4.02),
                ("models.bridge", 6.77, 15.9),
                ("threshold", 0.041, 0.2),
            )
        },
        "models": {
            name: hashlib.sha256(name.encode()).hexdigest()
            for name in ("encoder", "decomposition", "heads", "gain", "ridge")
        },
        "settings": {
            "models": {"provider": "cpu", "threads": 1, "max_batch": 64},
            "gate": {
                "mode": mode,
                "theta0": 0.5,
                "alpha": 0.1,
                "alpha_healed": 0.4,
                "fidelity_min": 0.35,
                "gain_min": 0.3,
            },
            "routes": {"regeneration": True, "bridge": True, "authored": True},
            "memory": None,
        },
        "interrupted": interrupted,
        "logs": ["evenings.jsonl", "night_shift.jsonl.gz"],
        "seed": 0,
        "spoil": "echo,shattered,generic,offtopic:0.5",
        "feedback": {"inapplicable": 41, "learnt": 388, "repeated": 6} if final else {},
        "controls": {"regeneration": _controls(0.71, 467), "bridge": _controls(0.6, 484)} if len(final) > 500 else {},
    }


def _controls(healed: float, scenes: int) -> dict[str, float]:
    rivals = {"lower_threshold": 0.66, "random_codes": 0.18, "echo": 0.44, "length": 0.31, "cosine": 0.39}
    return {"scenes": float(scenes), "healed": healed, "unhealed": 0.22, **rivals}


def some_dead() -> list[DeadLetter]:
    """Return a few dead letters of three reasons."""
    detail = "the draft is empty; leave the turn out, or say what it says"
    return [
        DeadLetter(source="log.jsonl", line=4, reason=DeadReason.EMPTY_DRAFT, detail=detail, raw="{}"),
        DeadLetter(source="log.jsonl", line=9, reason=DeadReason.EMPTY_DRAFT, detail=detail, raw="{}"),
        DeadLetter(
            source="log.jsonl", line=11, reason=DeadReason.BROKEN_JSON, detail="the line ends too early", raw="{"
        ),
        DeadLetter(source="log.jsonl", line=12, reason=DeadReason.TOO_LONG, detail="70,112 bytes; 65,536 is the most"),
    ]
