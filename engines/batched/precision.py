"""The types that a processor computes fastest in, found out by trying and written down."""

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numba
import torch

from engines.batched.int8 import has_int8
from engines.batched.linear import GELU, pack_int8, pack_linear

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Precision:
    """What a decoder computes in."""

    dtype: torch.dtype
    weights: torch.dtype  # of products by weights: the same, or int8

    @classmethod
    def of(cls, dtype: torch.dtype) -> "Precision":
        """Everything in one type."""
        return cls(dtype, dtype)

    @property
    def name(self) -> str:
        """As the notes have it."""
        return f"{self.weights} in {self.dtype}".replace("torch.", "")


PLAIN, NARROW = Precision.of(torch.float32), Precision.of(torch.bfloat16)
ROUNDED = tuple(Precision(whole.dtype, torch.int8) for whole in (PLAIN, NARROW))
CANDIDATES = (PLAIN, NARROW, *ROUNDED)
NAMES = {precision.name: precision for precision in CANDIDATES}
# Rows, in, out: a product of the encoder of base, and one of its decoder's steps.
SHAPES = ((1500, 512, 2048), (16, 512, 2048))
TRIES = 7
# What rounds must be this much faster to be chosen, at every shape.
NARROW_WORTH_IT = 1.2
INT8_WORTH_IT = 1.1


def fastest_precision(notes: Path) -> Precision:
    """float32 or bfloat16, whichever this CPU multiplies faster, and whether weights in int8 are
    faster still; measured once and kept.

    `notes` is the file that keeps it, by processor and version of torch.
    """
    key = f"{_processor()}; torch {torch.__version__}"
    known = _read(notes)
    if known.get(key) not in NAMES:
        times_s = {PLAIN: _measure_s(PLAIN), NARROW: _measure_s(NARROW)}
        chosen = _faster(times_s, PLAIN, NARROW, NARROW_WORTH_IT)
        if has_int8():
            rounded = Precision(chosen.dtype, torch.int8)
            times_s[rounded] = _measure_s(rounded)
            chosen = _faster(times_s, chosen, rounded, INT8_WORTH_IT)
        known[key] = chosen.name
        seconds = {precision.name: measured for precision, measured in times_s.items()}
        logger.info("precision_chosen", extra={"precision": chosen.name, "seconds": seconds})
        _write(notes, known)
    return NAMES[known[key]]


def _faster(
    times_s: dict[Precision, tuple[float, ...]], one: Precision, other: Precision, worth_it: float
) -> Precision:
    pairs = zip(times_s[one], times_s[other], strict=True)
    return other if all(other_s * worth_it < one_s for one_s, other_s in pairs) else one


@torch.inference_mode()
def _measure_s(precision: Precision) -> tuple[float, ...]:
    """Seconds of a product at each of SHAPES, with as many threads as torch has now."""
    threads = numba.get_num_threads()
    numba.set_num_threads(min(torch.get_num_threads(), threads))
    try:
        return tuple(_measure_product_s(precision, *shape) for shape in SHAPES)
    finally:
        numba.set_num_threads(threads)


def _measure_product_s(precision: Precision, rows: int, width: int, out: int) -> float:
    weight = torch.full((out, width), 0.01, dtype=precision.dtype)
    bias = torch.zeros(out, dtype=precision.dtype)
    if precision.weights == torch.int8:
        multiply = pack_int8(weight, bias, activation=GELU)
    else:
        multiply = pack_linear(weight, bias, activation=GELU, rows=rows)
    x = torch.full((rows, width), 0.01, dtype=precision.dtype)
    multiply(x)
    best_s = float("inf")
    for _ in range(TRIES):
        started = time.perf_counter()
        multiply(x)
        best_s = min(best_s, time.perf_counter() - started)
    return best_s


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return torch.backends.cpu.get_cpu_capability()
    facts = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    # A cloud's processors may share a name and differ in what they can do.
    kind = [facts.get(name, "") for name in ("model name", "cpu family", "model", "stepping")]
    return f"{' '.join(kind)} {torch.backends.cpu.get_cpu_capability()}"


def _read(notes: Path) -> dict[str, str]:
    try:
        content = json.loads(notes.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: name for key, name in content.items() if isinstance(name, str)}


def _write(notes: Path, known: dict[str, str]) -> None:
    draft = notes.with_name(f".{notes.name}.{time.time_ns()}")
    try:
        notes.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(known, indent=2))
        draft.replace(notes)
    except OSError as error:  # measured again next time
        logger.warning("precision_not_kept", extra={"reason": str(error)})
        with suppress(OSError):
            draft.unlink(missing_ok=True)
