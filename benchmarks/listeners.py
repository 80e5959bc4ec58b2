"""`listeners`: what many who watch their jobs cost those who submit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import click
import psutil

from benchmarks.errors import BenchmarkFailed
from benchmarks.latency import Plan
from benchmarks.machine import Machine, describe_machine
from benchmarks.percentile import percentile
from benchmarks.processes import cpu_seconds, measure_memory
from benchmarks.recordings import make_megabyte
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import RunningServer, running_server, scratch_folder
from benchmarks.submit import connect, submit_file
from client.api import Server
from config import QUEUE_HIGH

ANSWER_TIMEOUT_S = 60.0
LEAVE_TIMEOUT_S = 60.0  # a process sees at its next sign of life that a reader has gone
POLL_S = 0.5
OPEN = (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
COLUMNS = (
    "listeners", "submissions", "median ms", "95th ms", "largest ms", "per s", "web MiB",
    "CPU when idle",
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One round of submissions with so many listeners. Seconds, and MiB."""

    listeners: int
    wall_s: float
    submit_s: Sequence[float]
    web_mib: float  # of all web processes together, shared pages by their share
    idle_cpu_share: float  # of one core, all processes of the server, before the submissions


@click.command()
@click.option("--listeners", default=200, type=click.IntRange(1), help="Each on a job that waits.")
@click.option("--rounds", default=5, type=click.IntRange(1), help="Both sides once per round.")
@click.option("--clients", default=8, type=click.IntRange(1), help="At once, each its own.")
@click.option("--submissions", default=25, type=click.IntRange(1), help="Of each client and side.")
@click.option("--quiet-seconds", default=10.0, help="How long the idle server is watched.")
@model_option
@json_option
def listeners(
    listeners: int,
    rounds: int,
    clients: int,
    submissions: int,
    quiet_seconds: float,
    model_size: str,
    json_path: Path | None,
) -> None:
    """Submit latency of a 1 MB file with idle listeners and without, in turns."""
    machine = describe_machine()
    with scratch_folder() as folder:
        recording = make_megabyte(folder)
        with running_server(
            folder,
            model_size=model_size,
            # The worker serves the urgent queue alone: what is listened to waits.
            settings={"WORKER_QUEUES": QUEUE_HIGH, "MAX_EVENT_STREAMS": str(listeners)},
        ) as running:
            plan = Plan(running, recording, recording, clients, submissions, concurrency=1)
            measured = asyncio.run(run_rounds(plan, listeners, rounds, quiet_seconds))
    report(measured, machine)
    write_json(json_path, machine, {"sides": [asdict(side) for side in measured]})


async def run_rounds(plan: Plan, count: int, rounds: int, quiet_s: float) -> list[Side]:
    """Both sides alternate; who begins alternates too. Raises BenchmarkFailed."""
    measured = []
    async with connect(plan.running) as server:
        jobs = [(await submit_file(server, plan.small, {})).id for _ in range(count)]
        await measure(plan, server, [], 0.0)  # the processes do their late imports
        for number in range(rounds):
            sides: tuple[list[str], ...] = ([], jobs)
            for listened in sides if number % 2 == 0 else sides[::-1]:
                side = await measure(plan, server, listened, quiet_s)
                measured.append(side)
                note(
                    f"round {number + 1} of {rounds}, {side.listeners} listeners: "
                    f"median {1000 * median(side.submit_s):.0f} ms"
                )
    return measured


async def measure(plan: Plan, server: Server, jobs: Sequence[str], quiet_s: float) -> Side:
    """Submissions while these jobs are listened to. Raises BenchmarkFailed."""
    pid = plan.running.launcher_pid
    async with listening(plan.running, jobs):
        before_s = cpu_seconds(pid)
        await asyncio.sleep(quiet_s)
        idle_share = (cpu_seconds(pid) - before_s) / quiet_s if quiet_s else 0.0
        memory = measure_memory(pid)["web"].memory
        done = await plan.measure(server, "idle", "PUT")
    return Side(len(jobs), done.wall_s, done.submit_s, memory.pss_mib, idle_share)


@asynccontextmanager
async def listening(running: RunningServer, jobs: Sequence[str]) -> AsyncIterator[None]:
    """An open event stream for each job, gone on both sides at the end of the block."""
    async with AsyncExitStack() as stack:
        for job_id in jobs:
            await stack.enter_async_context(listener(running, job_id))
        yield
    await wait_until_closed(running)


@asynccontextmanager
async def listener(running: RunningServer, job_id: str) -> AsyncIterator[None]:
    """Someone who watches a job and reads what comes. Raises BenchmarkFailed."""
    address = urlsplit(running.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    request = f"GET /transcribe/{job_id}/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n"
    writer.write(request.encode())
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await reader.readuntil(b"event: queued")
    except (TimeoutError, asyncio.IncompleteReadError) as error:
        raise BenchmarkFailed(f"no event of job {job_id}: {error}") from error
    reading = asyncio.create_task(reader.read())
    yield
    if reading.done():
        raise BenchmarkFailed(f"the stream of job {job_id} ended early")
    reading.cancel()
    writer.close()


async def wait_until_closed(running: RunningServer) -> None:
    """Wait until the server has let go of readers that left. Raises BenchmarkFailed."""
    deadline = perf_counter() + LEAVE_TIMEOUT_S
    while open_connections(running) > 0:
        if perf_counter() > deadline:
            raise BenchmarkFailed(f"streams were still open after {LEAVE_TIMEOUT_S:.0f} s")
        await asyncio.sleep(POLL_S)


def open_connections(running: RunningServer) -> int:
    """Connections of clients that the server's processes hold."""
    port = urlsplit(running.url).port
    count = 0
    for process in psutil.Process(running.launcher_pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # an ffmpeg that has ended meanwhile
            count += sum(
                connection.status in OPEN and connection.laddr.port == port
                for connection in process.net_connections("tcp")
                if connection.laddr
            )
    return count


def report(measured: Sequence[Side], machine: Machine) -> None:
    """Print a line for each side, all rounds together, and how the sides compare."""
    without = [side for side in measured if side.listeners == 0]
    watched = [side for side in measured if side.listeners > 0]
    ratio = median(
        median(of.submit_s) / median(plain.submit_s)
        for of, plain in zip(watched, without, strict=True)
    )
    show_table(
        f"Submit latency of a 1 MB wav by PUT; with listeners over without: {ratio:.3f}",
        COLUMNS,
        # Threads that were made for listeners stay: only the first round knows it without.
        [_line(without, without[0].web_mib), _line(watched, watched[-1].web_mib)],
        machine,
    )


def _line(sides: Sequence[Side], web_mib: float) -> tuple[str, ...]:
    spent_s = [value for side in sides for value in side.submit_s]
    return (
        str(sides[0].listeners),
        str(len(spent_s)),
        f"{1000 * median(spent_s):.0f}",
        f"{1000 * percentile(spent_s, 0.95):.0f}",
        f"{1000 * max(spent_s):.0f}",
        f"{len(spent_s) / sum(side.wall_s for side in sides):.1f}",
        f"{web_mib:.0f}",
        f"{100 * median(side.idle_cpu_share for side in sides):.1f} %",
    )
