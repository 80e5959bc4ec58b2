"""`memory`: what every process of the server holds, idle and busy."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.processes import Group, Memory, highest_of, measure_memory
from benchmarks.recordings import make_long
from benchmarks.report import json_option, model_option, show_table, write_json
from benchmarks.server import RunningServer, running_server, scratch_folder
from benchmarks.submit import connect, submit_file
from client.api import Server
from client.contract import Job

IDLE, BUSY, IDLE_AGAIN = "idle", "busy", "idle again"
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
            states = asyncio.run(measure(running, recording, concurrency, samples))
    titles = {
        IDLE: f"Idle, {model_size} loaded in {concurrency} children (MiB)",
        BUSY: f"Busy, {concurrency} recordings of {seconds:.0f} s at work (MiB)",
        IDLE_AGAIN: "Idle again, those cancelled (MiB)",
    }
    for state, groups in states.items():
        report(titles[state], groups, machine)
    content = {
        state: {name: asdict(group) for name, group in groups.items()}
        for state, groups in states.items()
    }
    write_json(json_path, machine, {"model": model_size, **content})


async def measure(
    running: RunningServer, recording: Path, concurrency: int, samples: int
) -> dict[str, dict[str, Group]]:
    """By state of the server, the highest of the samples each. Raises BenchmarkFailed."""
    states = {}
    await asyncio.sleep(SETTLE_S)
    states[IDLE] = await _take_samples(running, samples)
    async with connect(running) as server:
        ids = [(await submit_file(server, recording, {})).id for _ in range(concurrency)]
        await _wait_for(server, ids, _is_warm)
        states[BUSY] = await _take_samples(running, samples)
        for job_id in ids:
            await server.cancel_job(job_id)
        await _wait_for(server, ids, lambda job: job.is_finished)
    await asyncio.sleep(SETTLE_S)
    states[IDLE_AGAIN] = await _take_samples(running, samples)
    return states


def _is_warm(job: Job) -> bool:
    if job.is_finished:
        raise BenchmarkFailed(f"a recording was {job.status} too soon: use longer --seconds")
    return job.progress >= WARM_PROGRESS


async def _wait_for(
    server: Server, job_ids: Sequence[str], is_reached: Callable[[Job], bool]
) -> None:
    deadline = perf_counter() + BUSY_TIMEOUT_S
    while not all([is_reached(await server.get_job(job_id)) for job_id in job_ids]):
        if perf_counter() > deadline:
            raise BenchmarkFailed(f"the jobs did not come so far within {BUSY_TIMEOUT_S:.0f} s")
        await asyncio.sleep(POLL_S)


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
