"""`together`: short jobs handed to the server all at once, and one at a time."""

import asyncio
import wave
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.number_list import NumberList
from benchmarks.recordings import cut, make_long
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import running_server, scratch_folder
from benchmarks.speed_report import GAIN_WANTED
from benchmarks.speed_turns import Gain, median_gain
from benchmarks.speed_work import GAIN_JOBS, GAIN_S, cut_jobs, prepare, recording_of
from benchmarks.submit import Finished, connect, transcribe_file
from client.api import Server
from engines.base import SAMPLE_RATE_HZ, Samples

COLUMNS = ("children", "apart s", "together s", "ratio", "lowest", "highest", "other text")
PCM_MAX = 32767


@dataclass
class Run:
    """The rounds so far, by number of children, and what they were made with."""

    machine: Machine
    settings: dict[str, Any]
    json_path: Path | None
    gains: dict[int, list[Gain]] = field(default_factory=dict)

    def add(self, concurrency: int, gain: Gain) -> None:
        """Keep a round, on disk too: a long run may be cut off."""
        self.gains.setdefault(concurrency, []).append(gain)
        content = {
            **self.settings,
            "median_ratio": {str(each): median_gain(done) for each, done in self.gains.items()},
            "rounds": {
                str(each): [asdict(gain) | {"ratio": gain.ratio} for gain in done]
                for each, done in self.gains.items()
            },
        }
        write_json(self.json_path, self.machine, content)


@click.command()
@click.option("--concurrency", "concurrencies", default="2,8,16", type=NumberList(),
              help="Children of the worker; a server for each number.")  # fmt: skip
@click.option("--rounds", default=5, type=click.IntRange(1), help="Both ways once per round.")
@click.option("--jobs", default=GAIN_JOBS, type=click.IntRange(2), help="Of one recording each.")
@click.option("--seconds", default=float(GAIN_S), help="Length of each.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="To cut them out of; the project's samples without it.")  # fmt: skip
@model_option
@json_option
def together(
    *,
    concurrencies: Sequence[int],
    rounds: int,
    jobs: int,
    seconds: float,
    file: Path | None,
    model_size: str,
    json_path: Path | None,
) -> None:
    """Jobs submitted together against the same one at a time, through the server."""
    settings = {"model": model_size, "jobs": jobs, "seconds": seconds}
    run = Run(describe_machine(), settings, json_path)
    with scratch_folder() as folder:
        recordings = make_jobs(folder, file, jobs, seconds)
        for concurrency in concurrencies:
            data_dir = folder / f"children-{concurrency}"
            data_dir.mkdir(mode=0o711)
            with running_server(
                data_dir, model_size=model_size, concurrency=concurrency
            ) as running:
                asyncio.run(run_rounds(run, connect(running), recordings, concurrency, rounds))
    report(run)


def make_jobs(folder: Path, file: Path | None, count: int, seconds: float) -> list[Path]:
    """Wavs cut one after another out of a recording. Raises BenchmarkFailed."""
    source = cut(file, folder, count * seconds) if file else make_long(folder, count * seconds)
    speech = recording_of(source, folder, count * seconds)
    samples = np.load(prepare([speech], folder / "decoded")[0].samples_path)
    paths = []
    for number, job in enumerate(cut_jobs(samples, count, seconds)):
        paths.append(folder / f"job-{number}.wav")
        write_wav(paths[-1], job)
    return paths


def write_wav(path: Path, samples: Samples) -> None:
    """16-bit mono PCM."""
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE_HZ)
        stream.writeframes((samples.clip(-1, 1) * PCM_MAX).astype("<i2").tobytes())


async def run_rounds(
    run: Run, client: Server, recordings: Sequence[Path], concurrency: int, rounds: int
) -> None:
    """Warm up, then both ways in turn; which comes first alternates. Raises BenchmarkFailed."""
    async with client as server:
        await at_once(server, recordings)
        for number in range(rounds):
            gain = await run_round(server, recordings, together_first=number % 2 == 1)
            run.add(concurrency, gain)
            note(
                f"{concurrency} children, round {number + 1} of {rounds}: {gain.apart_s:.1f} s "
                f"one at a time, {gain.together_s:.1f} s together, {gain.ratio:.2f}"
            )


async def run_round(server: Server, recordings: Sequence[Path], *, together_first: bool) -> Gain:
    """The same jobs at once and one by one. Raises BenchmarkFailed."""
    if together_first:
        together, together_s = await at_once(server, recordings)
        apart, apart_s = await one_by_one(server, recordings)
    else:
        apart, apart_s = await one_by_one(server, recordings)
        together, together_s = await at_once(server, recordings)
    return Gain(
        jobs=len(recordings),
        audio_s=sum(each.job.audio_s or 0.0 for each in apart),
        apart_s=apart_s,
        together_s=together_s,
        differing=sum(one.text != other.text for one, other in zip(apart, together, strict=True)),
    )


async def at_once(server: Server, recordings: Sequence[Path]) -> tuple[list[Finished], float]:
    """All submitted at the same moment; seconds until the last is known to be done."""
    started_at = perf_counter()
    finished = await asyncio.gather(*(transcribe_file(server, path, {}) for path in recordings))
    return checked(finished), perf_counter() - started_at


async def one_by_one(server: Server, recordings: Sequence[Path]) -> tuple[list[Finished], float]:
    """Each submitted when the one before is known to be done."""
    started_at = perf_counter()
    finished = [await transcribe_file(server, path, {}) for path in recordings]
    return checked(finished), perf_counter() - started_at


def checked(finished: Sequence[Finished]) -> list[Finished]:
    """The same. Raises BenchmarkFailed where a job has no transcript."""
    errors = {each.error for each in finished if each.error}
    if errors:
        raise BenchmarkFailed(f"a job is {', '.join(sorted(errors))}")
    return list(finished)


def report(run: Run) -> None:
    """Print a line per number of children: the round in the middle, and the ratios' range."""
    wanted = GAIN_WANTED["cuda" if run.machine.gpu else "cpu"]
    title = (
        f"{run.settings['jobs']} jobs of {run.settings['seconds']:.0f} s through the server, one "
        f"at a time over all together, {run.settings['model']} (wanted: at least {wanted})"
    )
    rows = [gain_row(concurrency, gains) for concurrency, gains in run.gains.items()]
    show_table(title, COLUMNS, rows, run.machine)


def gain_row(concurrency: int, gains: Sequence[Gain]) -> tuple[str, ...]:
    """One line."""
    ratios = [gain.ratio for gain in gains]
    middle = sorted(gains, key=lambda gain: gain.ratio)[(len(gains) - 1) // 2]
    return (
        str(concurrency),
        f"{middle.apart_s:.2f}",
        f"{middle.together_s:.2f}",
        *(f"{value:.2f}" for value in (median_gain(gains), min(ratios), max(ratios))),
        str(max(gain.differing for gain in gains)),
    )
