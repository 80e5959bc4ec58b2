"""Keys and values of windows that are being decoded, in places that never move.

A slot is one window's place. On a CPU compiled loops read slots in any order; a GPU's step reads
the first slots in a row, see `device_operations`.
"""

from typing import Any

import torch
from numpy.typing import NDArray

from engines.batched.kernels import attend_places, store_places


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
        """Store `mixed` (rows, n, 2 * width), keys then values, from place `first[row]` on."""
        rows, count, _ = mixed.shape
        halves = self._as_numpy(mixed.view(rows, count, 2, self._heads, -1))
        store_places(halves, slots.numpy(), first.numpy(), self._key_numbers, self._value_numbers)

    def copy(self, source: int, target: int, places: int) -> None:
        """The first places of one slot into another."""
        self._key_numbers[target, :, :, :places] = self._key_numbers[source, :, :, :places]
        self._value_numbers[target, :, :places] = self._value_numbers[source, :, :places]

    def attend(
        self, queries: torch.Tensor, slots: torch.Tensor, lengths: torch.Tensor
    ) -> torch.Tensor:
        """(rows, n, width) of queries (rows, n, width); query i of a row sees `lengths[row, i]`
        places of its slot.
        """
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
    """For GPUs: keys and values of all slots in one layer, as `StepOperations` read them."""

    def __init__(
        self, slots: int, heads: int, places: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        shape = (slots, heads, places, 64)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)

    def put(self, mixed: torch.Tensor, slots: torch.Tensor) -> None:
        """Store `mixed` (rows, n, 2 * width), keys before values, in the first n places of these
        slots.
        """
        rows, count, _ = mixed.shape
        keys, values = mixed.view(rows, count, 2, self.keys.shape[1], 64).permute(2, 0, 3, 1, 4)
        self.keys[:, :, :count].index_copy_(0, slots, keys)
        self.values[:, :, :count].index_copy_(0, slots, values)
