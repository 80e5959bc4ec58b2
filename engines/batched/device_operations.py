"""What a decoder step on a GPU does beside products by weights, and who does it.

torch's own operators do it everywhere; they are the reference. On CUDA small kernels of our own
(`triton_operations`) read keys and values where they lie and fuse what torch does in several
passes; `device_choice` tells who does it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch
from torch.nn import functional

from engines.batched.blocks import Norm
from engines.batched.device_state import SlotState
from engines.batched.device_tokens import write_tokens
from engines.batched.rules import TokenRules

HEAD_WIDTH = 64


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

    def write(self, rules: TokenRules, logits: torch.Tensor, rows: SlotState) -> None:
        """The likeliest token in each of these rows; see `device_tokens.write_tokens`."""
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

    def write(self, rules: TokenRules, logits: torch.Tensor, rows: SlotState) -> None:
        """See `StepOperations.write`."""
        write_tokens(rules, logits, rows, is_drawing=False)


@contextmanager
def computing_on(device: torch.device) -> Iterator[None]:
    """Without gradients; on a GPU that is the current one of this thread: our kernels and streams
    follow that.
    """
    is_gpu = device.type == "cuda"
    with torch.inference_mode(), torch.cuda.device(device) if is_gpu else nullcontext():
        yield
