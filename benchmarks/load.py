"""`load`: many clients that upload at once while jobs run; nothing may break or be lost."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import click
import httpx

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.percentile import percentile
from benchmarks.processes import measure_memory
from benchmarks.recordings import make_megabyte, sample_files
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import RunningServer, running_server, scratch_folder

REQUEST_TIMEOUT_S = 120.0
MEMORY_EVERY_S = 1.0
SHOWN = ("web", "worker parent", "model host", "reconciler", "postgres", "valkey")
SERVER_ERROR = 500
ACCEPTED = 202
FINISHED = ("completed", "failed", "cancelled")
PAGE = 100


@dataclass
class Load:
    """What happened while the clients uploaded. Seconds and MiB."""

    clients: int
    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    submit_s: list[float] = field(default_factory=list)
    job_ids: list[str] = field(default_factory=list)
    broken: int = 0  # requests without any answer
    memory: list[dict[str, float]] = field(default_factory=list)  # PSS by name, once a second

    @property
    def server_errors(self) -> int:
        """Answers of 500 and above."""
        return sum(count for status, count in self.statuses.items() if status >= SERVER_ERROR)


@click.command()
@click.option("--clients", default=50, type=click.IntRange(1), help="At once, each its own.")
@click.option("--seconds", default=60.0, help="How long they go on uploading.")
@click.option("--concurrency", default=4, type=click.IntRange(1), help="Children of the worker.")
@model_option
@json_option
def load(
    clients: int, seconds: float, concurrency: int, model_size: str, json_path: Path | None
) -> None:
    """Clients that upload short recordings as fast as they are answered, while jobs run."""
    machine = describe_machine()
    with scratch_folder() as folder:
        files = [make_megabyte(folder), *sample_files()]
        with running_server(folder, model_size=model_size, concurrency=concurrency) as running:
            measured, fate = asyncio.run(put_under_load(running, files, clients, seconds))
    report(measured, fate, machine)
    write_json(json_path, machine, {"load": facts(measured), "jobs": dict(fate)})
    if measured.server_errors or measured.broken or fate["lost"]:
        raise BenchmarkFailed("requests broke or jobs were lost: see the tables")


async def put_under_load(
    running: RunningServer, files: Sequence[Path], clients: int, seconds: float
) -> tuple[Load, Counter[str]]:
    """Upload for a while, then look every job up and cancel what still waits."""
    contents = [(path.name, path.read_bytes()) for path in files]
    measured = Load(clients, seconds)
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(
        base_url=running.url,
        headers=running.headers,
        trust_env=False,
        timeout=REQUEST_TIMEOUT_S,
        limits=limits,
    ) as http:
        ends_at = perf_counter() + seconds
        watching = asyncio.create_task(watch_memory(running, measured))
        await asyncio.gather(
            *(upload(http, contents, number, ends_at, measured) for number in range(clients))
        )
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        note(f"{len(measured.job_ids)} jobs were taken in {seconds:.0f} s; looking each of them up")
        return measured, await look_up(http, measured.job_ids)


async def upload(
    http: httpx.AsyncClient,
    contents: Sequence[tuple[str, bytes]],
    number: int,
    ends_at: float,
    measured: Load,
) -> None:
    """One client: the next recording follows the answer to the last one."""
    mine = cycle([*contents[number % len(contents) :], *contents[: number % len(contents)]])
    while perf_counter() < ends_at:
        name, content = next(mine)
        began_at = perf_counter()
        try:
            answer = await http.post(
                "/transcribe/",
                files={"file": (name, content)},
                headers={"X-Client-ID": f"client-{number}"},
            )
        except httpx.TransportError:
            measured.broken += 1
            continue
        measured.statuses[answer.status_code] += 1
        if answer.status_code == ACCEPTED:
            measured.submit_s.append(perf_counter() - began_at)
            measured.job_ids.append(answer.json()["job_id"])


async def watch_memory(running: RunningServer, measured: Load) -> None:
    """Note the memory of every kind of process, again and again."""
    while True:
        groups = await asyncio.to_thread(measure_memory, running.launcher_pid, running.host_pids())
        row = {name: group.memory.pss_mib for name, group in groups.items()}
        row["worker children"] = sum(
            group.memory.pss_mib for name, group in groups.items() if name.startswith("worker ch")
        )
        measured.memory.append(row)
        await asyncio.sleep(MEMORY_EVERY_S)


async def look_up(http: httpx.AsyncClient, job_ids: Sequence[str]) -> Counter[str]:
    """What became of each job, by status; `lost` is what the server does not know any more.

    What still waits is cancelled, and must then be so.
    """
    fate: Counter[str] = Counter()
    fate["lost"] = 0
    for first in range(0, len(job_ids), PAGE):
        fate.update(
            await asyncio.gather(
                *(_fate_of(http, job_id) for job_id in job_ids[first : first + PAGE])
            )
        )
    return fate


async def _fate_of(http: httpx.AsyncClient, job_id: str) -> str:
    answer = await http.get(f"/transcribe/{job_id}")
    if answer.status_code != httpx.codes.OK:
        return "lost"
    status = str(answer.json()["status"])
    if status in FINISHED:
        return status
    ended = await http.delete(f"/transcribe/{job_id}")
    # 409: it was completed between the two requests.
    return status if ended.status_code in (200, 202, 409) else "lost"


def facts(measured: Load) -> dict[str, Any]:
    """What the file of --json keeps."""
    return {
        "clients": measured.clients,
        "seconds": measured.seconds,
        "statuses": {str(status): count for status, count in measured.statuses.items()},
        "broken": measured.broken,
        "submit_s": [round(spent, 3) for spent in measured.submit_s],
        "memory_mib": [
            {name: round(mib, 1) for name, mib in row.items()} for row in measured.memory
        ],
    }


def report(measured: Load, fate: Counter[str], machine: Machine) -> None:
    """Print what was answered, what became of the jobs, and the memory over time."""
    spent_s = measured.submit_s or [0.0]
    show_table(
        f"{measured.clients} clients uploading for {measured.seconds:.0f} s while jobs run",
        ("answers", "5xx", "no answer", "per s", "median ms", "95th ms", "largest ms", "jobs lost"),
        [
            (
                ", ".join(f"{count} x {status}" for status, count in measured.statuses.items()),
                str(measured.server_errors),
                str(measured.broken),
                f"{len(measured.submit_s) / measured.seconds:.1f}",
                f"{1000 * median(spent_s):.0f}",
                f"{1000 * percentile(spent_s, 0.95):.0f}",
                f"{1000 * max(spent_s):.0f}",
                str(fate["lost"]),
            )
        ],
        machine,
    )
    show_table(
        "What the jobs were when they were looked up",
        ("status", "jobs"),
        [(status, str(count)) for status, count in sorted(fate.items())],
        machine,
    )
    show_table(
        "Memory (PSS) in MiB, means over a fifth of the time each",
        ("processes", "1st", "2nd", "3rd", "4th", "5th"),
        [(name, *over_time(measured.memory, name)) for name in (*SHOWN, "worker children")],
        machine,
    )


def over_time(rows: Sequence[dict[str, float]], name: str) -> tuple[str, ...]:
    """The mean of each fifth of the readings; a dash where there is none."""
    fifths = [rows[len(rows) * n // 5 : len(rows) * (n + 1) // 5] for n in range(5)]
    return tuple(
        f"{sum(row.get(name, 0.0) for row in part) / len(part):.0f}" if part else "-"
        for part in fifths
    )
