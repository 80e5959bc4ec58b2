"""What a measurement was made on: a figure without it says nothing."""

import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from embedded.process import ROOT
from engines.cpu_share import usable_cores

GIB = 1024**3
REVISION_TIMEOUT_S = 10.0
GPU_FILES = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Machine:
    """Hardware and versions."""

    cpu: str
    cores: int  # that this process may use
    memory_gib: float
    gpu: str | None
    load_before: float  # average of the last minute, processes that ran or waited
    python: str
    torch: str
    whisper: str
    revision: str | None  # of this repository, None outside of one

    def line(self) -> str:
        """The machine in one line, for the head of a table."""
        gpu = f", {self.gpu}" if self.gpu else ""
        return (
            f"{self.cores} cores of {self.cpu}{gpu}, {self.memory_gib:.0f} GiB, "
            f"load {self.load_before:.1f}; torch {self.torch}, openai-whisper {self.whisper}, "
            f"Python {self.python}, revision {self.revision or 'unknown'}"
        )


def describe_machine() -> Machine:
    """Look at the machine as it is now."""
    return Machine(
        cpu=cpu_name(),
        cores=usable_cores(),
        memory_gib=round(psutil.virtual_memory().total / GIB, 1),
        gpu=gpu_name(),
        load_before=round(psutil.getloadavg()[0], 2),
        python=platform.python_version(),
        torch=version("torch"),
        whisper=version("openai-whisper"),
        revision=revision(),
    )


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, or its architecture where the kernel tells no name."""
    return _field(cpuinfo, "model name") or platform.machine()


def gpu_name() -> str | None:
    """The first NVIDIA GPU's name as the driver tells it. Does not initialise CUDA."""
    names = (_field(path, "Model") for path in sorted(GPU_FILES.glob("*/information")))
    return next(filter(None, names), None)


def _field(path: Path, name: str) -> str | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(filter(None, values), None)


def revision() -> str | None:
    """The short commit of the checkout, with `+` where files were changed after it."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=REVISION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
