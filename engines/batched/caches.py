"""Keys and values of windows that are being decoded, in places that never move.

A slot is one window's place. Two implementations of one idea: on a CPU compiled loops read
slots in any order; elsewhere torch's fused attention reads the first slots in a row.
"""

from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch.nn import functional

from engines.batched.kernels import attend_places, store_places


class KeyValueCache(Protocol):
    """Keys and values of all slots in one layer, `places` long."""

    def write(self, mixed: torch.Tensor, slots: torch.Tensor, first: torch.Tensor) -> None:
        """Store `mixed` (rows, n, 2 * width), keys then values, from place `first[row]` on."""
        ...

    def attend(
        self, queries: torch.Tensor, slots: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """(rows, n, width) of queries (rows, n, width); query i of a row sees `lengths[row, i]`
        places of its slot.
        """
        ...


class CpuCache:
    """Keys lie transposed, so that the loop over places runs along memory."""

    def __init__(self, slots: int, heads: int, places: int, dtype: torch.dtype) -> None:
        width = 64
        self._heads = heads
        is_narrow = dtype == torch.bfloat16
        self._as_numpy = _bits if is_narrow else torch.Tensor.numpy
        # Not filled: memory is taken when a slot is first used, and nothing unwritten is read.
        self._key_numbers = self._as_numpy(torch.empty(slots, heads, width, places, dtype=dtype))
        self._value_numbers = self._as_numpy(torch.empty(slots, heads, places, width, dtype=dtype))
        self._scale = width**-0.5

    def write(self, mixed: torch.Tensor, slots: torch.Tensor, first: torch.Tensor) -> None:
        """See `KeyValueCache.write`."""
        rows, count, _ = mixed.shape
        halves = self._as_numpy(mixed.view(rows, count, 2, self._heads, -1))
        store_places(halves, slots.numpy(), first.numpy(), self._key_numbers, self._value_numbers)

    def attend(
        self, queries: torch.Tensor, slots: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See `KeyValueCache.attend`."""
        rows, count, width = queries.shape
        flat = (queries.float() * self._scale).view(rows * count, self._heads, -1)
        out = torch.empty_like(flat)
        attend_places(
            flat.numpy(),
            self._key_numbers,
            self._value_numbers,
            slots.repeat_interleave(count).numpy(),
            lengths.reshape(-1).numpy(),
            out.numpy(),
        )
        return out.view(rows, count, width).to(queries.dtype)


def _bits(tensor: torch.Tensor) -> NDArray[Any]:
    """The memory of a bfloat16 tensor: numpy has no such type."""
    return tensor.view(torch.uint16).numpy()


class DeviceCache:
    """For GPUs, and the reference that the compiled loops are tested against."""

    def __init__(
        self, slots: int, heads: int, places: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (slots, heads, places, 64)
        self._heads = heads
        self._keys = torch.zeros(shape, dtype=dtype, device=device)
        self._values = torch.zeros(shape, dtype=dtype, device=device)
        self._places = torch.arange(places, device=device)

    def write(self, mixed: torch.Tensor, slots: torch.Tensor, first: torch.Tensor) -> None:
        """See `KeyValueCache.write`."""
        rows, count, _ = mixed.shape
        halves = mixed.view(rows, count, 2, self._heads, -1)
        places = first[:, None] + self._places[:count]
        # Index tensors around a slice put the indexed axes first: (rows, n, heads, 64).
        self._keys[slots[:, None], :, places] = halves[:, :, 0]
        self._values[slots[:, None], :, places] = halves[:, :, 1]

    def attend(
        self, queries: torch.Tensor, slots: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """See `KeyValueCache.attend`."""
        rows, count, width = queries.shape
        is_seen = self._places < lengths[:, :, None]
        mixed = functional.scaled_dot_product_attention(
            queries.view(rows, count, self._heads, -1).transpose(1, 2),
            self._keys[slots],
            self._values[slots],
            attn_mask=is_seen[:, None],
        )
        return mixed.transpose(1, 2).reshape(rows, count, width)
