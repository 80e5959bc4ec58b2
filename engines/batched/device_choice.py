"""Who does a step's operations: our kernels, once they were tried against torch's operators."""

import logging
from collections.abc import Callable
from functools import partial

import torch
from whisper.tokenizer import get_tokenizer

from engines.batched.blocks import Norm
from engines.batched.device_operations import HEAD_WIDTH, StepOperations, TorchOperations
from engines.batched.device_state import SlotState
from engines.batched.rules import TokenRules

logger = logging.getLogger(__name__)

TRIAL_ROWS, TRIAL_HEADS, TRIAL_PLACES = 3, 4, 200
TRIAL_TOKENS, TRIAL_VOCABULARY = 12, 51_865
TOLERANCE = 2e-2  # of results around 1 in float16, from sums in another order


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
        "write": partial(_try_write, random(TRIAL_TOKENS, rows + 1, TRIAL_VOCABULARY) * 3),
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


def _try_write(logits: torch.Tensor, operations: StepOperations) -> torch.Tensor:
    """Texts of random logits (tokens, rows, vocabulary); the last row has ended before."""
    rules = TokenRules(get_tokenizer(multilingual=True), logits.shape[2], logits.device)
    logits = logits.clone()
    logits[1::3, :, rules.stamps_from :] += 4  # or there would be hardly a timestamp
    logits[-2, 0, rules.end] = 30
    rows = SlotState.empty(logits.shape[1], len(logits), logits.device)
    rows.has_ended[:-1] = False
    rows.limit.fill_(len(logits))
    for step in logits:
        operations.write(rules, step, rows)
    parts = (rows.tokens[:, :-1], rows.written, rows.has_ended, rows.sum_logprob, rows.next_token)
    kept = (*parts, *rows.rules.parts())
    return torch.cat([part.double().flatten() for part in kept])
