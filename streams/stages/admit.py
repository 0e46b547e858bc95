"""Admit: what stands on a line or in a message becomes an event, or a reason why not and what to do."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from schemas.base import SCHEMA_VERSION, unknown_version
from schemas.dead import DeadReason
from schemas.feedback import Feedback
from schemas.names import REGISTERS, ROLES, Origin
from schemas.scene import Chain, Code, Scene
from schemas.sensitivity import DialogueRow
from streams.stages import rows

MAX_TEXT_BYTES = 64 * 1024
_LONGEST_WHAT = 240
_LENGTHS_OF_VECTORS = (1e-6, 1e6)
_MODELS: Mapping[str, type[Scene | Feedback]] = {"scene": Scene, "feedback": Feedback}

REMEDIES: Mapping[DeadReason, str] = {
    DeadReason.BROKEN_JSON: "write one JSON object a line, in UTF-8",
    DeadReason.NOT_TEXT: "write it in UTF-8",
    DeadReason.UNKNOWN_FORMAT: 'send {"messages": [...]}, or an object of "type": "scene" or "feedback"',
    DeadReason.UNKNOWN_VERSION: f"send version {SCHEMA_VERSION}, or upgrade scenestream",
    DeadReason.WRONG_FIELDS: "see schemas/generated for the fields of each event",
    DeadReason.UNKNOWN_ROLE: f"use one of {', '.join(ROLES)}",
    DeadReason.UNKNOWN_REGISTER: f"use one of {', '.join(REGISTERS)}",
    DeadReason.UNKNOWN_CODE: "use a code of the lexicon: `scenestream models info --codes` lists them",
    DeadReason.WRONG_VECTOR: "send the finite, non-zero output of the encoder that `scenestream models info` names",
    DeadReason.EMPTY_DRAFT: "send words, an embedding or a chain",
    DeadReason.TOO_LONG: f"send at most {MAX_TEXT_BYTES} bytes of UTF-8 a text",
    DeadReason.DUPLICATE: "send each turn of a dialogue once",
    DeadReason.OUT_OF_ORDER: "send a dialogue's turns in rising order",
    DeadReason.UNKNOWN_SCENE: "send feedback after its scene, with the dialogue_id, turn and user_id of the decision",
    DeadReason.NO_VALUE: "send an event; a message without a value deletes nothing here",
    DeadReason.WRONG_KEY: "key each message by its user_id, or by its dialogue_id where there is no user",
    DeadReason.POISON: "a stage failed on it; see __dlq.errors.message, mend the cause, then redrive",
    DeadReason.HUNG: "see what of it takes the models so long, or raise models.deadline_seconds; then redrive",
    DeadReason.DIED: "see what of it ends the process (memory, a native library); mend or raise that, then redrive",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an input is not admitted: the kind, what is wrong where, and what stood there in its own words."""

    reason: DeadReason
    what: str
    said: str = ""

    @property
    def detail(self) -> str:
        """What, where, and what to do, in one line of bounded length whatever the names in it hold."""
        what = f"{self.what}: {self.said}" if self.said else self.what
        what = " ".join("".join(c if c.isprintable() else " " for c in what[:_LONGEST_WHAT]).split())
        return f"{what}; {REMEDIES[self.reason]}"

    def without_words(self) -> Refusal:
        """Return the same refusal for those who keep no words of what was sent."""
        return replace(self, said="")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the loaded models ask of an event: the size of vectors, and the code that a label stands for."""

    dimensions: int
    find_code: Callable[[str], str | None]


def read_json(line: bytes) -> object | Refusal:
    """Return what a line of JSON says."""
    try:
        text = line.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        return Refusal(DeadReason.NOT_TEXT, f"byte {error.start} is not UTF-8")
    try:
        value: object = from_json(text)
    except ValueError as error:
        return Refusal(DeadReason.BROKEN_JSON, f"not JSON: {error}")
    return value


def admit(value: object, terms: Terms) -> Scene | Feedback | Refusal:
    """Return the scene or feedback that `value`, one JSON object, stands for."""
    if not isinstance(value, dict):
        return Refusal(DeadReason.UNKNOWN_FORMAT, f"a line holds {_kind(value)}, not an object")
    model = _MODELS.get(str(value.get("type")))
    if model is None:
        return Refusal(DeadReason.UNKNOWN_FORMAT, "`type` is none of ours", f"{value.get('type')!r:.60}")
    version = unknown_version(value)
    if version is not None:
        return Refusal(DeadReason.UNKNOWN_VERSION, f"`version` is not {SCHEMA_VERSION}", f"{version:.60}")
    try:
        event: Scene | Feedback = model.model_validate(value)
    except ValidationError as error:
        return _refuse(error.errors(include_url=False, include_context=False))
    except RecursionError:
        return Refusal(DeadReason.WRONG_FIELDS, "the object is nested too deeply")
    return check_scene(event, terms) if isinstance(event, Scene) else event


def check_scene(scene: Scene, terms: Terms) -> Scene | Refusal:
    """Return the scene with its chain in the lexicon's own codes, or why it cannot be scored."""
    if scene.draft is not None:
        refusal = check_text(scene.draft, "`draft`")
        if refusal is not None:
            return refusal
    for position, utterance in enumerate(scene.context):
        if len(utterance.text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
            return Refusal(DeadReason.TOO_LONG, f"`context.{position}.text` is over {MAX_TEXT_BYTES} bytes")
    if scene.embedding is not None:
        refusal = _check_vector(scene, terms.dimensions)
        if refusal is not None:
            return refusal
    if scene.chain is None:
        return scene
    chain = _known_chain(scene.chain, terms)
    return chain if isinstance(chain, Refusal) else scene.model_copy(update={"chain": chain})


def check_fresh(scene: Scene) -> Refusal | None:
    """Return why a scene of a log is none that a log may hold: it was healed already."""
    if scene.origin is Origin.FRESH and scene.attempt == 0 and not scene.lineage:
        return None
    return Refusal(DeadReason.WRONG_FIELDS, "`origin`, `attempt` and `lineage` are set by the pipeline, not by a log")


def check_text(text: str, where: str) -> Refusal | None:
    """Return why a text cannot be a draft: nothing to be seen in it, or too much."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        return Refusal(DeadReason.TOO_LONG, f"{where} is {size} bytes")
    if all(unicodedata.category(character) in {"Cf", "Cc", "Zs", "Zl", "Zp"} for character in text):
        return Refusal(DeadReason.EMPTY_DRAFT, f"{where} is empty")
    return None


def place(scene: Scene, dialogue: DialogueRow) -> Refusal | None:
    """Return why a scene cannot be the next of its dialogue."""
    match rows.place(dialogue, scene.turn):
        case "next":
            return None
        case "duplicate":
            return Refusal(DeadReason.DUPLICATE, f"turn {scene.turn} of dialogue {scene.dialogue_id:.80} came before")
        case "out_of_order":
            what = f"turn {scene.turn} of dialogue {scene.dialogue_id:.80} came after turn {dialogue.last_turn}"
            return Refusal(DeadReason.OUT_OF_ORDER, what)


def unknown_scene(feedback: Feedback) -> Refusal:
    """Return the refusal of feedback on a scene that is not within its dialogue's window."""
    what = f"no scene {feedback.scene_id:.120} within the last {rows.WINDOW_TURNS} turns of its dialogue"
    return Refusal(DeadReason.UNKNOWN_SCENE, what)


def _check_vector(scene: Scene, dimensions: int) -> Refusal | None:
    assert scene.embedding is not None  # noqa: S101 - the caller looked
    vector = scene.embedding.to_numpy()
    if vector.size != dimensions:
        return Refusal(
            DeadReason.WRONG_VECTOR, f"`embedding` has {vector.size} numbers, the encoder gives {dimensions}"
        )
    shortest, longest = _LENGTHS_OF_VECTORS
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not shortest < length < longest:
        return Refusal(DeadReason.WRONG_VECTOR, f"`embedding` is a vector of length {length:.3g}")
    return None


def _known_chain(chain: Chain, terms: Terms) -> Chain | Refusal:
    known: list[Code] = []
    for position, code in enumerate(chain):
        found = terms.find_code(code.code)
        if found is None:
            return Refusal(DeadReason.UNKNOWN_CODE, f"`chain.{position}.code` is no code", f"{code.code!r:.80}")
        if found in {other.code for other in known}:
            return Refusal(DeadReason.WRONG_FIELDS, f"`chain.{position}.code` repeats {found!r}")
        known.append(code.model_copy(update={"code": found}))
    return tuple(known)


def _refuse(errors: Sequence[ErrorDetails]) -> Refusal:
    # A vector may come in two forms; where it is a list, that it is no packed one is not what is wrong with it.
    error = next((one for one in errors if one["type"] != "model_type" or "PackedVector" not in one["loc"]), errors[0])
    place_in_event = [str(part) for part in error["loc"] if part not in {"PackedVector", "tuple[float, ...]"}]
    if error["type"] == "extra_forbidden":
        where = f"`{'.'.join(place_in_event[:-1])}`" if place_in_event[1:] else "the event"
        return Refusal(
            DeadReason.WRONG_FIELDS, f"{where} has a field that is none of its own", f"`{place_in_event[-1]}`"
        )
    where = f"`{'.'.join(place_in_event)}`" if place_in_event else "the event"
    fields = set(error["loc"])
    reason = DeadReason.WRONG_FIELDS
    if error["type"] == "literal_error" and "register" in fields:
        reason = DeadReason.UNKNOWN_REGISTER
    elif error["type"] == "literal_error" and "role" in fields:
        reason = DeadReason.UNKNOWN_ROLE
    elif "embedding" in fields:
        reason = DeadReason.WRONG_VECTOR
    return Refusal(reason, f"{where}: {error['msg']}")


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(value), "a number")
