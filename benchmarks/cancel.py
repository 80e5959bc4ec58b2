"""`cancel`: from the request to end a running job until it is cancelled."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import httpx

from benchmarks.machine import Machine, describe_machine
from benchmarks.percentile import percentile
from benchmarks.recordings import make_long
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import running_server, scratch_folder

SPEECH_S = 300.0
COLUMNS = ("jobs", "median s", "largest s", "a window takes s")
POLL_S = 0.02
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Cancel:
    """One cancelled job, in seconds."""

    obeyed_s: float  # from the request until the job is cancelled
    window_s: float  # of this job's decoding, for thirty seconds of speech


@click.command()
@click.option("--jobs", default=8, type=click.IntRange(1), help="One after the other.")
@model_option
@json_option
def cancel(jobs: int, model_size: str, json_path: Path | None) -> None:
    """How soon a running job obeys its cancellation, with settings as shipped."""
    machine = describe_machine()
    dice = random.Random(1)  # noqa: S311 - moments, not secrets
    with scratch_folder() as folder:
        recording = make_long(folder, SPEECH_S)
        with (
            running_server(folder, model_size=model_size) as server,
            httpx.Client(base_url=server.url, headers=server.headers, timeout=TIMEOUT_S) as client,
        ):
            measured = [_measure(client, recording, dice.uniform(0, 5)) for _ in range(jobs)]
    report(measured, machine)
    write_json(json_path, machine, {"cancels": [asdict(item) for item in measured]})


def _measure(client: httpx.Client, recording: Path, wait_s: float) -> Cancel:
    with recording.open("rb") as stream:
        job_id = client.post("/transcribe/", files={"file": stream}).json()["job_id"]
    job = _await(client, job_id, lambda job: job["progress"] > 0)
    time.sleep(wait_s)  # so that the request comes at any moment of a window
    asked_at = time.monotonic()
    client.delete(f"/transcribe/{job_id}")
    job = _await(client, job_id, lambda job: job["status"] != "processing")
    obeyed_s = time.monotonic() - asked_at
    note(f"{job['status']} after {obeyed_s:.2f} s")
    history = client.get(f"/transcribe/{job_id}/history").json()
    began, ended = history[1]["at"], history[-1]["at"]
    took_s = _seconds(ended) - _seconds(began)
    return Cancel(obeyed_s, took_s * 30 / max(30.0, job["progress"] * SPEECH_S))


def _await(
    client: httpx.Client, job_id: str, is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/transcribe/{job_id}").json()
        if is_so(job):
            return job
        time.sleep(POLL_S)
    raise click.ClickException(f"job {job_id} is still {job['status']}")


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def report(measured: Sequence[Cancel], machine: Machine) -> None:
    """Print one line."""
    obeyed = [item.obeyed_s for item in measured]
    windows = [item.window_s for item in measured]
    line = (
        str(len(measured)),
        f"{percentile(obeyed, 0.5):.2f}",
        f"{max(obeyed):.2f}",
        f"{percentile(windows, 0.5):.2f}",
    )
    show_table("Cancellation of a running job", COLUMNS, [line], machine)
