"""A run's directory: one file a kind of outcome, written as outcomes come, closed by a summary."""

from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pydantic import BaseModel

from schemas.dead import DeadLetter
from schemas.decision import Decision
from schemas.names import FINAL_VERDICTS, Verdict
from schemas.scene import Scene
from schemas.sensitivity import Sensitivity
from streams.replay.digest import Digest

DECISIONS, TEXTS, DEAD, ROWS, SUMMARY = (
    "decisions.jsonl",
    "texts.jsonl",
    "dead.jsonl",
    "sensitivity.jsonl",
    "summary.json",
)


class RunDirError(Exception):
    """A directory that no run can be written to; the message says what, where and what to do."""


@contextmanager
def told_where(place: Path) -> Iterator[None]:
    """Raise RunDirError for an OSError of the block, which writes to `place`: a full disk does not say where it is."""
    try:
        yield
    except OSError as error:
        remedy = "make room there, or choose" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "choose"
        raise RunDirError(f"cannot write to {place}: {error.strerror or error}; {remedy} another --out") from error


class RunWriter:
    """Writes a run's directory; `finish` closes it with its summary, whether or not the log was read to its end."""

    def __init__(self, folder: Path, *, keep_texts: bool) -> None:
        self.folder = folder
        self.digest = Digest()
        self.scenes = 0
        self._keep_texts = keep_texts
        self._verdicts: Counter[str] = Counter()
        self._final: Counter[str] = Counter({verdict.value: 0 for verdict in sorted(FINAL_VERDICTS)})
        self._withheld: Counter[str] = Counter()
        self._routes: Counter[str] = Counter()
        self._feedback: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()
        self._observed: Counter[str] = Counter()
        self._healed = 0
        self._files: dict[str, IO[str]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        prepare(self.folder)
        names = [DECISIONS, DEAD, *([TEXTS] if self._keep_texts else [])]
        for name in names:
            self._files[name] = self._stack.enter_context((self.folder / name).open("w", encoding="utf-8"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What is still in the buffers of a full disk fails once more, and would hide why.
        with told_where(self.folder), suppress(*(() if kind is None else (OSError,))):
            self._stack.close()

    def scene(self, scene: Scene, decisions: Iterable[Decision]) -> None:
        """Write what was decided of an admitted scene, and what it said."""
        self.scenes += 1
        for decision in decisions:
            self._write(DECISIONS, decision)
            self.digest.add(decision)
            self._verdicts[decision.verdict.value] += 1
            if "observed" in decision.flags:
                self._observed[decision.lineage[-1].outcome] += 1
            if decision.final:
                self._count_final(decision)
        if self._keep_texts:
            said = [said.model_dump() for said in scene.context]
            self._write_json(TEXTS, {"scene_id": scene.scene_id, "context": said, "draft": scene.draft})

    def feedback(self, outcome: str) -> None:
        """Count what feedback came to."""
        self._feedback[outcome] += 1

    def dead(self, letter: DeadLetter) -> None:
        """Write a dead letter; without texts, without what stood there."""
        self._dead[letter.reason.value] += 1
        self._write(DEAD, letter if self._keep_texts else letter.model_copy(update={"raw": None}))

    def finish(self, rows: Iterable[Sensitivity], facts: Mapping[str, object]) -> dict[str, object]:
        """Write the rows and the summary, and return the latter; `facts` are what only the caller knows."""
        with told_where(self.folder), (self.folder / ROWS).open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(row.model_dump_json() + "\n")
        summary: dict[str, object] = {
            "scenes": self.scenes,
            "final": dict(self._final),
            "healed": self._healed,
            "healed_by": dict(sorted(self._routes.items())),
            "withheld_by": dict(self._withheld.most_common()),
            "observed": dict(sorted(self._observed.items())),
            "by_verdict": dict(sorted(self._verdicts.items())),
            "feedback": dict(sorted(self._feedback.items())),
            "dead": self._dead.total(),
            "dead_by": dict(self._dead.most_common()),
            "digest": self.digest.hexdigest(),
            **facts,
        }
        with told_where(self.folder):
            for file in self._files.values():
                file.flush()
            try:
                text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
                # The name of a log or a folder may be no UTF-8.
                (self.folder / SUMMARY).write_bytes(text.encode("utf-8", "replace"))
            except OSError:
                # A directory with half a summary would look like a finished run.
                (self.folder / SUMMARY).unlink(missing_ok=True)
                raise
        return summary

    def _count_final(self, decision: Decision) -> None:
        self._final[decision.verdict.value] += 1
        if decision.verdict is Verdict.WITHHELD:
            self._withheld[decision.rule] += 1
        if decision.healing is not None and decision.verdict is Verdict.READY:
            self._healed += 1
            strength = decision.healing.strength
            self._routes[decision.healing.route if strength is None else f"bridge, {strength}"] += 1

    def _write(self, name: str, event: BaseModel) -> None:
        self._write_line(name, event.model_dump_json(by_alias=True))

    def _write_json(self, name: str, value: object) -> None:
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        # A lone surrogate is valid in JSON and none in UTF-8.
        self._write_line(name, line.encode("utf-8", "replace").decode())

    def _write_line(self, name: str, line: str) -> None:
        with told_where(self.folder):
            self._files[name].write(line + "\n")


def prepare(folder: Path) -> None:
    """Make the directory of a run, or empty the one of a run before; raises RunDirError where it is something else."""
    with told_where(folder):
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in folder.iterdir()}
        ours = {DECISIONS, TEXTS, DEAD, ROWS, SUMMARY, "report.html"}
        if there - ours:
            strange = ", ".join(sorted(there - ours)[:3])
            raise RunDirError(f"{folder} holds what no run has written ({strange}); choose another --out")
        for name in there & ours:
            (folder / name).unlink()


def keep_apart(folder: Path, logs: Iterable[str]) -> None:
    """Raise RunDirError where a log lies in the directory of the run, which is emptied before the log is read."""
    for log in logs:
        if Path(log).resolve().parent == folder.resolve() and Path(log).exists():
            raise RunDirError(f"the log {log} lies in {folder}, which a run empties first; choose another --out")
