"""`python -m chaos`: attack a server of our own, and say whether its promises held."""

import signal
import sys
import time
from pathlib import Path

import click

from benchmarks.errors import BenchmarkFailed
from chaos.errors import ChaosFailed
from chaos.faults import FaultKind
from chaos.report import markdown, show, write_json
from chaos.run import Plan, run
from chaos.timeline import draw
from client.errors import EXIT_TERMINATED
from config import Settings
from domain.errors import ConfigurationError
from embedded.packages import PackageFetchFailed

FULL = Plan(seed=0, jobs=120, faults=20, recordings=24, children=2)
SHORT = Plan(seed=0, jobs=30, faults=len(FaultKind), recordings=6, children=1)
DEFAULT_SEED = 1


@click.command(context_settings={"show_default": True})
@click.option("--jobs", type=click.IntRange(min=1), help="At least so many.  [default: 120]")
@click.option(
    "--faults", type=click.IntRange(min=len(FaultKind)), help="All kinds in turn.  [default: 20]"
)
@click.option("--seed", type=int, default=DEFAULT_SEED, help="What is done, in which order.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report, the timeline and the logs.  [default: .data/chaos]",
)
@click.option("--short", is_flag=True, help="30 jobs, each fault once: about a minute.")
def cli(jobs: int | None, faults: int | None, seed: int, out: Path | None, *, short: bool) -> None:
    """Attack a server of our own while it works, and check its promises."""
    form = SHORT if short else FULL
    plan = Plan(seed, jobs or form.jobs, faults or form.faults, form.recordings, form.children)
    folder = out or (Settings().data_dir / "chaos").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    started_at = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - started_at:6.1f} s  {text}")

    finished = run(plan, folder, say)
    show(finished.outcome)
    write_json(finished.outcome, folder / "report.json")
    (folder / "report.md").write_text(markdown(finished.outcome))
    draw(finished.picture, folder / "timeline.svg", folder / "timeline.png")
    click.echo(f"report, timeline and logs: {folder}")
    if not finished.outcome.is_ok:
        sys.exit(1)


def main() -> None:
    """Run the command line; what went wrong is one line and exit code 1."""
    # As Ctrl-C does: the server stops and its folder goes before we leave.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_TERMINATED))
    try:
        cli(prog_name="chaos")
    except (BenchmarkFailed, ChaosFailed, ConfigurationError, PackageFetchFailed) as error:
        raise SystemExit(f"chaos: {error}") from error


if __name__ == "__main__":
    main()
