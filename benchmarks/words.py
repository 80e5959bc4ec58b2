"""`words`: the engine's times of words beside those of openai-whisper's `word_timestamps`."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from audio.decode import decode
from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.manifest import (
    Recording,
    kind_option,
    limit_option,
    manifest_option,
    read_manifest,
    root_option,
    sample_recordings,
    select,
)
from benchmarks.recordings import server_ffmpeg
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.speed import have_weights
from benchmarks.word_times import NEAR_MS, Apart, how_far_apart, match_words, time_columns
from config import Settings, bound_openmp_spinning
from domain.errors import AudioError
from engines.base import Samples
from engines.cpu_share import usable_cores

if TYPE_CHECKING:
    from benchmarks.word_sides import WordSides

DECODE_TIMEOUT_S = 600.0
TIMES = ("start", "90%", "end", "90%", *(f"to {ms}" for ms in NEAR_MS))
WHOLE = ("kind", "files", "ours", "whisper", "both", *TIMES)
SAME_TEXT = ("kind", "windows", "words", *TIMES)
SECONDS = ("kind", "windows", "ours s", "whisper s", "on kept features s", "whisper / ours")
ALL = "all"


@dataclass(frozen=True)
class Row:
    """One recording."""

    name: str
    kind: str
    ours: int  # words
    whispers: int
    apart: Sequence[Apart]  # of the words that both have
    windows: int  # of openai-whisper's
    apart_same_text: Sequence[Apart]  # of all its words, aligned by both
    ours_s: Sequence[float]  # a round each, aligning these windows
    whisper_s: Sequence[float]
    whisper_kept_s: Sequence[float]


@dataclass
class Run:
    """The rows so far, and what they were made with."""

    machine: Machine
    settings: dict[str, Any]
    json_path: Path | None
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Keep a row, on disk too."""
        self.rows.append(row)
        content = {"settings": self.settings, "rows": [asdict(row) for row in self.rows]}
        write_json(self.json_path, self.machine, content)


@click.command()
@manifest_option
@root_option
@kind_option
@limit_option
@click.option("--max-seconds", type=float, help="Leave longer recordings out.")
@click.option("--threads", type=click.IntRange(1), help="Of both sides; all cores without.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
@click.option("--rounds", default=3, type=click.IntRange(1), help="Of what is timed.")
@model_option
@json_option
def words(
    *,
    manifest: Path | None,
    root: Path | None,
    kinds: tuple[str, ...],
    limit: int | None,
    max_seconds: float | None,
    threads: int | None,
    device: str,
    rounds: int,
    model_size: str,
    json_path: Path | None,
) -> None:
    """Times of words, the engine's and openai-whisper's, on the same files."""
    recordings = read_manifest(manifest, root) if manifest else sample_recordings()
    recordings = [each for each in recordings if not kinds or each.kind in kinds]
    recordings = select(recordings, per_kind=limit, max_duration_s=max_seconds)
    if not recordings:
        raise BenchmarkFailed("no recording was chosen")
    threads = threads or usable_cores()
    settings = {"model": model_size, "threads": threads, "rounds": rounds}
    have_weights(model_size)
    run = Run(describe_machine(), settings, json_path)
    sides = load_sides(model_size, device, threads)
    run.settings["device"] = sides.device
    warm_up(sides)
    for number, recording in enumerate(recordings, start=1):
        row = measure(sides, recording, rounds)
        run.add(row)
        note(f"{number}/{len(recordings)} {row.name}: {len(row.apart)} words matched")
    report(run)


def load_sides(model_size: str, device: str, threads: int) -> "WordSides":
    """Both sides, in this process."""
    bound_openmp_spinning()  # as the worker does; before torch is imported
    from benchmarks.word_sides import WordSides

    warnings.filterwarnings("ignore", message="FP16 is not supported on CPU")
    return WordSides(model_size, device=device, threads=threads)


def warm_up(sides: "WordSides") -> None:
    """Compile what is compiled when it is first used: nobody times it."""
    samples = decoded(sample_recordings()[0])
    sides.hear(samples)
    sides.align(sides.hear_as_whisper(samples), rounds=1)


def measure(sides: "WordSides", recording: Recording, rounds: int) -> Row:
    """One recording through both sides. Raises BenchmarkFailed for one that is no audio."""
    samples = decoded(recording)
    ours, heard = sides.hear(samples), sides.hear_as_whisper(samples)
    aligned = sides.align(heard, rounds)
    return Row(
        name=recording.name,
        kind=recording.kind,
        ours=len(ours),
        whispers=len(heard.words),
        apart=how_far_apart(match_words(ours, heard.words)),
        windows=len(heard.windows),
        apart_same_text=how_far_apart(aligned.pairs),
        ours_s=aligned.ours_s,
        whisper_s=aligned.whisper_s,
        whisper_kept_s=aligned.whisper_kept_s,
    )


def decoded(recording: Recording) -> Samples:
    """Its samples. Raises BenchmarkFailed."""
    try:
        return decode(
            recording.path,
            ffmpeg=str(server_ffmpeg()),
            max_duration_s=Settings().max_audio_duration_s,
            timeout_s=DECODE_TIMEOUT_S,
        ).samples
    except AudioError as error:
        raise BenchmarkFailed(f"{recording.name}: {error}") from error


def report(run: Run) -> None:
    """Print the three tables, a line per kind and one for all."""
    groups = {row.kind: [r for r in run.rows if r.kind == row.kind] for row in run.rows}
    groups[ALL] = run.rows
    asked = f"{run.settings['model']}, {run.settings['device']}, {run.settings['threads']} threads"
    how = "ms apart, % within so many ms"
    for title, columns, line in (
        (f"Words beside whisper.transcribe's, {how}", WHOLE, whole_line),
        (f"Words of the same text in the same windows, {how}", SAME_TEXT, same_text_line),
        ("Aligning these windows, the median round", SECONDS, seconds_line),
    ):
        lines = [line(kind, rows) for kind, rows in groups.items()]
        show_table(f"{title}, {asked}", columns, lines, run.machine)


def whole_line(kind: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """Each side with its own windows and text."""
    apart = [each for row in rows for each in row.apart]
    counts = (len(rows), sum(r.ours for r in rows), sum(r.whispers for r in rows), len(apart))
    return (kind, *map(str, counts), *time_columns(apart))


def same_text_line(kind: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """openai-whisper's windows and text, aligned by both; the rules on pauses left out."""
    apart = [each for row in rows for each in row.apart_same_text]
    return (kind, str(sum(r.windows for r in rows)), str(len(apart)), *time_columns(apart))


def seconds_line(kind: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """Seconds of all recordings of a round, the round in the middle."""
    ours, whisper, kept = (
        median(map(sum, zip(*times, strict=True)))
        for times in (
            [row.ours_s for row in rows],
            [row.whisper_s for row in rows],
            [row.whisper_kept_s for row in rows],
        )
    )
    windows = str(sum(row.windows for row in rows))
    return (kind, windows, *(f"{s:.2f}" for s in (ours, whisper, kept)), f"{whisper / ours:.1f}")
