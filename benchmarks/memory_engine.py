"""What an engine's process holds, by model and by how many windows share a step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.engine_alone import engine_alone, model_folder
from benchmarks.processes import KIB_PER_MIB, Memory, read_memory
from benchmarks.recordings import make_long
from benchmarks.report import note
from benchmarks.speed_work import cut_jobs, prepare, recording_of
from engines.weights.catalog import official_weights

WINDOW_S = 20.0  # what the engine makes one window of


@dataclass(frozen=True)
class EngineMemory:
    """A process with one model, in MiB."""

    model_size: str
    loaded: Memory  # before its first recording: the weights are mapped, and not yet read
    peak_rss_mib: Mapping[int, float]  # by windows side by side, each after all before it
    at_rest: Memory  # after the last of them


def present_models(wanted: Sequence[str]) -> list[str]:
    """Those whose weights lie here."""
    folder = model_folder()
    return [size for size in wanted if (folder / official_weights(size).file_name).is_file()]


def measure_engines(
    folder: Path, model_sizes: Sequence[str], batches: Sequence[int]
) -> Iterator[EngineMemory]:
    """Each model in a fresh process. Raises BenchmarkFailed."""
    jobs = make_jobs(folder, max(batches))
    for model_size in model_sizes:
        yield measure_engine(folder, model_size, jobs, batches)
        note(f"{model_size} in a process of its own is measured")


def make_jobs(folder: Path, count: int) -> list[Path]:
    """Samples of one window each."""
    seconds = count * WINDOW_S
    speech = recording_of(make_long(folder, seconds), folder, seconds)
    samples = np.load(prepare([speech], folder / "engine")[0].samples_path)
    paths = []
    for number, job in enumerate(cut_jobs(samples, count, WINDOW_S)):
        paths.append(folder / f"window-{number}.npy")
        np.save(paths[-1], job)
    return paths


def measure_engine(
    folder: Path, model_size: str, jobs: Sequence[Path], batches: Sequence[int]
) -> EngineMemory:
    """One model, with few windows side by side first: a process's peak never goes down."""
    peaks = {}
    with engine_alone(folder, model_size) as side:
        loaded = read_memory(side.pid)
        for batch in sorted(batches):
            side.transcribe_all(jobs[:batch], is_decoded=True)
            peaks[batch] = peak_rss_mib(side.pid)
        return EngineMemory(model_size, loaded, peaks, read_memory(side.pid))


def peak_rss_mib(pid: int) -> float:
    """The most that a process ever had in memory, shared pages included. Raises OSError."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith("VmHWM:"))
    return int(found.split()[1]) / KIB_PER_MIB


def engine_columns(batches: Sequence[int]) -> tuple[str, ...]:
    """Of the table of engines."""
    peaks = (f"peak RSS, {batch}" for batch in sorted(batches))
    return ("model", "loaded RSS", "loaded private", *peaks, "then private")


def engine_row(measured: EngineMemory) -> tuple[str, ...]:
    """One model's line."""
    figures = (
        measured.loaded.rss_mib,
        measured.loaded.private_dirty_mib,
        *measured.peak_rss_mib.values(),
        measured.at_rest.private_dirty_mib,
    )
    return (measured.model_size, *(f"{figure:.0f}" for figure in figures))
