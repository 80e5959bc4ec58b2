"""What a decoder step does beside products by weights, on a CPU; compiled when first used.

A step is bound by reading keys and values. These loops read each of them once, in bfloat16 or
float32, and compute in float32; torch's operators take three to ten times as long for one query
a row. A row's result does not depend on the other rows, nor on the number of threads.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from engines.batched.compiling import compile_loops

Array = NDArray[Any]

WIDTH = 64  # of a head
LOG2_E = np.float32(1.4426950408889634)
FAST: dict[str, Any] = {"parallel": True, "fastmath": True, "error_model": "numpy"}


@numba.njit(inline="always", fastmath=True)
def _exp(x: np.float32) -> np.float32:
    """The exponential of x <= 0, relative error below 3e-7; unlike libm's it vectorises."""
    y = max(x * LOG2_E, np.float32(-126.0))
    whole = np.floor(y)
    part = y - whole
    # Minimax polynomial of 2**part on [0, 1).
    power = np.float32(1.8775767e-3)
    power = power * part + np.float32(8.9893397e-3)
    power = power * part + np.float32(5.5826318e-2)
    power = power * part + np.float32(2.4015361e-1)
    power = power * part + np.float32(6.9315308e-1)
    power = power * part + np.float32(9.9999994e-1)
    return power * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)  # type: ignore[no-any-return]


@numba.njit(inline="always")
def _wide(bits: np.uint16) -> np.float32:
    """The float32 that a bfloat16 stands for."""
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)


@compile_loops(**FAST)
def attend_bfloat16(
    queries: Array, keys: Array, values: Array, slots: Array, lengths: Array, out: Array
) -> None:
    """For every row r and head h: softmax(queries[r, h] keys[slots[r], h]) values[slots[r], h].

    queries and out (rows, heads, 64) float32, already scaled; keys (slots, heads, 64, places)
    and values (slots, heads, places, 64) bfloat16 as uint16; of the places `lengths[r]` count.
    """
    heads = queries.shape[1]
    for job in numba.prange(queries.shape[0] * heads):
        row, head = job // heads, job % heads
        slot, length = slots[row], lengths[row]
        weights = np.zeros(length, np.float32)
        for d in range(WIDTH):
            factor = queries[row, head, d]
            key = keys[slot, head, d]
            for t in range(length):
                weights[t] += factor * _wide(key[t])
        highest = weights[0]
        for t in range(length):
            highest = max(highest, weights[t])
        total = np.float32(0)
        for t in range(length):
            weights[t] = _exp(weights[t] - highest)
            total += weights[t]
        mixed = np.zeros(WIDTH, np.float32)
        for t in range(length):
            weight = weights[t]
            value = values[slot, head, t]
            for d in range(WIDTH):
                mixed[d] += weight * _wide(value[d])
        for d in range(WIDTH):
            out[row, head, d] = mixed[d] / total


@compile_loops(**FAST)
def attend_float32(
    queries: Array, keys: Array, values: Array, slots: Array, lengths: Array, out: Array
) -> None:
    """As `attend_bfloat16`, with float32 keys and values."""
    heads = queries.shape[1]
    for job in numba.prange(queries.shape[0] * heads):
        row, head = job // heads, job % heads
        slot, length = slots[row], lengths[row]
        weights = np.zeros(length, np.float32)
        for d in range(WIDTH):
            factor = queries[row, head, d]
            key = keys[slot, head, d]
            for t in range(length):
                weights[t] += factor * key[t]
        highest = weights[0]
        for t in range(length):
            highest = max(highest, weights[t])
        total = np.float32(0)
        for t in range(length):
            weights[t] = _exp(weights[t] - highest)
            total += weights[t]
        mixed = np.zeros(WIDTH, np.float32)
        for t in range(length):
            weight = weights[t]
            value = values[slot, head, t]
            for d in range(WIDTH):
                mixed[d] += weight * value[d]
        for d in range(WIDTH):
            out[row, head, d] = mixed[d] / total
