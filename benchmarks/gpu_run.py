"""A run of `gpu`: its time, its results, and what went wrong in which part."""

import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.gpu_models import synchronize
from benchmarks.machine import revision
from benchmarks.report import note

DRIVER = Path("/proc/driver/nvidia/version")
PACKAGES = ("torch", "triton", "openai-whisper", "transformers", "ctranslate2", "numba")
MIB = 1024 * 1024
ERROR_CHARACTERS = 300


@dataclass
class GpuRun:
    """Parts run one after the other until the time is up; each is written down when it is done."""

    device: torch.device
    budget_s: float
    json_path: Path | None
    rounds: int
    results: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.facts = describe(self.device)

    @property
    def left_s(self) -> float:
        """What is left of the budget."""
        return self.budget_s - (time.monotonic() - self.started_s)

    def part(self, name: str, call: Callable[[], Any], *, needs_s: float = 10.0) -> Any:
        """The part's result, written down; None where it failed or there was no time for it."""
        if self.left_s < needs_s:
            self.skipped.append(name)
            self.write()
            return None
        note(f"{name} ({self.left_s:.0f} s left)")
        result = None
        try:
            result = self.results[name] = call()
        except Exception as error:  # noqa: BLE001 - one part's trouble shall not lose the others
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self.errors[name] = reason[:ERROR_CHARACTERS]
            note(f"{name} failed: {self.errors[name]}")
        self.free_memory()
        self.write()
        return result

    def free_memory(self) -> None:
        """Let the next part have what the last one held."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def write(self) -> None:
        """Write all that is known so far, if a file was asked for."""
        if self.json_path is None:
            return
        content = {
            "machine": self.facts,
            "results": self.results,
            "errors": self.errors,
            "skipped": self.skipped,
        }
        self.json_path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.json_path.with_name(f".{self.json_path.name}.part")
        draft.write_text(json.dumps(content, indent=2) + "\n")
        draft.replace(self.json_path)

    def timed(self, call: Callable[[], object]) -> list[float]:
        """Seconds of each of the rounds, after one that is not counted; fewer if time runs out."""
        call()
        synchronize(self.device)
        times_s: list[float] = []
        while len(times_s) < self.rounds and (not times_s or self.left_s > 0):
            started = time.perf_counter()
            call()
            synchronize(self.device)
            times_s.append(time.perf_counter() - started)
        return times_s

    def peak_mb(self, call: Callable[[], object]) -> float | None:
        """The most memory of the device that torch held while `call` ran, in MiB."""
        if self.device.type != "cuda":
            call()
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        call()
        return torch.cuda.max_memory_allocated(self.device) / MIB


def describe(device: torch.device) -> dict[str, Any]:
    """The device, its driver, the versions, the commit and the time."""
    is_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if is_gpu else "cpu",
        "driver": DRIVER.read_text().splitlines()[0] if DRIVER.exists() else None,
        "cuda": torch.version.cuda,
        "versions": {name: _version(name) for name in PACKAGES},
        "revision": revision(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def speed_of(times_s: Sequence[float], audio_s: float) -> dict[str, Any]:
    """RTFx of the median, of the slowest and of the fastest round."""
    return {
        "rtfx": audio_s / median(times_s),
        "rtfx_low": audio_s / max(times_s),
        "rtfx_high": audio_s / min(times_s),
        "rounds_s": list(times_s),
    }


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as docs/benchmarks.md has them."""
    lines = [f"\n{title}\n", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004
    return str(value)
