"""`latency`: how long a submission takes, with several clients at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import click
import httpx

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.percentile import percentile
from benchmarks.recordings import make_long, make_megabyte
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import RunningServer, running_server, scratch_folder
from benchmarks.submit import connect, remove_job, submit_file
from client.api import Server
from config import QUEUE_HIGH

BUSY_POLL_S = 0.5
BUSY_TIMEOUT_S = 120.0
SUBMIT_TIMEOUT_S = 120.0
COLUMNS = ("worker, way", "clients", "submissions", "median ms", "95th ms", "largest ms", "per s")

Submit = Callable[[], Awaitable[str]]  # one submission; the id of its job


@dataclass(frozen=True)
class Latencies:
    """Submissions of one kind. All in seconds, in order of their end."""

    worker: str  # idle or busy
    way: str  # PUT or multipart
    clients: int
    wall_s: float
    submit_s: Sequence[float]


@click.command()
@click.option("--clients", default=8, type=click.IntRange(1), help="At once, each its own.")
@click.option("--submissions", default=25, type=click.IntRange(1), help="Of each client.")
@click.option("--concurrency", default=2, type=click.IntRange(1), help="Children of the worker.")
@click.option("--busy-seconds", default=3600.0, help="Length of what keeps each child busy.")
@model_option
@json_option
def latency(
    clients: int,
    submissions: int,
    concurrency: int,
    busy_seconds: float,
    model_size: str,
    json_path: Path | None,
) -> None:
    """Submit latency of a 1 MB file, with the worker idle and busy, by PUT and by form."""
    machine = describe_machine()
    with scratch_folder() as folder:
        small, long = make_megabyte(folder), make_long(folder, busy_seconds)
        with running_server(
            folder,
            model_size=model_size,
            concurrency=concurrency,
            # The worker serves the urgent queue alone: what is measured stays in its own queue.
            settings={"WORKER_QUEUES": QUEUE_HIGH},
        ) as running:
            plan = Plan(running, small, long, clients, submissions, concurrency)
            measured = asyncio.run(plan.run())
    report(measured, machine)
    write_json(json_path, machine, {"latencies": [asdict(item) for item in measured]})


@dataclass(frozen=True)
class Plan:
    """What is submitted to which server, and how often."""

    running: RunningServer
    small: Path  # what is measured
    long: Path  # what keeps the worker busy
    clients: int
    submissions: int  # of each client
    concurrency: int

    async def run(self) -> list[Latencies]:
        """Both ways with the worker idle, then with it busy. Raises BenchmarkFailed."""
        async with connect(self.running) as server:
            idle = [await self.measure(server, "idle", way) for way in WAYS]
            async with self._busy_worker(server):
                busy = [await self.measure(server, "busy", way) for way in WAYS]
        return [*idle, *busy]

    async def measure(self, server: Server, worker: str, way: str) -> Latencies:
        """One way of sending, by all clients at once. The jobs are removed."""
        async with AsyncExitStack() as stack:
            submits = [
                await stack.enter_async_context(WAYS[way](self.running, self.small))
                for _ in range(self.clients)
            ]
            # A process of the server does its late imports, a client connects.
            first_ids = await asyncio.gather(*(submit() for submit in submits))
            started_at = perf_counter()
            done = await asyncio.gather(*(self._client(submit) for submit in submits))
            wall_s = perf_counter() - started_at
        found = [item for of_client in done for item in of_client]
        await self._remove(server, [*first_ids, *(job_id for job_id, _ in found)])
        note(f"{worker}, {way}: {len(found)} submissions in {wall_s:.1f} s")
        return Latencies(worker, way, self.clients, wall_s, [spent_s for _, spent_s in found])

    async def _client(self, submit: Submit) -> list[tuple[str, float]]:
        """One client: the next submission follows the answer to the last one."""
        done = []
        for _ in range(self.submissions):
            started_at = perf_counter()
            job_id = await submit()
            done.append((job_id, perf_counter() - started_at))
        return done

    async def _remove(self, server: Server, job_ids: Sequence[str]) -> None:
        """Cancel and purge, as many at a time as there were clients."""
        for first in range(0, len(job_ids), self.clients):
            batch = job_ids[first : first + self.clients]
            await asyncio.gather(*(remove_job(server, job_id) for job_id in batch))

    @asynccontextmanager
    async def _busy_worker(self, server: Server) -> AsyncIterator[None]:
        """Every child at work from the beginning to the end of the block."""
        options = {"priority": "high"}
        jobs = [await submit_file(server, self.long, options) for _ in range(self.concurrency)]
        deadline = perf_counter() + BUSY_TIMEOUT_S
        while not await self._are_transcribing(server, [job.id for job in jobs]):
            if perf_counter() > deadline:
                raise BenchmarkFailed(f"the worker was not busy within {BUSY_TIMEOUT_S:.0f} s")
            await asyncio.sleep(BUSY_POLL_S)
        yield
        if not await self._are_transcribing(server, [job.id for job in jobs]):
            raise BenchmarkFailed("the worker was done too soon: use longer --busy-seconds")
        for job in jobs:
            await server.cancel_job(job.id)

    async def _are_transcribing(self, server: Server, job_ids: Sequence[str]) -> bool:
        jobs = [await server.get_job(job_id) for job_id in job_ids]
        return all(job.status == "processing" and job.step == "transcribing" for job in jobs)


@asynccontextmanager
async def by_put(running: RunningServer, path: Path) -> AsyncIterator[Submit]:
    """A client that sends the raw file."""
    async with connect(running) as server:

        async def submit() -> str:
            return (await submit_file(server, path, {})).id

        yield submit


@asynccontextmanager
async def by_form(running: RunningServer, path: Path) -> AsyncIterator[Submit]:
    """A client that sends a form, as curl and browsers do."""
    content = await asyncio.to_thread(path.read_bytes)
    async with httpx.AsyncClient(
        base_url=running.url,
        headers=running.headers,
        trust_env=False,
        timeout=SUBMIT_TIMEOUT_S,
    ) as http:

        async def submit() -> str:
            answer = await http.post("/transcribe/", files={"file": (path.name, content)})
            if answer.status_code != httpx.codes.ACCEPTED:
                raise BenchmarkFailed(f"HTTP {answer.status_code}: {answer.text[:300]}")
            return str(answer.json()["job_id"])

        yield submit


WAYS = {"PUT": by_put, "multipart": by_form}


def report(measured: Sequence[Latencies], machine: Machine) -> None:
    """Print a line per state of the worker and way of sending."""
    show_table(
        "Submit latency of a 1 MB wav, from the first byte sent to the answer 202",
        COLUMNS,
        [_line(item) for item in measured],
        machine,
    )


def _line(item: Latencies) -> tuple[str, ...]:
    return (
        f"{item.worker}, {item.way}",
        str(item.clients),
        str(len(item.submit_s)),
        f"{1000 * median(item.submit_s):.0f}",
        f"{1000 * percentile(item.submit_s, 0.95):.0f}",
        f"{1000 * max(item.submit_s):.0f}",
        f"{len(item.submit_s) / item.wall_s:.1f}",
    )
