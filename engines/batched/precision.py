"""The type that a processor computes fastest in, found out by trying and written down."""

import json
import logging
import time
from contextlib import suppress
from pathlib import Path

import torch

from engines.batched.linear import pack_linear

logger = logging.getLogger(__name__)

CANDIDATES = (torch.float32, torch.bfloat16)
NAMES = {str(dtype).removeprefix("torch."): dtype for dtype in CANDIDATES}
SHAPE = (1500, 512, 2048)  # rows, in, out: a product of the encoder of base
TRIES = 5
WORTH_IT = 1.2  # bfloat16 rounds: it must be this much faster to be chosen


def fastest_dtype(notes: Path) -> torch.dtype:
    """float32 or bfloat16, whichever this CPU multiplies faster; measured once and kept.

    `notes` is the file that keeps it, by processor and version of torch.
    """
    key = f"{_processor()}; torch {torch.__version__}"
    known = _read(notes)
    if known.get(key) not in NAMES:
        times_s = {str(dtype): _measure_s(dtype) for dtype in CANDIDATES}
        plain, narrow = (times_s[str(dtype)] for dtype in CANDIDATES)
        chosen = torch.bfloat16 if narrow * WORTH_IT < plain else torch.float32
        known[key] = str(chosen).removeprefix("torch.")
        logger.info("precision_chosen", extra={"dtype": known[key], "seconds": times_s})
        _write(notes, known)
    return NAMES[known[key]]


@torch.inference_mode()
def _measure_s(dtype: torch.dtype) -> float:
    rows, width, out = SHAPE
    multiply = pack_linear(
        torch.full((out, width), 0.01, dtype=dtype), torch.zeros(out, dtype=dtype), rows=rows
    )
    x = torch.full((rows, width), 0.01, dtype=dtype)
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
