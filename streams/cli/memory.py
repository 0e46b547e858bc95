"""`scenestream memory`: what was said in like contexts, indexed from logs."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from models.decomposition import Decomposer
from models.digests import matches
from models.encoder import Encoder
from models.encoder.encoder import identity
from models.lexicon import Lexicon
from models.memory import build_memory
from models.memory.layout import read_manifest
from streams.cli.configured import load_settings
from streams.cli.wiring import artifacts_of, encoder_of, runtime_of
from streams.replay.accepted import Tally, read_accepted, read_labels
from streams.replay.reader import STDIN, check_logs, is_read_once
from streams.scoring.remembering import remember
from streams.stages.admit import Terms

app = typer.Typer(no_args_is_help=True, help="What was said in like contexts: a frozen snapshot that healing draws on.")

Logs = Annotated[
    list[str],
    typer.Argument(metavar="LOG...", help="Chat or scene JSONL, plain or gzip; - for stdin.", show_default=False),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the base; an older base is replaced.")]
WithTexts = Annotated[bool, typer.Option("--texts", help="Keep the words too, so that cues can quote the nearest one.")]
MinRating = Annotated[float, typer.Option("--min-rating", min=0.0, max=1.0, help="A rating from here on accepts.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a memory base.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.command()
def build(
    logs: Logs,
    out: Out,
    texts: WithTexts = False,  # noqa: FBT002 - a flag of the command line
    min_rating: MinRating = 0.5,
) -> None:
    """Index the accepted scenes of logs: where they landed, what was said then, its chain.

    In a log without ratings every turn counts as accepted; in one with ratings, those rated well. The same base comes
    of the same logs. Use it with `replay --memory DIR`; a scene never finds its own dialogue.
    """
    check_logs(logs)
    settings = load_settings()
    runtime, artifacts = runtime_of(settings), artifacts_of(settings)
    encoder = Encoder.open(encoder_of(settings), runtime, settings.models.encoder_batch)
    lexicon = Lexicon.load(artifacts)
    decomposer = Decomposer.open(artifacts, runtime)
    turns = settings.replay.context_turns
    tally = Tally()
    with _twice_readable(logs) as readable, Console(stderr=True).status("reading labels") as status:
        terms = Terms(encoder.dim, lambda label: None if (row := lexicon.find(label)) is None else lexicon.codes[row])
        labels = read_labels(readable, terms, turns, min_rating)
        status.update("encoding what was accepted")
        scenes = read_accepted(readable, terms, turns, labels, tally)
        entries = build_memory(
            out,
            remember(scenes, encoder, lexicon, decomposer, settings.gate.codes, with_texts=texts),
            dim=encoder.dim,
            encoder_sha256=encoder.sha256,
            lexicon_sha256=lexicon.sha256,
            with_texts=texts,
        )
    typer.echo(f"{tally.accepted:,} of {tally.scenes:,} scenes were accepted")
    if tally.refused:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.refused.most_common())
        typer.echo(f"{tally.refused.total():,} could not be read ({reasons}); `scenestream replay` says where")
    typer.echo(f"{entries:,} entries with a context, {_size(out) / 1e6:.1f} MB: {out}")
    if not entries:
        typer.echo("an empty base helps nobody: give logs with accepted replies", err=True)
        raise typer.Exit(1)


@app.command()
def info(folder: Folder, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Say what a memory base holds, whether it is intact, and whether it fits the models set here."""
    manifest = read_manifest(folder)
    settings = load_settings()
    damaged = [name for name, digest in manifest.files.items() if not matches(folder / name, digest)]
    fits = {
        "encoder": manifest.encoder_sha256 == identity(encoder_of(settings)),
        "lexicon": manifest.lexicon_sha256 == Lexicon.load(artifacts_of(settings)).sha256,
    }
    if as_json:
        told = {
            "entries": manifest.entries,
            "dimensions": manifest.dim,
            "with_texts": manifest.with_texts,
            "bytes": _size(folder),
            "encoder_sha256": manifest.encoder_sha256,
            "lexicon_sha256": manifest.lexicon_sha256,
            "damaged": damaged,
            "fits": fits,
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        typer.echo(f"entries     {manifest.entries:,} of {manifest.dim} dimensions, {_size(folder) / 1e6:.1f} MB")
        typer.echo(f"words       {'kept' if manifest.with_texts else 'not kept'}")
        for name, digest in (("encoder", manifest.encoder_sha256), ("lexicon", manifest.lexicon_sha256)):
            typer.echo(
                f"{name:<12}{digest[:16]}… {'the one set here' if fits[name] else 'ANOTHER than the one set here'}"
            )
        typer.echo(f"files       {'intact' if not damaged else 'DAMAGED: ' + ', '.join(damaged)}")
    if damaged or not all(fits.values()):
        typer.echo("build it again with `scenestream memory build LOG... --out DIR`", err=True)
        raise typer.Exit(1)


@contextmanager
def _twice_readable(logs: list[str]) -> Iterator[list[str]]:
    """Give logs that can be read twice: what comes on stdin or by a pipe is laid down in a temporary file first."""
    with ExitStack() as files:
        readable = []
        for log in logs:
            if not is_read_once(log):
                readable.append(log)
                continue
            kept = files.enter_context(tempfile.NamedTemporaryFile(prefix="scenestream-log-"))
            source = sys.stdin.buffer if log == STDIN else files.enter_context(Path(log).open("rb"))
            shutil.copyfileobj(source, kept)
            kept.flush()
            readable.append(kept.name)
        yield readable


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
