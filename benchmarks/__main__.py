"""Measurements of the whole server: `python -m benchmarks NAME [options]`."""

import signal
import sys

import click

from benchmarks.agreement import agreement
from benchmarks.cancel import cancel
from benchmarks.cold_start import cold_start
from benchmarks.core import core
from benchmarks.engine_start import engine_start
from benchmarks.errors import BenchmarkFailed
from benchmarks.gpu import gpu
from benchmarks.latency import latency
from benchmarks.listeners import listeners
from benchmarks.load import load
from benchmarks.memory import memory
from benchmarks.overhead import overhead
from benchmarks.speed import speed
from benchmarks.together import together
from benchmarks.wer import wer
from benchmarks.words import words
from client.errors import EXIT_TERMINATED, ClientError
from domain.errors import ConfigurationError
from embedded.packages import PackageFetchFailed

COMMANDS = (
    speed,
    wer,
    words,
    agreement,
    overhead,
    together,
    latency,
    listeners,
    load,
    memory,
    cold_start,
    engine_start,
    cancel,
    core,
    gpu,
)


@click.group(context_settings={"show_default": True})
def cli() -> None:
    """Measure the server. Each command starts one of its own on an empty folder."""


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line; what went wrong is one line and exit code 1."""
    # As Ctrl-C does: the server stops and its folder goes before we leave.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_TERMINATED))
    try:
        cli(prog_name="benchmarks")
    except (BenchmarkFailed, ClientError, ConfigurationError, PackageFetchFailed) as error:
        raise SystemExit(f"benchmarks: {error}") from error


if __name__ == "__main__":
    main()
