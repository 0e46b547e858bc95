"""`scenestream offsets`: set where a group goes on, after a preview and with a way back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.configured import load_settings
from streams.cli.lag_view import console, row, table
from streams.cli.terminal import clean
from streams.cli.times import when
from streams.kafka.numbers import number_in
from streams.ops.lag.cluster import Cluster
from streams.ops.lag.reset import Plan, Target, apply, back_up, plan, plan_restore, read_backup
from streams.ops.words import records

app = typer.Typer(help="Set where a consumer group goes on, safely.", no_args_is_help=True)

_OURS = """\
This is the pipeline's own group, and its rows do not go back with its offsets. Of what is read again,
- turns that a row has seen are refused as duplicates and become dead letters (`scenestream dead list`);
- ratings that were learnt count as repeated and change nothing;
- {healed}
What is skipped is never judged. To judge a log anew, replay it under another group and topic prefix."""
_HEALED = {
    "exactly_once": "healed scenes are judged again: they may go out twice, and the ledger counts them twice.",
    "at_least_once": "what a row has counted is passed over, healed scenes too.",
}

Group = Annotated[str, typer.Argument(metavar="GROUP", help="A consumer group; `scenestream lag` lists them.")]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", metavar="TOPIC", help="Its topics; all that it committed by default.")
]
To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="WHERE",
        help="earliest, latest, an offset, 2026-03-01T12:00, or 90m for so long ago (s, m, h, d).",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this it is only shown.")]
Folder = Annotated[Path, typer.Option("--backup-folder", metavar="DIR", help="Where what was before is written to.")]


@app.command("reset")
def reset(
    group: Group,
    to: To,
    topic: Topics = None,
    yes: Yes = False,  # noqa: FBT002 - a flag of the command line
    backup_folder: Folder = Path(),
) -> None:
    """Show what it means to set a group's offsets; with --yes back them up, set them, and read them back.

    Refused while the group has members. Exit 0 shown or done, 2 refused.
    """
    target = _target(to, datetime.now(UTC))
    _run(lambda cluster: plan(cluster, group, topic or (), target), yes=yes, folder=backup_folder)


@app.command("restore")
def restore(
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", help="A file that `offsets reset` wrote.")],
    yes: Yes = False,  # noqa: FBT002 - a flag of the command line
    backup_folder: Folder = Path(),
) -> None:
    """Give a group back the offsets of a backup; shown first, done with --yes, as with reset."""
    kept = read_backup(backup)
    _run(lambda cluster: plan_restore(cluster, kept), yes=yes, folder=backup_folder)


def _run(planned: Callable[[Cluster], Plan], *, yes: bool, folder: Path) -> None:
    settings = load_settings()
    with closing(Cluster(settings.kafka, settings.ops)) as cluster, cluster.answering():
        found = planned(cluster)
        _show(found)
        if found.group == settings.kafka.group:
            typer.echo(_OURS.format(healed=_HEALED[settings.kafka.guarantee]))
        if not yes:
            typer.echo("nothing was changed; --yes does it")
            return
        path = back_up(found, folder)
        typer.echo(f"backup: {path}")
        apply(cluster, found)
    typer.echo(f"set and read back; `scenestream offsets restore {path} --yes` undoes it")


def _show(found: Plan) -> None:
    shown = table("TOPIC", "PARTITION", "FROM", "TO", "SKIPPED", "REPEATED", "NOTE")
    for move in found.moves:
        before = "-" if move.before is None else str(move.before)
        topic, number = move.slot.topic, str(move.slot.partition)
        row(shown, topic, number, before, str(move.after), str(move.skipped), str(move.repeated), move.note)
    console().print(shown)
    skipped, repeated = (sum(getattr(move, name) for move in found.moves) for name in ("skipped", "repeated"))
    typer.echo(f"{clean(found.group)}: {records(skipped)} skipped, {records(repeated)} read again, at most")
    for slot in found.left:
        typer.echo(f"{clean(slot.topic)}[{slot.partition}] had no commit in the backup, and stays where it is")


def _target(text: str, now: datetime) -> Target:
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    offset = number_in(text)
    if offset is not None:
        return offset
    return when(text, now, "--to", "earliest, latest, an offset, 2026-03-01T12:00 or 90m")
