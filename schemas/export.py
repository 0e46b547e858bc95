"""Write what other languages read: a JSON Schema for each event, and asyncapi.yaml for the topics."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel

from schemas import topics
from schemas.base import SCHEMA_VERSION
from schemas.dead import DeadLetter
from schemas.decision import Decision
from schemas.feedback import Feedback
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from schemas.suspect import Suspect

FOLDER = Path(__file__).parent / "generated"
EVENTS: Mapping[str, type[BaseModel]] = {
    "scene": Scene,
    "feedback": Feedback,
    "decision": Decision,
    "sensitivity": Sensitivity,
    "dead_letter": DeadLetter,
    "suspect": Suspect,
}
# Topic, event, who sends it as seen from the pipeline, and what it is for.
_CHANNELS: tuple[tuple[str, str, str, str], ...] = (
    (topics.SCENES, "scene", "receive", "Scenes to be judged; healed ones come back here."),
    (topics.FEEDBACK, "feedback", "receive", "How words that were said were taken, and what a listener prefers."),
    (topics.REGENERATE, "scene", "send", "Meaning right, words wrong: the same embedding, another register."),
    (topics.ANALOGUE, "scene", "send", "Meaning weak: another chain."),
    (topics.READY, "decision", "send", "Go on to generation."),
    (topics.WITHHELD, "decision", "send", "Say nothing."),
    (topics.REASONING, "decision", "send", "Think again."),
    (topics.SENSITIVITY, "sensitivity", "send", "The table's changelog, compacted: one row a key."),
    (
        topics.SUSPECT,
        "suspect",
        "send",
        "What a worker failed on, compacted: tried alone by the next, dead the third time. `begun`: what is first.",
    ),
)
_COMPACTED = {topics.SENSITIVITY, topics.SUSPECT}


def json_schemas() -> dict[str, str]:
    """Return {file name: JSON Schema 2020-12} for every event."""
    written = {}
    for name, model in EVENTS.items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:scenestream:{name}:{SCHEMA_VERSION}",
            **model.model_json_schema(by_alias=True, mode="serialization" if name == "decision" else "validation"),
        }
        written[f"{name}.schema.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return written


def asyncapi() -> str:
    """Return the topics as AsyncAPI 3.0 with Kafka bindings."""
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "scenestream",
            "version": str(SCHEMA_VERSION),
            "description": "Keys are user_id, or dialogue_id where there is no user. Values are JSON.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_name(topic): _channel(topic, event, text) for topic, event, _, text in _CHANNELS},
        "operations": {f"{action}_{_name(topic)}": _operation(topic, action) for topic, _, action, _ in _CHANNELS},
        "components": {
            "messages": {event: _message(event) for event in sorted({event for _, event, _, _ in _CHANNELS})}
        },
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def write(folder: Path = FOLDER) -> list[Path]:
    """Write all generated files into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in {**json_schemas(), "asyncapi.yaml": asyncapi()}.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _channel(topic: str, event: str, text: str) -> dict[str, object]:
    cleanup = "compact" if topic in _COMPACTED else "delete"
    return {
        "address": topic,
        "description": text,
        "messages": {event: {"$ref": f"#/components/messages/{event}"}},
        "bindings": {
            "kafka": {"topic": topic, "topicConfiguration": {"cleanup.policy": [cleanup]}, "bindingVersion": "0.5.0"}
        },
    }


def _operation(topic: str, action: str) -> dict[str, object]:
    return {"action": action, "channel": {"$ref": f"#/channels/{_name(topic)}"}}


def _message(event: str) -> dict[str, object]:
    return {
        "name": event,
        "contentType": "application/json",
        "payload": {"$ref": f"./{event}.schema.json"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
    }


def _name(topic: str) -> str:
    return topic.replace(".", "_")


if __name__ == "__main__":
    write()
