"""Attention of the encoder: every place of a window looks at every other."""

from collections.abc import Callable

import torch
from torch.nn import functional

# Scores of a few hundred queries stay in the cache until their softmax; those of all 1,500
# would go to memory and back, which takes longer than the arithmetic.
QUERY_BLOCK = 256

# (windows, n, heads * 64) of queries (windows, heads, n, 64); keys and values alike.
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def attend_fused(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """By torch's operator, which keeps scores in the cache; on CPUs its products are MKL's."""
    mixed = functional.scaled_dot_product_attention(queries, keys, values)
    return mixed.transpose(1, 2).flatten(2)


def attend_in_blocks(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Block by block with products by oneDNN: faster where MKL multiplies bfloat16 slowly, as on
    processors that are not Intel's.
    """
    windows, heads, places, width = queries.shape
    mixed = torch.empty(windows, places, heads, width, dtype=queries.dtype)
    for window in range(windows):
        out = mixed[window].transpose(0, 1)
        _attend_in_blocks(queries[window], keys[window], values[window], out)
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


FUSED, IN_BLOCKS = "fused", "in blocks"
WAYS: dict[str, Attention] = {FUSED: attend_fused, IN_BLOCKS: attend_in_blocks}
