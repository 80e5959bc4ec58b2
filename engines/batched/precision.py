"""The types that a processor computes fastest in, found out by trying and written down."""

import json
import logging
import time
from collections.abc import Callable, Sequence
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
CANDIDATES = (PLAIN, NARROW, *(Precision(one.dtype, torch.int8) for one in (PLAIN, NARROW)))
NAMES = {precision.name: precision for precision in CANDIDATES}
# Rows, in, out: a product of the encoder of base, and one of its decoder's steps.
SHAPES = ((500, 512, 2048), (16, 512, 2048))
ROUNDS = 12
# What rounds must be this much faster to be chosen, at every shape.
NARROW_WORTH_IT = 1.2
INT8_WORTH_IT = 1.1

Times = dict[Precision, tuple[float, ...]]


def fastest_precision(notes: Path) -> Precision:
    """float32 or bfloat16, whichever this CPU multiplies faster, and whether weights in int8 are
    faster still; measured once and kept.

    `notes` is the file that keeps it, by processor and version of torch.
    """
    key = f"{_processor()}; torch {torch.__version__}"
    known = _read(notes)
    if known.get(key) not in NAMES:
        chosen = _faster(PLAIN, NARROW, NARROW_WORTH_IT)
        if has_int8():
            chosen = _faster(chosen, Precision(chosen.dtype, torch.int8), INT8_WORTH_IT)
        known[key] = chosen.name
        logger.info("precision_chosen", extra={"precision": chosen.name})
        _write(notes, known)
    return NAMES[known[key]]


def _faster(one: Precision, other: Precision, worth_it: float) -> Precision:
    """The other one, if that pays at every shape."""
    times_s = _measure_s((one, other))
    seconds = {precision.name: measured for precision, measured in times_s.items()}
    logger.info("precision_measured", extra={"seconds": seconds})
    pairs = zip(times_s[one], times_s[other], strict=True)
    return other if all(other_s * worth_it < one_s for one_s, other_s in pairs) else one


@torch.inference_mode()
def _measure_s(candidates: Sequence[Precision]) -> Times:
    """Seconds of a product at each of SHAPES."""
    # By one thread and in turn: whoever else works here then slows all of them alike.
    threads = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        products = {one: [_product(one, *shape) for shape in SHAPES] for one in candidates}
        best_s = {one: [float("inf")] * len(SHAPES) for one in candidates}
        for _ in range(ROUNDS):
            for one, multiply_all in products.items():
                for place, multiply in enumerate(multiply_all):
                    multiply()  # its weights come into the cache
                    started = time.perf_counter()
                    multiply()
                    spent_s = time.perf_counter() - started
                    best_s[one][place] = min(best_s[one][place], spent_s)
    finally:
        torch.set_num_threads(threads[0])
        numba.set_num_threads(threads[1])
    return {one: tuple(seconds) for one, seconds in best_s.items()}


def _product(precision: Precision, rows: int, width: int, out: int) -> Callable[[], torch.Tensor]:
    weight = torch.full((out, width), 0.01, dtype=precision.dtype)
    bias = torch.zeros(out, dtype=precision.dtype)
    if precision.weights == torch.int8:
        multiply = pack_int8(weight, bias, activation=GELU)
    else:
        multiply = pack_linear(weight, bias, activation=GELU, rows=rows)
    x = torch.full((rows, width), 0.01, dtype=precision.dtype)
    return lambda: multiply(x)


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
