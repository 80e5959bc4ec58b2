"""Random numbers that a GPU can make inside a captured step.

They are a function of the window's seed, the number of the token and the token itself, so a
window draws the same in any company, at any time and in any slot.
"""

import torch

MASK = 0xFFFFFFFF
# Two multipliers and three shifts of a 32-bit mixer with low bias: Wellons, "hash prospector".
FIRST_FACTOR, SECOND_FACTOR = 0x7FEB352D, 0x846CA68B
KEPT_BITS = 23  # so that no float32 rounds to 0 or 1


def gumbel(seeds: torch.Tensor, counts: torch.Tensor, size: int) -> torch.Tensor:
    """Standard Gumbel noise (rows, size), float32, of `seeds` and `counts` (rows,), int64.

    The argmax of logits plus t times this noise is a draw from softmax(logits / t).
    """
    row = _mix(_mix(_mix(seeds & MASK) ^ ((seeds >> 32) & MASK)) ^ (counts & MASK))
    column = _mix(torch.arange(size, device=seeds.device))
    number = _mix((row[:, None] + column) & MASK) >> (32 - KEPT_BITS)
    uniform = (number.float() + 0.5) * 2.0**-KEPT_BITS
    return -torch.log(-torch.log(uniform))


def _mix(number: torch.Tensor) -> torch.Tensor:
    """Every bit of the result depends on every bit; both below 2**32, in int64."""
    number = ((number ^ (number >> 16)) * FIRST_FACTOR) & MASK
    number = ((number ^ (number >> 15)) * SECOND_FACTOR) & MASK
    return number ^ (number >> 16)
