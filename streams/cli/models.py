"""`scenestream models`: which models decide, where they come from, whether they are sound."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.digests import sha256_of
from models.encoder.encoder import identity
from models.encoder.store import RECIPES, is_intact
from models.errors import ModelError
from models.lexicon import MEMBER_WEIGHT, Lexicon
from models.manifest import MANIFEST_FILE, Manifest, read_manifest
from schemas.names import REGISTERS
from schemas.scene import Code, Scene, Utterance
from streams.cli.configured import load_settings
from streams.cli.figures import headlines
from streams.cli.terminal import clean
from streams.cli.wiring import artifacts_of, encoder_of, open_scorer
from streams.runtimes.single import settle
from streams.stages.policy import Gate, Policy

app = typer.Typer(no_args_is_help=True, help="Which models decide, where they come from, whether they are sound.")

Codes = Annotated[bool, typer.Option("--codes", help="List the codes of the lexicon instead.")]
AllFigures = Annotated[bool, typer.Option("--figures", help="Show everything that was measured in training.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@dataclass(frozen=True, slots=True)
class Model:
    """A model as `info` shows it; `replaced`: its file is there, and is not the one that was trained."""

    name: str
    path: str
    sha256: str | None
    bytes: int
    provider: str
    replaced: bool


@app.command()
def info(codes: Codes = False, all_figures: AllFigures = False, as_json: AsJson = False) -> None:  # noqa: FBT002 - flags of the command line
    """Name every model with its sha256, size and provider, what was measured on it, and whose data it owes."""
    settings = load_settings()
    artifacts = artifacts_of(settings)
    if codes:
        _list_codes(Lexicon.load(artifacts), as_json=as_json)
        return
    manifest = read_manifest(artifacts)
    encoder = encoder_of(settings)
    encoder_sha256 = identity(encoder)
    provider = settings.models.provider
    models = [Model("encoder", str(encoder), encoder_sha256, _size(encoder), provider, replaced=False)]
    models += [_model(artifacts / name, digest) for name, digest in manifest.files.items()]
    licences = _licences(artifacts)
    ours = encoder_sha256 == manifest.encoder_sha256
    if as_json:
        told = {
            "models": [asdict(model) for model in models],
            "metrics": dict(manifest.metrics),
            "licences": dict(licences),
            "trained_with_this_encoder": ours,
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(_table(models))
    console.print(f"encoder: {encoder}\nothers:  {artifacts}", soft_wrap=True, markup=False)
    if not ours:
        console.print("the models were trained with another encoder than the one set: their figures do not hold here")
    console.print(_figures(manifest, every=all_figures))
    for name, licence in licences.items():
        console.print(Text(f"trained on {clean(name)}: {clean(licence)}", "dim"), soft_wrap=True)


@app.command()
def build() -> None:
    """Build the encoder from its weights into the cache, where that is not done yet; needs no network."""
    settings = load_settings()
    chosen = settings.models.encoder_folder
    if chosen is not None:
        typer.echo(f"nothing to build: the encoder set is {chosen}")
        return
    known = is_intact(settings.models.cache_folder / RECIPES[settings.models.provider])
    started = time.perf_counter()
    folder = encoder_of(settings)
    how = "was built before" if known else f"built in {time.perf_counter() - started:.1f} s"
    typer.echo(f"encoder {how}: {folder} ({_size(folder) / 1e6:.0f} MB)")


@app.command()
def check() -> None:
    """Verify the sha256 of every model and put scenes through all of them; exit code 2 where one is unsound."""
    scorer = open_scorer(load_settings())
    asked = (Utterance(role="user", text="Is the last ferry still running?"),)
    draft = Scene(dialogue_id="check", turn=1, context=asked, draft="Ferry the the no last blue.")
    chain = Scene(dialogue_id="check", turn=1, context=asked, chain=(Code(code=scorer.suite.lexicon.codes[0]),))
    # Nothing reaches a threshold of one: the first gate regenerates whatever comes, the second bridges it.
    for gate in (Gate(theta0=1.0, intent_min=0.0), Gate(theta0=1.0, intent_min=1.0)):
        for scene in (draft, chain):
            decisions = settle(scene, scorer, Policy(gate=gate)).decisions
            if not decisions or not decisions[-1].final:
                raise ModelError("A scene put through the models came to no end. Run `make models`, or restore them.")
    typer.echo(f"the encoder and {len(scorer.suite.digests)} models are sound")
    if not scorer.suite.trained_with_this_encoder:
        typer.echo("the models were trained with another encoder than the one set: their figures do not hold here")


def _model(path: Path, digest: str) -> Model:
    found = sha256_of(path) if path.is_file() else None
    return Model(path.name, str(path), found, _size(path), "cpu", replaced=found not in {digest, None})


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.iterdir() if entry.is_file())
    return path.stat().st_size if path.is_file() else 0


def _licences(artifacts: Path) -> Mapping[str, str]:
    told = json.loads((artifacts / MANIFEST_FILE).read_text(encoding="utf-8")).get("trained_on", {})
    return {str(name): str(licence) for name, licence in told.items()} if isinstance(told, dict) else {}


def _table(models: list[Model]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column("sha256")
    table.add_column("size", justify="right")
    table.add_column("runs on")
    table.add_column("")
    for model in models:
        note = "MISSING" if model.sha256 is None else "replaced" if model.replaced else ""
        digest = "" if model.sha256 is None else f"{model.sha256[:12]}…"
        table.add_row(Text(clean(model.name)), digest, f"{model.bytes / 1e6:.2f} MB", model.provider, note)
    return table


def _figures(manifest: Manifest, *, every: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("measured on dialogues not trained on", overflow="fold")
    table.add_column("" if every else "all: --figures", justify="right")
    shown = (
        ((name, f"{figure:.3f}") for name, figure in manifest.metrics.items()) if every else headlines(manifest.metrics)
    )
    for name, figure in shown:
        table.add_row(Text(clean(name)), figure)
    return table


def _list_codes(lexicon: Lexicon, *, as_json: bool) -> None:
    for row, code in enumerate(lexicon.codes):
        weights = lexicon.register_weights[row].tolist()
        inside = [name for name, weight in zip(REGISTERS, weights, strict=True) if weight >= MEMBER_WEIGHT]
        if as_json:
            told = {"code": code, "ru": lexicon.labels_ru[row], "symbol": lexicon.symbols[row], "registers": inside}
            typer.echo(json.dumps(told, ensure_ascii=False))
        else:
            typer.echo("\t".join((code, lexicon.labels_ru[row], lexicon.symbols[row], ",".join(inside))))
