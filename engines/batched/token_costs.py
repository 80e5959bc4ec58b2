"""From what alignment heads look at to what it costs to hear a token at a place.

The steps are those of openai-whisper's word timestamps: every head's attention over the recorded
part of the window, each place relative to the other tokens, outliers in time removed, the mean
of the heads. All of it is plain torch, on any device, for windows of different lengths at once.
"""

import torch

FILTER_WIDTH = 7  # places of 20 ms
REACH = FILTER_WIDTH // 2
TINY = torch.finfo(torch.float32).tiny
# Exchanges after which the fourth of seven is the median: Devillard, "Fast median search", 1998.
MEDIAN_OF_SEVEN = (
    *((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4)),
    *((1, 3), (3, 4)),
)


def token_costs(scores: torch.Tensor, rows: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Costs (windows, n, m) of scores (windows, heads, n, m), float32, before the softmax.

    Of window b the first `rows[b]` tokens and `places[b]` places count; the rest of its costs
    means nothing.
    """
    is_row = torch.arange(scores.shape[2], device=scores.device) < rows[:, None]
    is_place = torch.arange(scores.shape[3], device=scores.device) < places[:, None]
    weights = scores.masked_fill(~is_place[:, None, None], -torch.inf).softmax(dim=-1)
    return -filter_median(_standardise(weights, is_row), places).mean(dim=1)


def _standardise(weights: torch.Tensor, is_row: torch.Tensor) -> torch.Tensor:
    """How many standard deviations each is above the mean of its place's tokens."""
    counted = is_row[:, None, :, None]
    count = counted.sum(dim=2, keepdim=True)
    weights = weights * counted
    # To a scale on which nothing is lost when it is squared: some places nobody looks at.
    weights = weights / weights.amax(dim=2, keepdim=True).clamp(min=TINY)
    away = weights - weights.sum(dim=2, keepdim=True) / count
    variance = (away.square() * counted).sum(dim=2, keepdim=True) / count
    return away / variance.sqrt().clamp(min=TINY)  # 0 where all tokens look alike


def filter_median(weights: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Medians of seven neighbours along the last axis, mirrored at place 0 and at the last one
    that counts. A window of less than four places stays as it is.
    """
    shown = torch.arange(-REACH, weights.shape[-1] + REACH, device=weights.device).abs()
    last = places[:, None] - 1
    mirrored = last - (last - shown).abs()  # what lies further behind means nothing
    mirrored = torch.where(last < REACH, shown, mirrored).clamp(0, weights.shape[-1] - 1)
    spread = weights.gather(-1, mirrored[:, None, None].expand(*weights.shape[:3], -1))
    shifted = [spread[..., i : i + weights.shape[-1]] for i in range(FILTER_WIDTH)]
    is_long = (last >= REACH)[:, None, None]
    return torch.where(is_long, _median_of_seven(shifted), weights)


def _median_of_seven(values: list[torch.Tensor]) -> torch.Tensor:
    for low, high in MEDIAN_OF_SEVEN:
        first, second = values[low], values[high]
        values[low], values[high] = torch.minimum(first, second), torch.maximum(first, second)
    return values[REACH]
