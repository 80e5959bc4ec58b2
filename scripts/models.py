"""Get, list and check Whisper weights: `python -m scripts.models`."""

import sys
import time
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from config import Settings
from domain.errors import ScriptoriumError
from domain.options import MODEL_ALIASES
from engines.weights.catalog import DISTINCT_SIZES, PACKAGED_SIZES
from engines.weights.ensure import ensure_weights
from engines.weights.store import WeightsStatus, inspect_weights, remove_weights
from scripts.packaged_weights import build_from_packages

STATE_STYLE = {"intact": "green", "wrong": "bold red", "absent": "dim"}


@click.group()
@click.option(
    "--model-dir",
    type=click.Path(path_type=Path),
    help="Folder of the weights; MODEL_DIR by default.",
)
@click.pass_context
def cli(context: click.Context, model_dir: Path | None) -> None:
    """Whisper weights on this machine."""
    context.obj = model_dir or Settings().model_path


@cli.command("list")
@click.pass_obj
def list_models(model_dir: Path) -> None:
    """Show every model: state, size, the official SHA-256, origin. Ends with 1 if one is wrong."""
    statuses = [inspect_weights(size, model_dir, full=False) for size in DISTINCT_SIZES]
    console = Console()
    console.print(_table(statuses))
    console.print(f"In {model_dir}. `make models MODEL=tiny` fetches one.", soft_wrap=True)
    wrong = [status.weights.model_size for status in statuses if status.state == "wrong"]
    if wrong:
        click.echo(f"wrong SHA-256: {', '.join(wrong)}; `ensure` replaces such a file", err=True)
        sys.exit(1)


@cli.command()
@click.argument("sizes", nargs=-1, required=True, metavar="SIZE...")
@click.pass_obj
def ensure(model_dir: Path, sizes: tuple[str, ...]) -> None:
    """Have these models here, fetching what is absent. Ends with 1 if one cannot be had."""
    failed = [size for size in sizes if not _ensure_one(size, model_dir)]
    sys.exit(1 if failed else 0)


@cli.command()
@click.pass_obj
def verify(model_dir: Path) -> None:
    """Hash every file that is there; remove wrong ones. Ends with 1 if one was wrong."""
    wrong = 0
    for size in DISTINCT_SIZES:
        status = inspect_weights(size, model_dir, full=True)
        if status.state == "intact":
            click.echo(f"{status.weights.file_name}: SHA-256 is right")
        elif status.state == "wrong":
            wrong += 1
            remove_weights(model_dir / status.weights.file_name)
            click.echo(f"{status.weights.file_name}: SHA-256 is wrong, removed", err=True)
    sys.exit(1 if wrong else 0)


def _ensure_one(size: str, model_dir: Path) -> bool:
    started = time.monotonic()
    build = partial(build_from_packages, on_progress=_tell)
    try:
        path = ensure_weights(size, model_dir, build=build, on_progress=_tell)
    except ScriptoriumError as error:
        click.echo(error.message, err=True)
        return False
    wall_s = time.monotonic() - started
    click.echo(f"{size}: {path} ({path.stat().st_size / 1e6:.0f} MB, {wall_s:.1f} s)")
    return True


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _table(statuses: list[WeightsStatus]) -> Table:
    aliases = {size: alias for alias, size in MODEL_ALIASES.items()}
    table = Table(box=None)
    for title in ("model", "state", "MB", "SHA-256", "from"):
        table.add_column(
            title, no_wrap=title != "from", justify="right" if title == "MB" else "left"
        )
    for status in statuses:
        size = status.weights.model_size
        table.add_row(
            f"{size}, {aliases[size]}" if size in aliases else size,
            f"[{STATE_STYLE[status.state]}]{status.state}[/]",
            f"{status.size_bytes / 1e6:.0f}" if status.size_bytes else "",
            status.weights.sha256[:12],
            _origin(status),
        )
    return table


def _origin(status: WeightsStatus) -> str:
    if status.state != "absent":
        return status.source
    if status.weights.model_size in PACKAGED_SIZES:
        return "[dim](packages)[/]"
    return "[dim](official address)[/]"


if __name__ == "__main__":
    cli()
