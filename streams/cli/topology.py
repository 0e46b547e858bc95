"""`scenestream topology`: the map of the pipeline."""

from __future__ import annotations

from typing import Annotated

import typer

from streams import topology as the_map

AsMermaid = Annotated[bool, typer.Option("--mermaid", help="Print it as a Mermaid flowchart.")]


def topology(mermaid: AsMermaid = False) -> None:  # noqa: FBT002 - a flag of the command line
    """Print which agent reads which topic, and where each outcome goes."""
    typer.echo(the_map.mermaid() if mermaid else the_map.draw())
