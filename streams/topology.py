"""The map: which agent reads which topic, and where each outcome goes. The README's picture is printed from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas import topics

Stage = Literal["resonance", "regeneration", "bridge", "threshold"]


@dataclass(frozen=True, slots=True)
class Agent:
    """A stage at work: it reads one topic."""

    stage: Stage
    reads: str


@dataclass(frozen=True, slots=True)
class Hop:
    """Where an agent sends an outcome, and what that means to whoever reads there."""

    stage: Stage
    outcome: str
    to: str
    meaning: str


AGENTS: tuple[Agent, ...] = (
    Agent("resonance", topics.SCENES),
    Agent("regeneration", topics.REGENERATE),
    Agent("bridge", topics.ANALOGUE),
    Agent("threshold", topics.FEEDBACK),
)

HOPS: tuple[Hop, ...] = (
    Hop("resonance", "ready", topics.READY, "go on to generation"),
    Hop("resonance", "withheld", topics.WITHHELD, "silence"),
    Hop("resonance", "reasoning", topics.REASONING, "think again"),
    Hop("resonance", "regenerate", topics.REGENERATE, "same embedding, another register"),
    Hop("resonance", "analogue", topics.ANALOGUE, "another chain"),
    Hop("regeneration", "healed", topics.SCENES, "judged again"),
    Hop("bridge", "healed", topics.SCENES, "judged again"),
    Hop("threshold", "tuned", topics.SENSITIVITY, "read by resonance"),
)


def reader_of(topic: str) -> Stage | None:
    """Return the stage that reads `topic`; None where the topic leaves the pipeline."""
    return next((agent.stage for agent in AGENTS if agent.reads == topic), None)


def goes_to(stage: Stage, outcome: str) -> str:
    """Return the topic that takes `outcome` of `stage`; raises LookupError where the map has no such hop."""
    for hop in HOPS:
        if (hop.stage, hop.outcome) == (stage, outcome):
            return hop.to
    raise LookupError(f"{stage} has no outcome {outcome!r} on the map")


def draw() -> str:
    """Return the map as text, one line a hop; what goes round is followed until it comes back."""
    lines = []
    for agent in AGENTS:
        if any(hop.to == agent.reads for hop in HOPS if reader_of(hop.to)) and agent.reads != topics.SCENES:
            continue
        head = f"{agent.reads} ──► {agent.stage} "
        hops = [hop for hop in HOPS if hop.stage == agent.stage]
        for number, hop in enumerate(hops):
            lines.append(_margin(head, number, len(hops)) + _follow(hop))
        lines.append("")
    lines.append(f"unreadable on topic T ──► {topics.dead_topic('T')}   bytes untouched, with the reason")
    lines.append(
        f"ends a worker ──► {topics.SUSPECT}   tried alone by the next; the third time ──► {topics.dead_topic('T')}"
    )
    return "\n".join(lines)


def mermaid() -> str:
    """Return the map as a Mermaid flowchart."""
    lines = ["flowchart LR"]
    lines += [f"  {_node(agent.reads)}([{agent.reads}]) --> {agent.stage}[{agent.stage}]" for agent in AGENTS]
    lines += [f"  {hop.stage} -- {hop.outcome} --> {_node(hop.to)}([{hop.to}])" for hop in HOPS]
    return "\n".join([*lines, f"  {_node(topics.SENSITIVITY)} -.-> resonance"])


def _margin(head: str, number: int, count: int) -> str:
    if count == 1:
        return f"{head}──"
    if number == 0:
        return f"{head}┬─"
    return " " * len(head) + ("└─" if number == count - 1 else "├─")


def _follow(hop: Hop) -> str:
    text = f" {hop.outcome} ".ljust(13, "─") + f"► {hop.to} ".ljust(21)
    reader = reader_of(hop.to)
    if reader is None:
        return f"{text}{hop.meaning}"
    back = next(onward for onward in HOPS if onward.stage == reader)
    return f"{text}{hop.meaning} ──► {reader} ── {back.outcome} ──► {back.to}"


def _node(topic: str) -> str:
    return "t_" + topic.replace(".", "_")
