"""`overhead`: time through the server over time of the engine alone, on one recording."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import click

from benchmarks.machine import Machine, describe_machine
from benchmarks.overhead_sides import ENGINE, TITLES, WHISPER, Contender, Sides, contender_process
from benchmarks.recordings import cut, make_long
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import RunningServer, running_server, scratch_folder
from benchmarks.submit import connect
from benchmarks.word_errors import count_word_errors
from scripts.samples import sample_path

TARGET_RATIO = 1.05
COLUMNS = (
    "round", "server s", "alone s", "ratio", "in worker s", "CPU ratio", "RTFx", "words off",
)  # fmt: skip


@dataclass(frozen=True)
class Round:
    """One recording through both sides, one after the other."""

    audio_s: float
    server_s: float  # from the first byte sent to knowing that the job is completed
    alone_s: float  # of the other side's call, decoding included
    server_cpu_s: float  # processor time of all its processes meanwhile
    alone_cpu_s: float
    timings_s: Mapping[str, float]  # the server's own, per stage
    words_off: int  # between the two texts: they should have done the same work

    @property
    def ratio(self) -> float:
        """Server over the other side."""
        return self.server_s / self.alone_s

    @property
    def cpu_ratio(self) -> float:
        """The same of processor time, which other programs on the machine disturb less."""
        return self.server_cpu_s / self.alone_cpu_s


@dataclass
class Run:
    """The rounds so far, and what they were made with."""

    machine: Machine
    model_size: str
    against: str  # a name in TITLES
    whisper_options: Mapping[str, object]
    json_path: Path | None
    rounds: list[Round] = field(default_factory=list)

    @property
    def median_ratio(self) -> float:
        """The median of the rounds' ratios: each compares neighbours in time."""
        return median(item.ratio for item in self.rounds)

    def add(self, measured: Round) -> None:
        """Keep a round, on disk too: a long run may be cut off."""
        self.rounds.append(measured)
        rounds = [
            asdict(item) | {"ratio": item.ratio, "cpu_ratio": item.cpu_ratio}
            for item in self.rounds
        ]
        content = {
            "model": self.model_size,
            "against": self.against,
            "whisper_options": dict(self.whisper_options),
            "median_ratio": self.median_ratio,
            "rounds": rounds,
        }
        write_json(self.json_path, self.machine, content)


@click.command()
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A recording; the project's samples over and over without it.",
)
@click.option("--seconds", default=600.0, help="Length to cut it to.")
@click.option("--rounds", default=5, type=click.IntRange(1), help="Both sides once per round.")
@click.option(
    "--against",
    type=click.Choice(list(TITLES)),
    default=ENGINE,
    help="Our engine alone in a process of its own, or openai-whisper in a plain script.",
)
@click.option(
    "--best-of",
    type=click.IntRange(1),
    help="`best_of` of openai-whisper's side; its own default (1) without. Its CLI uses 5.",
)
@model_option
@json_option
def overhead(
    *,
    file: Path | None,
    seconds: float,
    rounds: int,
    against: str,
    best_of: int | None,
    model_size: str,
    json_path: Path | None,
) -> None:
    """Time through the server over time of the engine alone, alternating in one run."""
    if best_of and against != WHISPER:
        raise click.UsageError("--best-of is for --against whisper")
    options = {"best_of": best_of} if best_of else {}
    run = Run(describe_machine(), model_size, against, options, json_path)
    with scratch_folder() as folder:
        recording = cut(file, folder, seconds) if file else make_long(folder, seconds)
        with (
            running_server(folder, model_size=model_size) as running,
            contender_process(against, folder, model_size=model_size, best_of=best_of) as contender,
        ):
            asyncio.run(run_rounds(run, running, contender, recording, rounds))
    report(run)


async def run_rounds(
    run: Run, running: RunningServer, contender: Contender, recording: Path, rounds: int
) -> None:
    """Warm both sides up, then alternate; who begins alternates too. Raises BenchmarkFailed."""
    warm_up = sample_path()
    async with connect(running) as server:
        sides = Sides(running, server, contender)
        await sides.run_server(warm_up)
        await contender.transcribe(warm_up)
        for number in range(1, rounds + 1):
            measured = await run_round(sides, recording, server_first=number % 2 == 1)
            run.add(measured)
            note(
                f"round {number} of {rounds}: {measured.server_s:.1f} s through the server, "
                f"{measured.alone_s:.1f} s alone, ratio {measured.ratio:.3f}"
            )


async def run_round(sides: Sides, recording: Path, *, server_first: bool) -> Round:
    """Both sides once, never at the same time. Raises BenchmarkFailed when one fails."""
    if server_first:
        finished, server_cpu_s = await sides.run_server(recording)
        alone = await sides.contender.transcribe(recording)
    else:
        alone = await sides.contender.transcribe(recording)
        finished, server_cpu_s = await sides.run_server(recording)
    language = finished.job.language or ""
    return Round(
        audio_s=finished.job.audio_s or 0.0,
        server_s=finished.wall_s,
        alone_s=alone.wall_s,
        server_cpu_s=server_cpu_s,
        alone_cpu_s=alone.cpu_s,
        timings_s=finished.job.raw.get("timings") or {},
        words_off=count_word_errors(alone.text, finished.text, language).errors,
    )


def report(run: Run) -> None:
    """Print a line per round and the medians."""
    lines = [_line(str(number), item) for number, item in enumerate(run.rounds, start=1)]
    ratio, cpu_ratio = run.median_ratio, median(item.cpu_ratio for item in run.rounds)
    middle = ("median", "", "", f"{ratio:.3f}", "", f"{cpu_ratio:.3f}", "", "")
    title = (
        f"{run.rounds[0].audio_s:.0f} s of speech with {run.model_size}: time through the server "
        f"over {TITLES[run.against]} (wanted: at most {TARGET_RATIO})"
    )
    show_table(title, COLUMNS, [*lines, middle], run.machine)


def _line(name: str, item: Round) -> tuple[str, ...]:
    stages = ("audio_decode_s", "model_acquire_s", "transcribe_s")
    in_worker_s = sum(item.timings_s.get(stage, 0.0) for stage in stages)
    return (
        name,
        f"{item.server_s:.2f}",
        f"{item.alone_s:.2f}",
        f"{item.ratio:.3f}",
        f"{in_worker_s:.2f}",
        f"{item.cpu_ratio:.3f}",
        f"{item.audio_s / item.server_s:.1f}",
        str(item.words_off),
    )
