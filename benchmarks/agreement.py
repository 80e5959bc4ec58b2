"""`agreement`: the batched decoder's tokens beside those of `whisper.decode`, window by window."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import describe_machine
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
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.speed import have_weights
from benchmarks.words import decoded
from config import bound_openmp_spinning
from engines.cpu_share import usable_cores

if TYPE_CHECKING:
    from benchmarks.agreement_sides import AgreementSides

NEAR_TIE = 0.1  # in log probability
COLUMNS = (
    "ours in", "windows", "the same", "tokens", "the same, %", "differing", "near-ties", "gap",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One recording in one precision."""

    name: str
    kind: str
    precision: str
    windows: int
    same_windows: int
    tokens: int  # of whisper's
    same_tokens: int  # of them, in order
    gaps: Sequence[float]  # of each window that differs, see `AgreementSides.gap`


@click.command()
@manifest_option
@root_option
@kind_option
@limit_option
@click.option("--max-seconds", type=float, help="Leave longer recordings out.")
@click.option("--threads", type=click.IntRange(1), help="Of both sides; all cores without.")
@model_option
@json_option
def agreement(
    *,
    manifest: Path | None,
    root: Path | None,
    kinds: tuple[str, ...],
    limit: int | None,
    max_seconds: float | None,
    threads: int | None,
    model_size: str,
    json_path: Path | None,
) -> None:
    """Tokens of the batched decoder and of openai-whisper, greedy, on the CPU."""
    recordings = read_manifest(manifest, root) if manifest else sample_recordings()
    recordings = [each for each in recordings if not kinds or each.kind in kinds]
    recordings = select(recordings, per_kind=limit, max_duration_s=max_seconds)
    if not recordings:
        raise BenchmarkFailed("no recording was chosen")
    threads = threads or usable_cores()
    have_weights(model_size)
    bound_openmp_spinning()  # as the worker does; before torch is imported
    from benchmarks.agreement_sides import AgreementSides

    machine = describe_machine()
    settings = {"model": model_size, "threads": threads, "near_tie": NEAR_TIE}
    sides = AgreementSides(model_size, threads=threads)
    rows: list[Row] = []
    for number, recording in enumerate(recordings, start=1):
        found = compare(sides, recording)
        rows += found
        write_json(json_path, machine, {"settings": settings, "rows": [asdict(r) for r in rows]})
        same = ", ".join(f"{row.same_windows}/{row.windows}" for row in found)
        note(f"{number}/{len(recordings)} {recording.name}: {same} windows the same")
    title = f"Tokens beside whisper.decode's, {len(recordings)} recordings, {model_size}"
    lines = [line(name, [r for r in rows if r.precision == name]) for name in sides.precisions]
    show_table(title, COLUMNS, lines, machine)


def compare(sides: "AgreementSides", recording: Recording) -> list[Row]:
    """One recording by both sides, a row for each precision of ours."""
    windows, language = sides.windows(decoded(recording)), recording.language or "en"
    theirs = sides.theirs(windows, language)
    rows = []
    for precision in sides.precisions:
        ours = sides.ours(windows, language, precision)
        differing = [n for n in range(len(windows)) if ours[n] != theirs[n]]
        row = Row(
            name=recording.name,
            kind=recording.kind,
            precision=precision,
            windows=len(windows),
            same_windows=len(windows) - len(differing),
            tokens=sum(map(len, theirs)),
            same_tokens=sum(map(same_tokens, ours, theirs)),
            gaps=[sides.gap(windows[n], language, theirs[n], ours[n]) for n in differing],
        )
        rows.append(row)
    return rows


def same_tokens(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """How many tokens both texts have, in order."""
    blocks = SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def line(precision: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """All recordings in one precision."""
    windows, same = sum(row.windows for row in rows), sum(row.same_windows for row in rows)
    tokens = sum(row.tokens for row in rows)
    share = sum(row.same_tokens for row in rows) / max(1, tokens)
    gaps = [gap for row in rows for gap in row.gaps]
    near = sum(abs(gap) <= NEAR_TIE for gap in gaps)
    return (
        precision,
        *map(str, (windows, same, tokens)),
        f"{share:.2%}",
        *map(str, (len(gaps), near)),
        f"{max(gaps, default=0.0):.2f}",
    )
