"""What a decoder step on a GPU does beside products by weights, and who does it.

torch's own operators do it everywhere; they are the reference. On CUDA small kernels of our own
(`triton_operations`) read keys and values where they lie and fuse what torch does in several
passes. They are tried against the reference before they are used.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Protocol

import torch
from torch.nn import functional

from engines.batched.blocks import Norm

logger = logging.getLogger(__name__)

HEAD_WIDTH = 64
TRIAL_ROWS, TRIAL_HEADS, TRIAL_PLACES = 3, 4, 200
TOLERANCE = 2e-2  # of results around 1 in float16, from sums in another order


class StepOperations(Protocol):
    """Every tensor is on one device; keys and values are (slots, heads, places, 64) and are read
    in place: row r of a call belongs to slot r.
    """

    def add_norm(
        self, x: torch.Tensor, change: torch.Tensor | None, norm: Norm, dtype: torch.dtype
    ) -> torch.Tensor:
        """Add `change`, of x's shape, to x (..., width), float32, in place; return the layer norm
        of the sum in `dtype`.
        """
        ...

    def attend_own(
        self,
        mixed: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        positions: torch.Tensor,
    ) -> torch.Tensor:
        """Store the new keys and values of `mixed` (rows, 3 * width), queries before keys before
        values, at `positions` (rows,); return what the queries make of all places up to there,
        (rows, width).
        """
        ...

    def attend(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        lengths: torch.Tensor,
    ) -> torch.Tensor:
        """(rows, width) of queries (rows, width); row r sees the first `lengths[r]` places, one
        at least.
        """
        ...


class TorchOperations:
    """By torch, on any device."""

    def add_norm(
        self, x: torch.Tensor, change: torch.Tensor | None, norm: Norm, dtype: torch.dtype
    ) -> torch.Tensor:
        """See `StepOperations.add_norm`."""
        if change is not None:
            x.add_(change)
        return norm(x).to(dtype)

    def attend_own(
        self,
        mixed: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        positions: torch.Tensor,
    ) -> torch.Tensor:
        """See `StepOperations.attend_own`."""
        rows, heads = len(mixed), keys.shape[1]
        queries, key, value = mixed.view(rows, 3, heads, HEAD_WIDTH).unbind(1)
        every_row = torch.arange(rows, device=mixed.device)
        # Index tensors around a slice put the indexed axes first: (rows, heads, 64).
        keys[every_row, :, positions] = key
        values[every_row, :, positions] = value
        return self.attend(queries.reshape(rows, -1), keys, values, positions + 1)

    def attend(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        lengths: torch.Tensor,
    ) -> torch.Tensor:
        """See `StepOperations.attend`."""
        rows, width = queries.shape
        is_seen = torch.arange(keys.shape[2], device=queries.device) < lengths[:, None]
        mixed = functional.scaled_dot_product_attention(
            queries.view(rows, -1, 1, HEAD_WIDTH),
            keys[:rows],
            values[:rows],
            attn_mask=is_seen[:, None, None],
        )
        return mixed.reshape(rows, width)


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Without gradients; on a GPU that is the current one of this thread: our kernels and streams
    follow that.
    """
    is_gpu = device.type == "cuda"
    with torch.inference_mode(), torch.cuda.device(device) if is_gpu else nullcontext():
        yield


def operations_for(
    device: torch.device, candidate: Callable[[], StepOperations] | None = None
) -> StepOperations:
    """Our kernels where they work, torch's operators elsewhere.

    `candidate` makes what is tried in place of our kernels.
    """
    if candidate is None:
        if device.type != "cuda":
            return TorchOperations()
        candidate = _triton_operations
    try:
        operations = candidate()
        wrong = {
            name: difference
            for name, difference in differences(operations, device).items()
            if not difference <= TOLERANCE
        }
    except Exception as error:  # noqa: BLE001 - no Triton, no compiler, an unknown GPU: torch can
        reason = f"{type(error).__name__}: {error}"[:300]
        logger.warning("kernels_unavailable", extra={"reason": reason})
        return TorchOperations()
    if wrong:
        logger.warning("kernels_unavailable", extra={"reason": f"they differ: {wrong}"})
        return TorchOperations()
    return operations


def _triton_operations() -> StepOperations:
    from engines.batched.triton_operations import (
        TritonOperations,
    )  # late: not there on every machine

    return TritonOperations()


@torch.inference_mode()
def differences(operations: StepOperations, device: torch.device) -> dict[str, float]:
    """The largest difference of every operation from torch's on random numbers, by its name."""
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int, kind: torch.dtype = dtype) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, kind)

    rows, width = TRIAL_ROWS, TRIAL_HEADS * HEAD_WIDTH
    cache = [random(rows + 1, TRIAL_HEADS, TRIAL_PLACES, HEAD_WIDTH) for _ in range(2)]
    lengths = torch.tensor([1, TRIAL_PLACES, 77], device=device)
    calls = {
        "add_norm": partial(
            _try_add_norm,
            random(rows, width, kind=torch.float32),
            random(rows, width),
            Norm(random(width, kind=torch.float32), random(width, kind=torch.float32)),
            dtype,
        ),
        "attend_own": partial(_try_attend_own, random(rows, 3 * width), cache, lengths - 1),
        "attend": partial(_try_attend, random(rows, width), cache, lengths),
    }
    return {
        name: float((call(operations) - call(TorchOperations())).abs().max())
        for name, call in calls.items()
    }


def _try_add_norm(
    x: torch.Tensor,
    change: torch.Tensor,
    norm: Norm,
    dtype: torch.dtype,
    operations: StepOperations,
) -> torch.Tensor:
    changed = x.clone()
    normed = operations.add_norm(changed, change, norm, dtype)
    alone = operations.add_norm(changed, None, norm, dtype)
    return torch.cat([changed, normed.float(), alone.float()])


def _try_attend_own(
    mixed: torch.Tensor,
    cache: list[torch.Tensor],
    positions: torch.Tensor,
    operations: StepOperations,
) -> torch.Tensor:
    keys, values = (part.clone() for part in cache)
    found = operations.attend_own(mixed, keys, values, positions)
    return torch.cat([found.float().flatten(), keys.float().flatten(), values.float().flatten()])


def _try_attend(
    queries: torch.Tensor,
    cache: list[torch.Tensor],
    lengths: torch.Tensor,
    operations: StepOperations,
) -> torch.Tensor:
    return operations.attend(queries, cache[0], cache[1], lengths).float()
