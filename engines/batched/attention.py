"""Attention of the encoder: every place of a window looks at every other."""

import torch
from torch.nn import functional

# Scores of a few hundred queries stay in the cache until their softmax; those of all 1,500
# would go to memory and back, which takes longer than the arithmetic.
QUERY_BLOCK = 256


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(windows, n, heads * 64) of queries (windows, heads, n, 64); keys and values alike."""
    windows, heads, places, width = queries.shape
    if queries.device.type == "cpu":
        mixed = torch.empty(windows, places, heads, width, dtype=queries.dtype)
        for window in range(windows):
            out = mixed[window].transpose(0, 1)
            _attend_in_blocks(queries[window], keys[window], values[window], out)
    else:
        mixed = functional.scaled_dot_product_attention(queries, keys, values).transpose(1, 2)
    return mixed.reshape(windows, places, heads * width)


def _attend_in_blocks(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, out: torch.Tensor
) -> None:
    """Write into `out`, (heads, n, 64) as the others are."""
    scaled = queries * queries.shape[-1] ** -0.5
    transposed = keys.transpose(1, 2).contiguous()
    values = values.contiguous()
    for first in range(0, queries.shape[1], QUERY_BLOCK):
        block = slice(first, first + QUERY_BLOCK)
        weights = torch.bmm(scaled[:, block], transposed).softmax(dim=-1)
        out[:, block] = torch.bmm(weights, values)
