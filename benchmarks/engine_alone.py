"""Our engine in a process of its own, with the settings that the server would run it by."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.recordings import server_ffmpeg
from benchmarks.speed_process import SideProcess, side_process
from benchmarks.speed_sides import OURS
from benchmarks.whisper_process import plain_environment
from config import Settings
from embedded.process import ROOT
from engines.cpu_share import usable_cores

PEER_BATCH_SIZE = 8  # every side's order has it; our own engine does not read it


def model_folder() -> Path:
    """Where the weights lie."""
    return (ROOT / Settings().model_path).resolve()


@contextmanager
def engine_alone(folder: Path, model_size: str) -> Iterator[SideProcess]:
    """Run it on all cores until the block is left, its model loaded on entry.

    `folder` takes a link to ffmpeg. Raises BenchmarkFailed.
    """
    order = {
        "side": OURS.name,
        "model_size": model_size,
        "model_dir": str(model_folder()),
        "device": Settings().device,
        "threads": usable_cores(),
        "batch_size": PEER_BATCH_SIZE,
        "ffmpeg": str(server_ffmpeg()),
    }
    with side_process(order, plain_environment(folder)) as side:
        yield side
