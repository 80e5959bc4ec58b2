"""What a processor computes fastest with, found out by trying and written down."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numba
import torch

from engines.batched.attention import FUSED, IN_BLOCKS, WAYS
from engines.batched.int8 import has_int8
from engines.batched.linear import GELU, pack_int8, pack_linear

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Precision:
    """What a decoder computes in, and by which attention its encoder does."""

    dtype: torch.dtype
    weights: torch.dtype  # of products by weights: the same, or int8
    attention: str = FUSED  # one of WAYS

    @classmethod
    def of(cls, dtype: torch.dtype) -> "Precision":
        """Everything in one type."""
        return cls(dtype, dtype)

    @property
    def name(self) -> str:
        """As the notes have it."""
        types = f"{self.weights} in {self.dtype}".replace("torch.", "")
        return f"{types}, attention {self.attention}"


PLAIN, NARROW = Precision.of(torch.float32), Precision.of(torch.bfloat16)
TYPES = (PLAIN, NARROW, *(Precision(one.dtype, torch.int8) for one in (PLAIN, NARROW)))
CANDIDATES = tuple(replace(one, attention=way) for one in TYPES for way in WAYS)
NAMES = {precision.name: precision for precision in CANDIDATES}
# Rows, in, out: a product of the encoder of base, and one of its decoder's steps.
SHAPES = ((500, 512, 2048), (16, 512, 2048))
HEADS, QUERIES, PLACES, WIDTH = 8, 512, 1500, 64  # of an encoder's attention
ROUNDS = 12
# What rounds must be this much faster to be chosen, at every shape.
NARROW_WORTH_IT = 1.2
INT8_WORTH_IT = 1.1
BLOCKS_WORTH_IT = 1.1  # fused attention takes less memory

Task = Callable[[], torch.Tensor]
Times = dict[Precision, tuple[float, ...]]


def fastest_precision(notes: Path) -> Precision:
    """float32 or bfloat16, whichever this CPU multiplies faster, whether weights in int8 are
    faster still, and by which attention; measured once and kept.

    `notes` is the file that keeps it, by processor and version of torch.
    """
    key = f"{_processor()}; torch {torch.__version__}"
    known = _read(notes)
    if known.get(key) not in NAMES:
        chosen = _faster(PLAIN, NARROW, NARROW_WORTH_IT)
        if has_int8():
            chosen = _faster(chosen, Precision(chosen.dtype, torch.int8), INT8_WORTH_IT)
        chosen = _faster(chosen, replace(chosen, attention=IN_BLOCKS), BLOCKS_WORTH_IT)
        known[key] = chosen.name
        logger.info("precision_chosen", extra={"precision": chosen.name})
        _write(notes, known)
    return NAMES[known[key]]


def _faster(one: Precision, other: Precision, worth_it: float) -> Precision:
    """The other one, if that pays at everything in which they differ."""
    times_s = _measure_s((one, other))
    seconds = {precision.name: measured for precision, measured in times_s.items()}
    logger.info("precision_measured", extra={"seconds": seconds})
    pairs = zip(times_s[one], times_s[other], strict=True)
    return other if all(other_s * worth_it < one_s for one_s, other_s in pairs) else one


@torch.inference_mode()
def _measure_s(candidates: Sequence[Precision]) -> Times:
    """Seconds of a product at each of SHAPES; of attention where they differ in that."""
    # By one thread and in turn: whoever else works here then slows all of them alike.
    threads = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        differ = len({one.attention for one in candidates}) > 1
        tasks = {one: [_attention(one)] if differ else _products(one) for one in candidates}
        best_s = {one: [float("inf")] * len(each) for one, each in tasks.items()}
        for _ in range(ROUNDS):
            for one, each in tasks.items():
                for place, compute in enumerate(each):
                    compute()  # its weights come into the cache
                    started = time.perf_counter()
                    compute()
                    spent_s = time.perf_counter() - started
                    best_s[one][place] = min(best_s[one][place], spent_s)
    finally:
        torch.set_num_threads(threads[0])
        numba.set_num_threads(threads[1])
    return {one: tuple(seconds) for one, seconds in best_s.items()}


def _products(precision: Precision) -> list[Task]:
    return [_product(precision, *shape) for shape in SHAPES]


def _product(precision: Precision, rows: int, width: int, out: int) -> Task:
    weight = torch.full((out, width), 0.01, dtype=precision.dtype)
    bias = torch.zeros(out, dtype=precision.dtype)
    if precision.weights == torch.int8:
        multiply = pack_int8(weight, bias, activation=GELU)
    else:
        multiply = pack_linear(weight, bias, activation=GELU, rows=rows)
    x = torch.full((rows, width), 0.01, dtype=precision.dtype)
    return lambda: multiply(x)


def _attention(precision: Precision) -> Task:
    queries = torch.full((1, HEADS, QUERIES, WIDTH), 0.01, dtype=precision.dtype)
    keys = torch.full((1, HEADS, PLACES, WIDTH), 0.01, dtype=precision.dtype)
    return partial(WAYS[precision.attention], queries, keys, keys)


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
