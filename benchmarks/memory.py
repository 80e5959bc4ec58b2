"""`memory`: what every process of the server holds, idle and busy, and what an engine holds."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import describe_machine
from benchmarks.memory_engine import engine_columns, engine_row, measure_engines, present_models
from benchmarks.memory_table import (
    BY_CONCURRENCY,
    COLUMNS,
    TARGET_CHILD_MIB,
    concurrency_rows,
    per_extra_child,
    process_rows,
)
from benchmarks.number_list import NumberList
from benchmarks.processes import Group, highest_of, measure_memory
from benchmarks.recordings import make_long
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import RunningServer, running_server, scratch_folder
from benchmarks.submit import connect, submit_file
from client.api import Server
from client.contract import Job

SERVER, ENGINE = "server", "engine"
IDLE, BUSY, IDLE_AGAIN = "idle", "busy", "idle again"
BUSY_AUDIO_S = 600.0
WARM_PROGRESS = 0.05  # of the recording: every buffer of the decoder is in use by then
SETTLE_S = 5.0  # after the last start: flower asks the workers, Postgres ends its helpers
POLL_S = 1.0
BUSY_TIMEOUT_S = 600.0


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice([SERVER, ENGINE]),
              default=(SERVER, ENGINE), help="What to measure; may be repeated.")  # fmt: skip
@click.option("--concurrency", "concurrencies", default="1,2,8", type=NumberList(),
              help="Children of the worker; a server for each number.")  # fmt: skip
@click.option("--samples", default=10, type=click.IntRange(1), help="One per second; the highest.")
@click.option("--seconds", default=BUSY_AUDIO_S, help="Length of the recordings to be busy with.")
@click.option("--engine-model", "engine_models", multiple=True, default=("tiny", "base", "small"),
              help="Alone in a process, where its weights are there; may be repeated.")  # fmt: skip
@click.option("--batches", default="1,2,4,8,16", type=NumberList(),
              help="Windows side by side in that process.")  # fmt: skip
@model_option
@json_option
def memory(*, parts: Sequence[str], json_path: Path | None, **asked: Any) -> None:
    """RSS, PSS, private dirty and shared memory of every process, in MiB."""
    machine = describe_machine()
    content: dict[str, Any] = {"model": asked["model_size"]}

    def keep(more: Mapping[str, Any]) -> None:
        content.update(more)
        write_json(json_path, machine, content)  # a long run may be cut off

    if SERVER in parts:
        runs: dict[int, dict[str, dict[str, Group]]] = {}
        for concurrency in asked["concurrencies"]:
            runs[concurrency] = measure_server(asked, concurrency)
            for state, groups in runs[concurrency].items():
                title = f"{state.capitalize()}, {asked['model_size']}, {concurrency} children (MiB)"
                show_table(title, COLUMNS, process_rows(groups), machine)
            keep(server_content(runs))
        title = (
            f"The worker by number of children, {asked['model_size']} (MiB; private memory per "
            f"extra child wanted: below {TARGET_CHILD_MIB:.0f})"
        )
        show_table(title, BY_CONCURRENCY, concurrency_rows(runs), machine)
    if ENGINE in parts:
        with scratch_folder() as folder:
            models = present_models(asked["engine_models"])
            engines = list(measure_engines(folder, models, asked["batches"]))
        keep({"engines": [asdict(each) for each in engines]})
        title = "An engine alone in a process, by windows side by side (MiB)"
        columns = engine_columns(asked["batches"])
        show_table(title, columns, [engine_row(each) for each in engines], machine)


def measure_server(asked: Mapping[str, Any], concurrency: int) -> dict[str, dict[str, Group]]:
    """A server of its own with so many children; by state. Raises BenchmarkFailed."""
    with scratch_folder() as folder:
        recording = make_long(folder, asked["seconds"])
        with running_server(
            folder, model_size=asked["model_size"], concurrency=concurrency
        ) as running:
            note(f"{concurrency} children are there")
            return asyncio.run(measure(running, recording, concurrency, asked["samples"]))


def server_content(runs: Mapping[int, Mapping[str, Mapping[str, Group]]]) -> dict[str, Any]:
    """As `--json` has it."""
    states = next(iter(runs.values()))
    return {
        "by_concurrency": {
            str(concurrency): {
                state: {name: asdict(group) for name, group in groups.items()}
                for state, groups in measured.items()
            }
            for concurrency, measured in runs.items()
        },
        "private_mib_per_extra_child": {
            state: per_extra_child({number: run[state] for number, run in runs.items()})
            for state in states
        },
    }


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
        await _wait_for(server, ids, _is_warm)  # all of them, to the last sample
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
        taken.append(measure_memory(running.launcher_pid, running.host_pids()))
    return highest_of(taken)
