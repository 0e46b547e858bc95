from __future__ import annotations

import json

import pytest
import yaml

from schemas import export, topics
from schemas.feedback import Feedback
from schemas.scene import Scene


def test_generated_files_are_those_that_are_committed() -> None:
    fresh = {**export.json_schemas(), "asyncapi.yaml": export.asyncapi()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in export.FOLDER.iterdir()}
    assert committed == fresh, "the schemas changed: run `make schemas` and commit what it writes"


def test_every_topic_has_a_channel_with_a_message_that_exists() -> None:
    document = yaml.safe_load(export.asyncapi())
    assert {channel["address"] for channel in document["channels"].values()} == {*topics.TOPICS, topics.SUSPECT}
    for channel in document["channels"].values():
        for message in channel["messages"]:
            assert message in document["components"]["messages"]
            assert f"{message}.schema.json" in export.json_schemas()


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("scene", Scene(dialogue_id="d", turn=1, draft="x")),
        ("feedback", Feedback(dialogue_id="d", turn=1, rating=0.5)),
    ],
)
def test_the_schema_names_every_field_that_is_sent(name: str, event: Scene | Feedback) -> None:
    schema = json.loads(export.json_schemas()[f"{name}.schema.json"])
    assert set(json.loads(event.model_dump_json())) <= set(schema["properties"])
    assert schema["additionalProperties"] is False
