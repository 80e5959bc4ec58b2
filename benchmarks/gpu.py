"""`gpu`: the decoder for GPUs checked and measured beside its peers, in one call."""

from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import gpu_checks as checks
from benchmarks import gpu_parts as parts
from benchmarks.errors import BenchmarkFailed
from benchmarks.gpu_models import SMALL, TRUE
from benchmarks.gpu_report import report
from benchmarks.gpu_run import GpuRun
from benchmarks.gpu_sides import PEERS, Work
from benchmarks.report import json_option

HEADLINE = 64
BATCHES = [HEADLINE, 128, 32, 16, 8, 1]
PEER_BATCHES = {
    "transformers, sdpa": [HEADLINE, 16, 1],
    "ctranslate2": [HEADLINE, 16, 1],
    # Slow: a minute for every batch of large-v3.
    "openai-whisper, halved": [HEADLINE, 1],
    "openai-whisper": [16],
}
SMALL_BATCHES = [2, 1]
SMALL_TOKENS = 6
JOBS = 16  # of 20 s
ALIGNED = 8  # windows that the engine aligns side by side on a GPU
SMALL_COUNT = 2  # of jobs and windows


@click.command()
@click.option("--device", default="cuda", help="Of torch: `cuda`, `cuda:1`; `cpu` with --small.")
@click.option("--small", is_flag=True, help="Tiny shapes: try the script out, anywhere.")
@click.option("--budget-s", default=540.0, help="Seconds, after which no part begins.")
@click.option("--rounds", default=5, type=click.IntRange(1), help="Of each rate, the median.")
@click.option("--tokens", default=112, type=click.IntRange(1), help="Per window.")
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="An official file for the comparison with the CPU; else random.")  # fmt: skip
@click.option("--recording", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A wav, mono at 16 kHz, for the same comparison.")  # fmt: skip
@json_option
def gpu(
    *,
    device: str,
    small: bool,
    budget_s: float,
    rounds: int,
    json_path: Path | None,
    **asked: Any,
) -> None:
    """Tokens, speed and memory of the decoder for GPUs, and of its peers, on random weights."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BenchmarkFailed("no GPU answers; --device cpu --small tries the script out")
    torch.backends.cuda.matmul.allow_tf32 = False  # float32 is what the checks compare with
    torch.backends.cudnn.allow_tf32 = False
    run = GpuRun(torch.device(device), budget_s, json_path, rounds)
    with torch.inference_mode():
        if small:
            measure(run, asked | {"tokens": SMALL_TOKENS}, is_small=True)
        else:
            measure(run, asked, is_small=False)
    run.write()
    report(run)


def measure(run: GpuRun, asked: dict[str, Any], *, is_small: bool) -> None:
    """Every part, what matters most first."""
    shapes = SMALL if is_small else TRUE
    works = {model: Work(dims, run.device, asked["tokens"]) for model, dims in shapes.items()}
    batches = SMALL_BATCHES if is_small else BATCHES
    run.part("operations", lambda: checks.check_operations(run.device))
    for model, work in works.items():
        run.part(f"networks {model}", lambda work=work: checks.check_networks(work))  # type: ignore[misc]
    for model, work in works.items():
        run.part(f"ours {model}", lambda work=work: parts.rate_ours(run, work, batches[:1]))  # type: ignore[misc]
    for model, work in works.items():
        for name in PEERS:
            _peer(run, model, work, name, batches[:1] if is_small else PEER_BATCHES[name])
    _rest(run, works, asked, batches, is_small=is_small)


def _peer(run: GpuRun, model: str, work: Work, name: str, batches: list[int]) -> None:
    run.part(f"{name} {model}", lambda: parts.rate_peer(run, work, name, batches), needs_s=30.0)


def _rest(
    run: GpuRun,
    works: dict[str, Work],
    asked: dict[str, Any],
    batches: list[int],
    *,
    is_small: bool,
) -> None:
    jobs, aligned = (SMALL_COUNT, SMALL_COUNT) if is_small else (JOBS, ALIGNED)
    for model, work in works.items():
        run.part(
            f"samples {model}",
            lambda work=work: parts.rate_from_samples(run, work, batches[0]),  # type: ignore[misc]
        )
        run.part(
            f"together {model}",
            lambda work=work: parts.rate_together(run, work, jobs),  # type: ignore[misc]
        )
    for model, work in works.items():
        run.part(
            f"ours {model}, other batches",
            lambda work=work: parts.rate_ours(run, work, batches[1:]),  # type: ignore[misc]
        )
    largest = works["large-v3"]
    run.part("attention kernels", lambda: parts.compare_kernels(largest, batches[0]))
    run.part("encoder attention", lambda: parts.compare_backends(run, largest))
    run.part("words large-v3", lambda: parts.rate_words(run, largest, aligned))
    run.part("spectrogram", lambda: checks.check_mel(run.device))
    run.part(
        "cpu path",
        lambda: checks.check_cpu_path(
            run.device, asked["weights"], asked["recording"], is_small=is_small
        ),
        needs_s=60.0,
    )


def main() -> None:
    """Run it alone, where the server's other dependencies are not installed."""
    try:
        gpu(prog_name="gpu")
    except BenchmarkFailed as error:
        raise SystemExit(f"benchmarks: {error}") from error


if __name__ == "__main__":
    main()
