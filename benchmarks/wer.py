"""`wer`: the server's transcripts beside those of openai-whisper's own `transcribe`."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.manifest import (
    Recording,
    limit_option,
    manifest_option,
    read_manifest,
    root_option,
    sample_recordings,
    select,
)
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import running_server, scratch_folder
from benchmarks.submit import connect, transcribe_file
from benchmarks.whisper_process import PlainWhisper, plain_whisper
from benchmarks.word_errors import WordErrors, count_word_errors, normalise
from client.api import Server
from engines.cpu_share import usable_cores

COLUMNS = ("kind", "files", "words", "server WER %", "whisper WER %", "difference", "other text")
ALL = "all"


@dataclass(frozen=True)
class Side:
    """What one side made of one file. An error counts as an empty text."""

    text: str
    error: str | None
    counts: WordErrors


@dataclass(frozen=True)
class Row:
    """One file, heard by both."""

    name: str
    kind: str
    language: str
    server: Side
    whisper: Side

    @property
    def differs(self) -> bool:
        """Whether the two texts differ after normalisation."""
        mine, theirs = (normalise(side.text, self.language) for side in (self.server, self.whisper))
        return mine != theirs


@dataclass
class Run:
    """The rows so far, and what they were made with: rows of another make do not mix."""

    machine: Machine
    settings: dict[str, Any]
    json_path: Path | None
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Keep a row, on disk too: a run of an hour may be cut off."""
        self.rows.append(row)
        content = {"settings": self.settings, "rows": [asdict(row) for row in self.rows]}
        write_json(self.json_path, self.machine, content)

    def resume(self) -> None:
        """Take the rows of an earlier run from its file. Raises BenchmarkFailed."""
        if self.json_path is None:
            raise BenchmarkFailed("--resume goes on with the file that --json names")
        if not self.json_path.exists():
            return
        content = json.loads(self.json_path.read_text())
        if content["settings"] != self.settings:
            raise BenchmarkFailed(f"{self.json_path} was made with {content['settings']}")
        self.rows = [row_from_json(row) for row in content["rows"]]


def row_from_json(data: dict[str, Any]) -> Row:
    """Undo `asdict`."""
    sides = {
        name: Side(**{**data[name], "counts": WordErrors(**data[name]["counts"])})
        for name in ("server", "whisper")
    }
    return Row(**{**data, **sides})


@click.command()
@manifest_option
@root_option
@limit_option
@click.option("--max-seconds", type=float, help="Leave longer recordings out.")
@click.option("--threads", type=click.IntRange(1), help="Per side; half of the cores without.")
@click.option(
    "--best-of",
    type=click.IntRange(1),
    help="`best_of` of openai-whisper's side; its own default (1) without. Its CLI uses 5.",
)
@click.option("--resume", is_flag=True, help="Go on with the rows in the file of --json.")
@model_option
@json_option
def wer(
    manifest: Path | None,
    root: Path | None,
    limit: int | None,
    max_seconds: float | None,
    threads: int | None,
    best_of: int | None,
    resume: bool,  # noqa: FBT001 - click's
    model_size: str,
    json_path: Path | None,
) -> None:
    """Word error rate of the server and of openai-whisper on the same files."""
    recordings = read_manifest(manifest, root) if manifest else sample_recordings()
    recordings = select(recordings, per_kind=limit, max_duration_s=max_seconds)
    # Both sides work at the same time, with the same number of threads each.
    threads = threads or max(1, usable_cores() // 2)
    options = {"best_of": best_of} if best_of else {}
    settings = {"model": model_size, "threads": threads, "whisper_options": options}
    run = Run(describe_machine(), settings, json_path)
    if resume:
        run.resume()
    done = {row.name for row in run.rows}
    asyncio.run(measure(run, [item for item in recordings if item.name not in done]))
    chosen = {recording.name for recording in recordings}
    report(run, [row for row in run.rows if row.name in chosen])


async def measure(run: Run, recordings: Sequence[Recording]) -> None:
    """Let both sides hear every recording. Raises BenchmarkFailed, ClientError."""
    if not recordings:
        return
    model_size, threads = run.settings["model"], run.settings["threads"]
    with (
        scratch_folder() as folder,
        running_server(
            folder, model_size=model_size, settings={"TORCH_THREADS": str(threads)}
        ) as running,
        plain_whisper(
            folder,
            model_size=model_size,
            threads=threads,
            options=run.settings["whisper_options"],
        ) as plain,
    ):
        async with connect(running) as server:
            for number, recording in enumerate(recordings, start=1):
                row = await hear(server, plain, recording)
                run.add(row)
                note(
                    f"{number}/{len(recordings)} {row.name}: server "
                    f"{row.server.counts.percent:.1f}, whisper {row.whisper.counts.percent:.1f}"
                )


async def hear(server: Server, plain: PlainWhisper, recording: Recording) -> Row:
    """One recording through both sides at the same time."""
    finished, answer = await asyncio.gather(
        transcribe_file(server, recording.path, {}),
        plain.transcribe_aside(recording.path),
    )
    return Row(
        name=recording.name,
        kind=recording.kind,
        language=recording.language,
        server=_side(recording, finished.text, finished.error),
        whisper=_side(recording, answer.text, answer.error),
    )


def _side(recording: Recording, text: str, error: str | None) -> Side:
    return Side(text, error, count_word_errors(recording.text, text, recording.language))


def report(run: Run, rows: Sequence[Row]) -> None:
    """Print a line per kind and one for all, then what went wrong."""
    kinds = dict.fromkeys(row.kind for row in rows)
    groups = {kind: [row for row in rows if row.kind == kind] for kind in kinds}
    lines = [summary_line(kind, group) for kind, group in groups.items()]
    title = f"Word error rate, {run.settings['model']}, {run.settings['threads']} threads a side"
    show_table(title, COLUMNS, [*lines, summary_line(ALL, rows)], run.machine)
    for row in rows:
        for name, side in (("server", row.server), ("whisper", row.whisper)):
            if side.error:
                note(f"{row.name}: {name} failed, {side.error}; counted as an empty text")


def summary_line(kind: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """One line of the table: rates over all words of the group, never means of rates."""
    server = _total(row.server.counts for row in rows)
    whisper = _total(row.whisper.counts for row in rows)
    return (
        kind,
        str(len(rows)),
        str(server.words),
        f"{server.percent:.2f}",
        f"{whisper.percent:.2f}",
        f"{server.percent - whisper.percent:+.2f}",
        str(sum(row.differs for row in rows)),
    )


def _total(counts: Iterable[WordErrors]) -> WordErrors:
    return sum(counts, start=WordErrors())
