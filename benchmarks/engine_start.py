"""`engine-start`: from the start of a process until our engine has decoded a window."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import click

from benchmarks.errors import BenchmarkFailed
from benchmarks.machine import Machine, describe_machine
from benchmarks.manifest import sample_recordings
from benchmarks.report import json_option, model_option, note, show_table, write_json
from benchmarks.server import scratch_folder
from benchmarks.speed import have_weights
from benchmarks.speed_work import prepare, short_ones
from benchmarks.whisper_process import plain_environment
from embedded.process import ROOT
from engines.cpu_share import usable_cores

TARGET_S = 3.0  # beyond importing torch, for base on a CPU
TORCH, FIRST, SECOND = "torch", "first window", "second window"
RUN_TIMEOUT_S = 600.0
# The stages of a window in the order in which the engine goes through them.
STAGES = {
    "speech_s": "finding speech",
    "rest_s": "packing the weights",
    "mel_s": "spectrogram",
    "encode_s": "encoding, silence too",
    "language_s": "language",
    "decode_s": "decoding",
}
COLUMNS = ("step", "s", "lowest", "highest", "CPU s", "once more s")


@dataclass(frozen=True)
class Start:
    """One process. Seconds."""

    steps_s: Mapping[str, float]
    cpu_s: Mapping[str, float]  # of the same steps, all cores together
    first_s: Mapping[str, float]  # of the first window, by stage
    second_s: Mapping[str, float]  # of the same window once more

    @property
    def total_s(self) -> float:
        """From the start of the process until the first window is decoded."""
        return total(self.steps_s)

    @property
    def beyond_torch_s(self) -> float:
        """The same without importing torch."""
        return self.total_s - self.steps_s[TORCH]

    @property
    def beyond_torch_cpu_s(self) -> float:
        """Processor time of that, which other programs on the machine disturb less."""
        return total(self.cpu_s) - self.cpu_s[TORCH]


def total(steps: Mapping[str, float]) -> float:
    """What comes before the end of the first window."""
    return sum(seconds for name, seconds in steps.items() if name != SECOND)


@dataclass
class Run:
    """The starts so far, and what they were made with."""

    machine: Machine
    model_size: str
    json_path: Path | None
    starts: list[Start] = field(default_factory=list)

    def add(self, start: Start) -> None:
        """Keep a start, on disk too."""
        self.starts.append(start)
        starts = [
            asdict(each) | {"total_s": each.total_s, "beyond_torch_s": each.beyond_torch_s}
            for each in self.starts
        ]
        content = {
            "model": self.model_size,
            "median_beyond_torch_s": median(each.beyond_torch_s for each in self.starts),
            "median_beyond_torch_cpu_s": median(each.beyond_torch_cpu_s for each in self.starts),
            "starts": starts,
        }
        write_json(self.json_path, self.machine, content)


@click.command("engine-start")
@click.option("--starts", default=5, type=click.IntRange(1), help="After one that warms up.")
@model_option
@json_option
def engine_start(starts: int, model_size: str, json_path: Path | None) -> None:
    """Time until our engine alone has decoded its first window on the CPU, by step."""
    run = Run(describe_machine(), model_size, json_path)
    model_dir = have_weights(model_size)
    with scratch_folder() as folder:
        recording = prepare(short_ones(sample_recordings(), 1), folder / "recording")[0]
        environment = plain_environment(folder)
        for number in range(starts + 1):
            start = measure(model_size, model_dir, recording.samples_path, environment)
            if number:  # the one before brought every file into memory
                run.add(start)
            note(f"start {number} of {starts}: {start.beyond_torch_s:.2f} s beyond torch")
        audio_s = recording.audio_s
    report(run, audio_s)


def measure(
    model_size: str, model_dir: Path, recording: Path, environment: Mapping[str, str]
) -> Start:
    """Start the engine in a process of its own. Raises BenchmarkFailed."""
    order = {
        "model_size": model_size,
        "model_dir": str(model_dir),
        "threads": usable_cores(),
        "recording": str(recording),
        "started_s": time.monotonic(),
    }
    try:
        said = subprocess.run(
            [sys.executable, "-m", "benchmarks.engine_start_script", json.dumps(order)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=RUN_TIMEOUT_S,
        )
    except subprocess.SubprocessError as error:
        raise BenchmarkFailed(f"the engine did not start: {error}") from error
    return Start(**json.loads(said.stdout.splitlines()[-1]))


def report(run: Run, audio_s: float) -> None:
    """Print a line per step, the first window's stages below it, and the sums."""
    title = (
        f"Start of the engine alone, {run.model_size}, first window of {audio_s:.0f} s, medians "
        f"of {len(run.starts)} (wanted: below {TARGET_S:.0f} s beyond torch)"
    )
    show_table(title, COLUMNS, rows(run.starts), run.machine)


def rows(starts: Sequence[Start]) -> list[tuple[str, ...]]:
    """What `report` prints."""
    lines = []
    for name in starts[0].steps_s:
        if name != SECOND:
            again_s = [each.steps_s[SECOND] for each in starts] if name == FIRST else ()
            cpu_s = [each.cpu_s[name] for each in starts]
            lines.append(_row(name, [each.steps_s[name] for each in starts], cpu_s, again_s))
    for stage, name in STAGES.items():
        first_s = [each.first_s.get(stage, 0.0) for each in starts]
        second_s = [each.second_s.get(stage, 0.0) for each in starts]
        lines.append(_row(f"  {name}", first_s, (), second_s))
    lines.append(_row("all", [e.total_s for e in starts], [total(e.cpu_s) for e in starts]))
    beyond_cpu_s = [each.beyond_torch_cpu_s for each in starts]
    lines.append(_row("all beyond torch", [each.beyond_torch_s for each in starts], beyond_cpu_s))
    return lines


def _row(
    name: str,
    values_s: Sequence[float],
    cpu_s: Sequence[float] = (),
    again_s: Sequence[float] = (),
) -> tuple[str, ...]:
    figures = (median(values_s), min(values_s), max(values_s))
    more = (f"{median(values):.3f}" if values else "" for values in (cpu_s, again_s))
    return (name, *(f"{figure:.3f}" for figure in figures), *more)
