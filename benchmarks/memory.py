"""`memory`: what every process of the server holds, idle and busy."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.processes import Group, Memory, highest_of, measure_memory
from benchmarks.recordings import make_long
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import RunningServer, running_server, scratch_folder
from benchmarks.submit import connect, submit_file

COLUMNS = ("process", "count", "RSS", "PSS", "private dirty", "shared")
BUSY_AUDIO_S = 600.0
WARM_PROGRESS = 0.05  # of the recording: every buffer of the decoder is in use by then
SETTLE_S = 5.0  # after the last start: flower asks the workers, Postgres ends its helpers
POLL_S = 1.0
BUSY_TIMEOUT_S = 600.0


@click.command()
@click.option("--concurrency", default=2, type=click.IntRange(1), help="Children of the worker.")
@click.option("--samples", default=10, type=click.IntRange(1), help="One per second; the highest.")
@click.option("--seconds", default=BUSY_AUDIO_S, help="Length of the recordings to be busy with.")
@model_option
@json_option
def memory(
    concurrency: int, samples: int, seconds: float, model_size: str, json_path: Path | None
) -> None:
    """RSS, PSS, private dirty and shared memory of every process, in MiB."""
    machine = describe_machine()
    with scratch_folder() as folder:
        recording = make_long(folder, seconds)
        with running_server(folder, model_size=model_size, concurrency=concurrency) as running:
            idle, busy = asyncio.run(measure(running, recording, concurrency, samples))
    report(f"Idle, {model_size} loaded in {concurrency} children (MiB)", idle, machine)
    report(f"Busy, {concurrency} recordings of {seconds:.0f} s at work (MiB)", busy, machine)
    states = {"idle": idle, "busy": busy}
    content = {
        state: {name: asdict(group) for name, group in groups.items()}
        for state, groups in states.items()
    }
    write_json(json_path, machine, {"model": model_size, **content})


async def measure(
    running: RunningServer, recording: Path, concurrency: int, samples: int
) -> tuple[dict[str, Group], dict[str, Group]]:
    """Idle and busy, the highest of the samples each. Raises BenchmarkFailed."""
    await asyncio.sleep(SETTLE_S)
    idle = await _take_samples(running, samples)
    note("idle is measured")
    async with connect(running) as server:
        jobs = [await submit_file(server, recording, {}) for _ in range(concurrency)]
        deadline = perf_counter() + BUSY_TIMEOUT_S
        while True:
            states = [await server.get_job(job.id) for job in jobs]
            if any(state.is_finished for state in states):
                raise BenchmarkFailed("a recording was done too soon: use longer --seconds")
            if all(state.progress >= WARM_PROGRESS for state in states):
                break
            if perf_counter() > deadline:
                raise BenchmarkFailed(f"the worker was not busy within {BUSY_TIMEOUT_S:.0f} s")
            await asyncio.sleep(POLL_S)
        busy = await _take_samples(running, samples)
        note("busy is measured")
        for job in jobs:
            await server.cancel_job(job.id)
    return idle, busy


async def _take_samples(running: RunningServer, count: int) -> dict[str, Group]:
    taken: list[Mapping[str, Group]] = []
    for number in range(count):
        if number:
            await asyncio.sleep(POLL_S)
        taken.append(measure_memory(running.launcher_pid))
    return highest_of(taken)


def report(title: str, groups: Mapping[str, Group], machine: Machine) -> None:
    """Print a line per process name, and what all of them hold together."""
    lines = [_line(name, group) for name, group in sorted(groups.items())]
    total = sum((group.memory for group in groups.values()), start=Memory())
    count = sum(group.count for group in groups.values())
    # Sums of RSS and of shared pages would count pages several times.
    last = (
        "all", str(count), "", f"{total.pss_mib:.0f}", f"{total.private_dirty_mib:.0f}", "",
    )  # fmt: skip
    show_table(title, COLUMNS, [*lines, last], machine)


def _line(name: str, group: Group) -> tuple[str, ...]:
    held = group.memory
    figures = (held.rss_mib, held.pss_mib, held.private_dirty_mib, held.shared_mib)
    return (name, str(group.count), *(f"{figure:.0f}" for figure in figures))
