"""A bot of a few lines: it sends what it would say as scenes, and acts on what becomes of each.

`python examples/bot.py LINES.jsonl` takes other lines than score.jsonl, of the same form.

Needs a broker with topics and a worker: `make kafka`, `scenestream topics create`, `scenestream worker`.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

BROKER = os.environ.get("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", "localhost:9092")
OUTCOMES = ("scenes.ready", "scenes.withheld", "scenes.reasoning", "scenes.dead")
LINES = Path(sys.argv[1] if sys.argv[1:] else Path(__file__).with_name("score.jsonl")).read_text("utf-8").splitlines()


def generate(context: list[str], cue: str) -> str:
    """Give the cue to your own generator: the cue says what to say and in which voice, the words are its own."""
    return f"(words for: {context[-1]!r}, told to {cue})"


def act(record: ConsumerRecord, line: dict) -> None:
    """Do what became of a draft says."""
    if record.topic == "scenes.dead":
        print(f"cannot say {line['draft'][:40]!r}: {dict(record.headers)['__dlq.errors.message'].decode()}")
        return
    decision = json.loads(record.value)
    match record.topic, decision["cue"]:
        case "scenes.ready", None:
            print(f"says     {line['draft']}")
        case "scenes.ready", cue:
            print(f"rewrites {generate(line['context'], cue)}")
        case "scenes.withheld", _:
            print(f"is quiet instead of saying {line['draft']!r}: {decision['reason']}")
        case "scenes.reasoning", _:
            print(f"thinks again about {line['context'][-1]!r}: {decision['reason']}")


async def main() -> None:
    sent = {f"{line['id']}-{time.time_ns()}": line for line in map(json.loads, LINES)}
    async with AIOKafkaProducer(bootstrap_servers=BROKER) as producer:
        for name, line in sent.items():
            said = [
                {"role": ("user", "assistant")[place % 2], "text": text} for place, text in enumerate(line["context"])
            ]
            scene = {"type": "scene", "dialogue_id": name, "turn": len(said), "context": said, "draft": line["draft"]}
            await producer.send_and_wait("scenes", json.dumps(scene).encode(), key=name.encode())
    how = {"auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    async with AIOKafkaConsumer(*OUTCOMES, bootstrap_servers=BROKER, **how) as outcomes:
        while sent:
            record = await outcomes.getone()
            # Others' outcomes are there, too: of who has no user the key is the dialogue's id.
            line = sent.pop((record.key or b"").decode(), None)
            if line is not None:
                act(record, line)


asyncio.run(main())
