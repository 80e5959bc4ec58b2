"""Results: a table for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine

MIN_WIDTH = 100  # columns; a pipe would else get tables broken at 80

json_option = click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write everything that was measured to this file, too.",
)
model_option = click.option("--model", "model_size", default="base", help="Model of both sides.")


def show_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], machine: Machine
) -> None:
    """Print a table; the first column is text, the others are numbers."""
    console = Console()
    console.width = max(console.width, MIN_WIDTH)
    table = Table(title=title, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=not index)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(machine.line(), style="dim", highlight=False, soft_wrap=True)


def write_json(path: Path | None, machine: Machine, content: Mapping[str, Any]) -> None:
    """Write the content and the machine in one step; nothing without a path."""
    if path is None:
        return
    draft = path.with_name(f".{path.name}.part")
    text = json.dumps({"machine": asdict(machine), **content}, indent=2, ensure_ascii=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(text + "\n")
    draft.replace(path)


def note(text: str) -> None:
    """Tell people how it goes, beside the results."""
    click.echo(text, err=True)
