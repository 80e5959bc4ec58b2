"""Recordings with known words: from a manifest, or the project's own samples."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.errors import BenchmarkFailed
from scripts.samples import SAMPLES, sample_path

manifest_option = click.option(
    "--manifest",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV of recordings with their texts; the project's samples without it.",
)
root_option = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="What the manifest's paths are relative to; two folders above it without.",
)
kind_option = click.option(
    "--kind", "kinds", multiple=True, help="Of the manifest; may be repeated."
)
limit_option = click.option(
    "--limit", type=click.IntRange(1), help="At most so many files of each kind."
)


@dataclass(frozen=True)
class Recording:
    """One file and what is said in it."""

    name: str  # as the manifest writes its path
    path: Path
    kind: str
    text: str
    language: str  # a code as Whisper spells it; empty when unknown
    duration_s: float  # 0 when unknown


def read_manifest(manifest: Path, root: Path | None = None) -> list[Recording]:
    """The rows of a CSV that have a text.

    Columns: path, kind, text, language, duration (seconds); others are ignored. Paths are
    relative to `root`, by default the folder that holds the manifest's own folder. Raises
    BenchmarkFailed for a missing column or file.
    """
    root = root or manifest.resolve().parent.parent
    with manifest.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    try:
        found = [
            Recording(
                name=row["path"],
                path=root / row["path"],
                kind=row["kind"],
                text=row["text"],
                language=row["language"],
                duration_s=float(row["duration"] or 0),
            )
            for row in rows
            if row["text"].strip()
        ]
    except KeyError as error:
        raise BenchmarkFailed(f"{manifest} has no column {error}") from error
    missing = [recording.name for recording in found if not recording.path.is_file()]
    if missing:
        raise BenchmarkFailed(f"not below {root}: {', '.join(missing[:5])}; see --root")
    return found


def sample_recordings() -> list[Recording]:
    """The project's samples, fetched when needed. Raises PackageFetchFailed."""
    return [
        Recording(
            name=sample.name,
            path=sample_path(sample.name),
            kind=sample.origin,
            text=sample.text,
            language="en",
            duration_s=sample.duration_s,
        )
        for sample in SAMPLES.values()
    ]


def select(
    recordings: Sequence[Recording], *, per_kind: int | None, max_duration_s: float | None
) -> list[Recording]:
    """The first `per_kind` of each kind that are not longer than `max_duration_s`."""
    taken: Counter[str] = Counter()
    chosen = []
    for recording in recordings:
        if max_duration_s is not None and recording.duration_s > max_duration_s:
            continue
        taken[recording.kind] += 1
        if per_kind is None or taken[recording.kind] <= per_kind:
            chosen.append(recording)
    return chosen
