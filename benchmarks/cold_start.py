"""`cold_start`: from the command to a server that answers, and to its first transcript."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import LAUNCHER, RunningServer, running_server, scratch_folder
from benchmarks.submit import Finished, connect, transcribe_file
from scripts.samples import sample_path

COMMANDS: dict[str, Sequence[str]] = {"make": ("make", "up"), "launcher": LAUNCHER}
SAMPLE = "jfk.wav"
COLUMNS = ("start", "API ready s", "first transcript s", "stopped s")


@dataclass(frozen=True)
class Start:
    """One start, in seconds from the command."""

    name: str
    http_ready_s: float  # /health/ready answers 200
    transcript_s: float  # of 11 s of speech, sent as soon as it was ready
    stop_s: float  # from the signal until the last process is gone


@click.command("cold-start")
@click.option("--starts", default=3, type=click.IntRange(1), help="After the first one.")
@click.option(
    "--command",
    type=click.Choice(list(COMMANDS)),
    default="make",
    help="`make up`, which looks after .venv first, or the launcher alone.",
)
@model_option
@json_option
def cold_start(starts: int, command: str, model_size: str, json_path: Path | None) -> None:
    """Time of the first start, on an empty folder, and of later ones; .venv and weights there."""
    machine = describe_machine()
    sample = sample_path(SAMPLE)
    measured = []
    with scratch_folder() as folder:
        for number in range(starts + 1):
            name = f"again {number}" if number else "first, empty folder"
            measured.append(measure(name, folder, COMMANDS[command], model_size, sample))
            note(f"{name}: ready after {measured[-1].http_ready_s:.1f} s")
    report(measured, machine)
    write_json(json_path, machine, {"starts": [asdict(item) for item in measured]})


def measure(
    name: str, folder: Path, command: Sequence[str], model_size: str, sample: Path
) -> Start:
    """Start, transcribe, stop. Raises BenchmarkFailed."""
    started_at = time.monotonic()
    with running_server(
        folder, model_size=model_size, command=command, waits_for_worker=False
    ) as running:
        finished = asyncio.run(_transcribe(running, sample))
        transcript_s = time.monotonic() - started_at
        if finished.error:
            raise BenchmarkFailed(f"the first job: {finished.error}")
        stopped_at = time.monotonic()
    return Start(name, running.http_ready_s, transcript_s, time.monotonic() - stopped_at)


async def _transcribe(running: RunningServer, sample: Path) -> Finished:
    async with connect(running) as server:
        return await transcribe_file(server, sample, {})


def report(starts: Sequence[Start], machine: Machine) -> None:
    """Print a line per start."""
    lines = [
        (item.name, f"{item.http_ready_s:.1f}", f"{item.transcript_s:.1f}", f"{item.stop_s:.1f}")
        for item in starts
    ]
    show_table("Start of the whole server", COLUMNS, lines, machine)
