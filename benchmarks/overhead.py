"""`overhead`: time through the server over time of a plain script, on one recording."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.recordings import cut, make_long
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import running_server, scratch_folder
from benchmarks.submit import connect, transcribe_file
from benchmarks.whisper_process import PlainWhisper, plain_whisper
from benchmarks.word_errors import count_word_errors
from client.api import Server
from engines.cpu_share import usable_cores
from scripts.samples import sample_path

TARGET_RATIO = 1.05
COLUMNS = ("round", "server s", "whisper s", "ratio", "in the worker s", "RTFx server", "words off")


@dataclass(frozen=True)
class Round:
    """One recording through both sides, one after the other."""

    audio_s: float
    server_s: float  # from the first byte sent to knowing that the job is completed
    whisper_s: float  # of the call, decoding included
    timings_s: Mapping[str, float]  # the server's own, per stage
    words_off: int  # between the two texts: they should have done the same work

    @property
    def ratio(self) -> float:
        """Server over plain script."""
        return self.server_s / self.whisper_s


@click.command()
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A recording; the project's samples over and over without it.",
)
@click.option("--seconds", default=600.0, help="Length to cut it to.")
@click.option("--rounds", default=3, type=click.IntRange(1), help="Both sides once per round.")
@click.option(
    "--best-of",
    type=click.IntRange(1),
    help="`best_of` of openai-whisper's side; its own default (1) without. Its CLI uses 5.",
)
@model_option
@json_option
def overhead(
    file: Path | None,
    seconds: float,
    rounds: int,
    best_of: int | None,
    model_size: str,
    json_path: Path | None,
) -> None:
    """Time through the server over time of whisper.transcribe, alternating in one run."""
    machine = describe_machine()
    options = {"best_of": best_of} if best_of else {}
    with scratch_folder() as folder:
        recording = cut(file, folder, seconds) if file else make_long(folder, seconds)
        with (
            running_server(folder, model_size=model_size) as running,
            plain_whisper(
                folder, model_size=model_size, threads=usable_cores(), options=options
            ) as plain,
        ):

            async def measure() -> list[Round]:
                async with connect(running) as server:
                    return await run_rounds(server, plain, recording, rounds)

            measured = asyncio.run(measure())
    report(measured, machine, model_size)
    content = {"model": model_size, "whisper_options": options, "median_ratio": ratio_of(measured)}
    rows = [asdict(item) | {"ratio": item.ratio} for item in measured]
    write_json(json_path, machine, {**content, "rounds": rows})


async def run_rounds(
    server: Server, plain: PlainWhisper, recording: Path, rounds: int
) -> list[Round]:
    """Warm both sides up, then alternate; who begins alternates too. Raises BenchmarkFailed."""
    warm_up = sample_path()
    await transcribe_file(server, warm_up, {})
    await asyncio.to_thread(plain.transcribe, warm_up)
    measured = []
    for number in range(rounds):
        measured.append(await run_round(server, plain, recording, server_first=number % 2 == 0))
        note(f"round {number + 1} of {rounds}: ratio {measured[-1].ratio:.3f}")
    return measured


async def run_round(
    server: Server, plain: PlainWhisper, recording: Path, *, server_first: bool
) -> Round:
    """Both sides once, never at the same time. Raises BenchmarkFailed when one fails."""
    if server_first:
        finished = await transcribe_file(server, recording, {})
        answer = await asyncio.to_thread(plain.transcribe, recording)
    else:
        answer = await asyncio.to_thread(plain.transcribe, recording)
        finished = await transcribe_file(server, recording, {})
    if finished.error or answer.error:
        raise BenchmarkFailed(f"server: {finished.error}; plain script: {answer.error}")
    language = finished.job.language or ""
    return Round(
        audio_s=finished.job.audio_s or 0.0,
        server_s=finished.wall_s,
        whisper_s=answer.wall_s,
        timings_s=finished.job.raw.get("timings") or {},
        words_off=count_word_errors(answer.text, finished.text, language).errors,
    )


def ratio_of(rounds: Sequence[Round]) -> float:
    """The median of the rounds' ratios: each compares neighbours in time."""
    return median(item.ratio for item in rounds)


def report(rounds: Sequence[Round], machine: Machine, model_size: str) -> None:
    """Print a line per round and the medians."""
    lines = [_line(str(number), item) for number, item in enumerate(rounds, start=1)]
    ratio = ratio_of(rounds)
    middle = ("median", "", "", f"{ratio:.3f}", "", "", "")
    title = (
        f"{rounds[0].audio_s:.0f} s of speech with {model_size}: time through the server over "
        f"whisper.transcribe (wanted: at most {TARGET_RATIO})"
    )
    show_table(title, COLUMNS, [*lines, middle], machine)


def _line(name: str, item: Round) -> tuple[str, ...]:
    stages = ("audio_decode_s", "model_acquire_s", "transcribe_s")
    in_worker_s = sum(item.timings_s.get(stage, 0.0) for stage in stages)
    return (
        name,
        f"{item.server_s:.2f}",
        f"{item.whisper_s:.2f}",
        f"{item.ratio:.3f}",
        f"{in_worker_s:.2f}",
        f"{item.audio_s / item.server_s:.1f}",
        str(item.words_off),
    )
