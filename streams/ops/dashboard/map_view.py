"""The map as the page takes it: stages, hops and topics, with the names they have in this Kafka."""

from __future__ import annotations

from collections.abc import Callable

from schemas import topics
from streams.topology import AGENTS, HOPS

Json = dict[str, object]


def map_document(name_of: Callable[[str], str]) -> Json:
    """Return the document `topology`; `name_of` tells what Kafka calls a topic of the map."""
    return {
        "agents": [{"stage": one.stage, "reads": one.reads} for one in AGENTS],
        "hops": [{"stage": one.stage, "outcome": one.outcome, "to": one.to, "meaning": one.meaning} for one in HOPS],
        "tables": [{"topic": topics.SENSITIVITY, "read_by": "resonance"}],
        "names": {topic: name_of(topic) for topic in topics.TOPICS},
    }
