"""Topic names, and the addresses of events in the Kafka cluster."""

from __future__ import annotations

SCENES = "scenes"
READY = "scenes.ready"
WITHHELD = "scenes.withheld"
REASONING = "scenes.reasoning"
REGENERATE = "scenes.regenerate"
ANALOGUE = "scenes.analogue"
FEEDBACK = "feedback"
SENSITIVITY = "sensitivity"
# What workers tell their successors; nothing of the pipeline flows through it, so it is not on the map.
SUSPECT = "scenes.suspect"

TOPICS = (SCENES, READY, WITHHELD, REASONING, REGENERATE, ANALOGUE, FEEDBACK, SENSITIVITY)


def dead_topic(topic: str) -> str:
    """Return the topic that takes what could not be read on `topic`."""
    return f"{topic}.dead"
