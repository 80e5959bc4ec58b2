"""Which model to serve when WHISPER_MODEL_SIZE does not say."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SMALLEST_DEFAULT = "base"  # fetched when nothing better is here
NVIDIA_SMI_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Needs:
    """What a model asks of a machine to run several times faster than real time."""

    model_size: str
    file_name: str
    gpu_mb: int  # with room for activations
    cores: int  # base decodes 7.5 seconds a second on two cores; small needs 3.3 times as much


# Best first, by word error rate. Larger ones are of no use on a processor.
CANDIDATES = (
    Needs("large-v3", "large-v3.pt", gpu_mb=10_000, cores=128),
    Needs("turbo", "large-v3-turbo.pt", gpu_mb=6_000, cores=64),
    Needs("medium", "medium.pt", gpu_mb=5_000, cores=32),
    Needs("small", "small.pt", gpu_mb=2_000, cores=8),
)


def choose_default_model(model_dir: Path, *, gpu_mb: int, cores: int) -> str:
    """The best model whose weights lie in the folder and that this machine can serve.

    `gpu_mb` is the memory of the largest GPU, 0 without one. Nothing is downloaded for a
    default: whoever wants more than base fetches it once, by `make models MODEL=...`.
    """
    for needs in CANDIDATES:
        can_serve = gpu_mb >= needs.gpu_mb or cores >= needs.cores
        if can_serve and (model_dir / needs.file_name).is_file():
            return needs.model_size
    return SMALLEST_DEFAULT


def gpu_memory_mb() -> int:
    """Memory of the largest NVIDIA GPU in MiB; 0 when there is none, or no driver to ask."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=NVIDIA_SMI_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return max((int(line) for line in answer.stdout.split() if line.isdigit()), default=0)


def default_model(model_dir: Path) -> str:
    """`choose_default_model` for the machine that we are on."""
    return choose_default_model(
        model_dir, gpu_mb=gpu_memory_mb(), cores=len(os.sched_getaffinity(0))
    )
