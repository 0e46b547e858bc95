"""A bot of a few lines: it sends what it would say as scenes, and acts on what becomes of each.

Needs a broker with topics and a worker: `make kafka`, `scenestream topics create`, `scenestream worker`.
"""

import asyncio
import json
import os
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

BROKER = os.environ.get("SCENESTREAM_KAFKA__BOOTSTRAP_SERVERS", "localhost:9092")
LINES = Path(__file__).with_name("score.jsonl").read_text(encoding="utf-8").splitlines()


def generate(context: list[str], cue: str) -> str:
    """Give the cue to your own generator: the cue says what to say and in which voice, the words are its own."""
    return f"(words for: {context[-1]!r}, told to {cue})"


async def main() -> None:
    sent = {f"{line['id']}-{time.time_ns()}": line for line in map(json.loads, LINES)}
    async with AIOKafkaProducer(bootstrap_servers=BROKER) as producer:
        for name, line in sent.items():
            said = [
                {"role": ("user", "assistant")[place % 2], "text": text} for place, text in enumerate(line["context"])
            ]
            scene = {"type": "scene", "dialogue_id": name, "turn": len(said), "context": said, "draft": line["draft"]}
            await producer.send_and_wait("scenes", json.dumps(scene).encode(), key=name.encode())
    outcomes = ("scenes.ready", "scenes.withheld", "scenes.reasoning")
    how = {"auto_offset_reset": "earliest", "isolation_level": "read_committed"}
    async with AIOKafkaConsumer(*outcomes, bootstrap_servers=BROKER, **how) as decisions:
        while sent:
            decision = json.loads((await decisions.getone()).value)
            match sent.pop(decision["dialogue_id"], None), decision["verdict"], decision["cue"]:
                case (None, _, _):
                    continue
                case (line, "ready", None):
                    print(f"says     {line['draft']}")
                case (line, "ready", cue):
                    print(f"rewrites {generate(line['context'], cue)}")
                case (line, "withheld", _):
                    print(f"is quiet instead of saying {line['draft']!r}: {decision['reason']}")
                case (line, "reasoning", _):
                    print(f"thinks again about {line['context'][-1]!r}: {decision['reason']}")


asyncio.run(main())
