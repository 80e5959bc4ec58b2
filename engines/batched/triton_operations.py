"""The operations of a decoder step by kernels of our own, for CUDA."""

import torch
import triton

from engines.batched.blocks import Norm
from engines.batched.device_operations import HEAD_WIDTH
from engines.batched.device_state import SlotState
from engines.batched.rules import MAX_FIRST_STAMP, TokenRules
from engines.batched.triton_kernels import (
    add_norm,
    attend,
    attend_own,
    join_splits,
    write_likeliest,
)

LOG2_E = 1.4426950408889634
PROGRAMS = 1024  # that keep a large GPU busy; with fewer rows and heads, places are split
MOST_SPLITS = 32
NORM_EPSILON = 1e-5  # as torch's layer norm has it
TOKENS_AT_A_TIME, TOKEN_WARPS = 4096, 8  # of a row's vocabulary


class TritonOperations:
    """By our own kernels; see `device_operations.StepOperations`."""

    def __init__(self, *, block: int = 64, warps: int = 4) -> None:
        """Places that a program reads at a time, and its warps: what suits a GPU is measured by
        `python -m benchmarks gpu`.
        """
        self._block = block
        self._warps = warps
        self._scale = HEAD_WIDTH**-0.5 * LOG2_E

    def add_norm(
        self, x: torch.Tensor, change: torch.Tensor | None, norm: Norm, dtype: torch.dtype
    ) -> torch.Tensor:
        """See `StepOperations.add_norm`."""
        width = x.shape[-1]
        out = torch.empty_like(x, dtype=dtype)
        add_norm[(x.numel() // width,)](
            x,
            x if change is None else change.contiguous(),
            norm.weight,
            norm.bias,
            out,
            width,
            NORM_EPSILON,
            HAS_CHANGE=change is not None,
            BLOCK=triton.next_power_of_2(width),
        )
        return out

    def attend_own(
        self,
        mixed: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        positions: torch.Tensor,
    ) -> torch.Tensor:
        """See `StepOperations.attend_own`."""
        rows, heads, places = len(mixed), keys.shape[1], keys.shape[2]
        out = torch.empty(rows, heads * HEAD_WIDTH, dtype=mixed.dtype, device=mixed.device)
        attend_own[(rows * heads,)](
            mixed,
            keys,
            values,
            positions,
            out,
            heads,
            places,
            self._scale,
            BLOCK=self._block,
            num_warps=self._warps,
        )
        return out

    def attend(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        lengths: torch.Tensor,
    ) -> torch.Tensor:
        """See `StepOperations.attend`."""
        heads, places = keys.shape[1], keys.shape[2]
        jobs = len(queries) * heads
        splits = min(MOST_SPLITS, triton.next_power_of_2(-(-PROGRAMS // jobs)))
        out = torch.empty_like(queries)
        parts = self._parts(jobs * splits, queries.device) if splits > 1 else (out, out, out)
        attend[(jobs, splits)](
            queries,
            keys,
            values,
            lengths,
            *parts,
            heads,
            places,
            self._scale,
            SPLITS=splits,
            BLOCK=self._block,
            num_warps=self._warps,
        )
        if splits > 1:
            join_splits[(jobs,)](*parts, out, SPLITS=splits)
        return out

    def write(self, rules: TokenRules, logits: torch.Tensor, rows: SlotState) -> None:
        """See `StepOperations.write`."""
        write_likeliest[(len(logits),)](
            logits,
            rules.never,
            *rows.rules.parts(),
            rows.next_token,
            rows.written,
            rows.limit,
            rows.has_ended,
            rows.sum_logprob,
            rows.tokens,
            logits.stride(0),
            rows.tokens.stride(0),
            rules.stamps_from,
            rules.end,
            rules.vocabulary,
            MAX_FIRST_STAMP,
            BLOCK=TOKENS_AT_A_TIME,
            num_warps=TOKEN_WARPS,
        )

    def _parts(self, count: int, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Mixes, highest scores and totals of the splits."""
        return (
            torch.empty(count, HEAD_WIDTH, device=device),
            torch.empty(count, device=device),
            torch.empty(count, device=device),
        )
