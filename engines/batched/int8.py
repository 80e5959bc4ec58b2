"""Products by weights in int8, for processors with AVX-512 VNNI; compiled when first used.

A weight's channel has one scale, and so has every row that is multiplied, found anew each time.
Between them stand whole numbers, which add up to the same in any order: a row's result depends
neither on the other rows nor on the number of threads.
"""

from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from engines.batched.compiling import compile_loops

Array = NDArray[Any]

# A tile is what the registers hold of a product: 24 sums of 16 numbers, beside 4 of weights.
TILE_ROWS = 6
VECTORS = 4
LANES = 16
TILE_COLUMNS = VECTORS * LANES
STEP = 4  # numbers that one instruction multiplies and adds up per lane
CHUNK = 16 * TILE_ROWS  # rows that one thread takes at a time
MOST = 127  # the largest weight; rows lie between -127 and 127, and are kept 128 higher
OFFSET = 128
# A float32 this large has no room for fractions; its last eight bits are the whole number.
ROUNDER = np.float32(3 * 2**22 + OFFSET)
UNSIGNED = np.uint32(0x7FFFFFFF)
LEAST = np.float32(1e-20).view(np.uint32)  # of a row's largest number: a row may be all zero

FAST: dict[str, Any] = {"parallel": True, "fastmath": True, "error_model": "numpy"}

LANES_TYPE = ir.VectorType(ir.IntType(32), LANES)


def has_int8() -> bool:
    """Whether this processor multiplies int8, and numba makes use of it."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512vnni" in features


@intrinsic
def _multiply_tile(typing_context, rows, stride, weights, steps, starts, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001 - numba wants bare names
    """Write the product of a tile, added to `starts`, to `sums`. All are whole numbers: the
    address of the first of TILE_ROWS rows of uint8, `stride` bytes apart; of weights (steps,
    TILE_COLUMNS, STEP) int8; of starts (TILE_COLUMNS,) and sums (TILE_ROWS, TILE_COLUMNS) int32.
    """
    return types.void(*[types.intp] * 6), _write_tile


def _write_tile(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    rows, stride, weights, steps, starts, sums = arguments
    whole, lane = ir.IntType(64), ir.IntType(32)
    dot = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module,
        ir.FunctionType(LANES_TYPE, [LANES_TYPE] * 3),
        "llvm.x86.avx512.vpdpbusd.512",
    )

    def at(address: Any, offset: Any, kind: Any) -> Any:
        return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

    numbers = range(TILE_ROWS * VECTORS)
    begun = [builder.load(at(starts, whole(64 * v), LANES_TYPE), align=4) for v in range(VECTORS)]
    firsts = [builder.add(rows, builder.mul(stride, whole(row))) for row in range(TILE_ROWS)]
    before = builder.block
    loop, after = builder.append_basic_block("steps"), builder.append_basic_block("tile_done")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(whole)
    step.add_incoming(whole(0), before)
    held = [builder.phi(LANES_TYPE) for _ in numbers]
    block = builder.mul(step, whole(TILE_COLUMNS * STEP))
    columns = [
        builder.load(at(weights, builder.add(block, whole(64 * v)), LANES_TYPE), align=64)
        for v in range(VECTORS)
    ]
    grown = []
    for row, first in enumerate(firsts):
        four = builder.load(at(first, builder.mul(step, whole(STEP)), lane), align=4)
        alone = builder.insert_element(LANES_TYPE(ir.Undefined), four, lane(0))
        everywhere = ir.VectorType(lane, LANES)([0] * LANES)
        spread = builder.shuffle_vector(alone, LANES_TYPE(ir.Undefined), everywhere)
        for v, column in enumerate(columns):
            grown.append(builder.call(dot, [held[row * VECTORS + v], spread, column]))
    for sum_before, sum_after, start in zip(held, grown, begun * TILE_ROWS, strict=True):
        sum_before.add_incoming(start, before)
        sum_before.add_incoming(sum_after, loop)
    following = builder.add(step, whole(1))
    step.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
    builder.position_at_end(after)
    for number, total in enumerate(grown):
        builder.store(total, at(sums, whole(64 * number), LANES_TYPE), align=4)
    return context.get_dummy_value()


def _wide(number: Any) -> Any:
    """The float32 that a bfloat16, given as uint16, stands for; a float32 as it is."""
    raise NotImplementedError  # for compiled callers: see `_wide_by_type`


@overload(_wide, inline="always")
def _wide_by_type(number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - numba wants bare names
    if isinstance(number, types.Integer):
        return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)
    return lambda number: number


def _put(out: Array, place: tuple[Any, Any], number: Any) -> None:
    """Write a float32 into an array of float32, or of bfloat16 as uint16."""
    raise NotImplementedError  # for compiled callers: see `_put_by_type`


@overload(_put, inline="always")
def _put_by_type(out, place, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG001 - numba wants bare names
    if isinstance(out.dtype, types.Integer):

        def put(out, place, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            bits = np.float32(number).view(np.uint32)
            odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
            up = np.uint32(np.uint32(bits + np.uint32(0x7FFF)) + odd)  # to the nearest, even
            out[place] = np.uint16(np.uint32(up >> np.uint32(16)))

    else:

        def put(out, place, number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            out[place] = number

    return put


@numba.njit(error_model="numpy")  # and no fastmath: the order of its additions is what rounds
def _quantise(row: Array, kept: Array) -> np.float32:
    """Round a row to whole numbers, and say what one of them is worth."""
    highest = LEAST
    for i in range(row.shape[0]):  # numbers without their sign are in order as bits too
        highest = max(highest, np.uint32(np.float32(_wide(row[i])).view(np.uint32) & UNSIGNED))
    largest = np.uint32(highest).view(np.float32)
    factor = np.float32(MOST) / largest
    for i in range(row.shape[0]):
        kept[i] = np.uint8(np.float32(_wide(row[i]) * factor + ROUNDER).view(np.uint32))
    return largest / np.float32(MOST)


@numba.njit(fastmath=True, error_model="numpy", inline="always")
def _gelu(x: np.float32) -> np.float32:
    """Within 1e-5; unlike libm's error function it vectorises."""
    z = min(max(x * np.float32(0.70710678), np.float32(-4)), np.float32(4))
    s = z * z
    # Least squares of the error function on [0, 4], within 4e-6.
    above = np.float32(1.50262e-3) * s + np.float32(4.967182e-2)
    above = (above * s + np.float32(1.7141586e-1)) * s + np.float32(1.1284084)
    below = np.float32(7.02688404e-5) * s + np.float32(1.23653272e-2)
    below = (below * s + np.float32(1.05255977e-1)) * s + np.float32(4.85479083e-1)
    error = z * above / (below * s + np.float32(1))
    return np.float32(0.5) * x * (np.float32(1) + error)


@numba.njit(fastmath=True, error_model="numpy")
def _finish(
    sums: Array,
    worths: Array,
    scales: Array,
    bias: Array,
    out: Array,
    corner: tuple[int, int],
    has_gelu: bool,  # noqa: FBT001 - compiled code takes no keywords
) -> None:
    """A tile's sums as numbers, to `out` from `corner` on."""
    # Unsigned: numba would look for places counted from the end, and nothing would vectorise.
    first, low = np.uintp(corner[0]), np.uintp(corner[1])
    count = np.uintp(min(TILE_COLUMNS, out.shape[1] - corner[1]))
    for i in range(np.uintp(min(TILE_ROWS, out.shape[0] - corner[0]))):
        worth = worths[first + i]
        if has_gelu:
            for j in range(count):
                x = np.float32(sums[i, j]) * (worth * scales[low + j]) + bias[low + j]
                _put(out, (first + i, low + j), _gelu(x))
        else:
            for j in range(count):
                x = np.float32(sums[i, j]) * (worth * scales[low + j]) + bias[low + j]
                _put(out, (first + i, low + j), x)


@compile_loops(**FAST)
def multiply_int8(
    x: Array,
    weights: Array,
    starts: Array,
    scales: Array,
    bias: Array,
    rounded: Array,
    worths: Array,
    out: Array,
    has_gelu: bool,  # noqa: FBT001 - compiled code takes no keywords
) -> None:
    """Write x @ weights + bias into `out`, behind it GELU where `has_gelu`.

    x (rows, in) and out (rows, out) float32, or bfloat16 as uint16; weights (tiles, in / STEP,
    TILE_COLUMNS, STEP) int8; starts (tiles, TILE_COLUMNS) int32: what takes off the rows' offset;
    scales and bias (out,) float32. Room: rounded (rows up to a whole tile, in) uint8, worths
    (rows,) float32.
    """
    rows, width = x.shape
    tiles, steps = weights.shape[0], weights.shape[1]
    for row in numba.prange(rows):
        worths[row] = _quantise(x[row], rounded[row])
    chunks = (rows + CHUNK - 1) // CHUNK
    for job in numba.prange(tiles * chunks):
        tile, chunk = job // chunks, job % chunks
        low = tile * TILE_COLUMNS
        sums = np.empty((TILE_ROWS, TILE_COLUMNS), np.int32)
        for first in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows), TILE_ROWS):
            _multiply_tile(  # type: ignore[call-arg]  # numba gives the first
                rounded.ctypes.data + first * width,
                width,
                weights.ctypes.data + tile * steps * (TILE_COLUMNS * STEP),
                steps,
                starts.ctypes.data + tile * (TILE_COLUMNS * 4),
                sums.ctypes.data,
            )
            _finish(sums, worths, scales, bias, out, (first, low), has_gelu)


class Int8Weights:
    """Weights (out, in) in whole numbers, laid out in tiles. `in` is a multiple of STEP."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, *, has_gelu: bool) -> None:
        """Rounds them: each channel's largest becomes 127."""
        out, width = weight.shape
        weight = weight.detach().float()
        scales = weight.abs().amax(1).clamp_min(1e-20) / MOST
        tiles = -(-out // TILE_COLUMNS)
        whole = torch.zeros(tiles * TILE_COLUMNS, width, dtype=torch.int8)
        whole[:out] = (weight / scales[:, None]).round().to(torch.int8)
        starts = whole.sum(1, dtype=torch.int32) * -OFFSET
        in_tiles = whole.view(tiles, TILE_COLUMNS, width // STEP, STEP).transpose(1, 2)
        # torch's memory begins at multiples of 64, which the loads rely on.
        self._weights = in_tiles.contiguous().numpy()
        self._starts = starts.view(tiles, TILE_COLUMNS).numpy()
        self._scales = scales.numpy()
        self._bias = (torch.zeros(out) if bias is None else bias.detach().float()).numpy()
        self._has_gelu = has_gelu
        self._width, self._out = width, out

    def multiply(self, x: torch.Tensor) -> torch.Tensor:
        """(..., out) of (..., in), both float32 or both bfloat16."""
        rows = x.reshape(-1, self._width)
        count = len(rows)
        out = torch.empty(count, self._out, dtype=x.dtype)
        multiply_int8(
            _numbers(rows),
            self._weights,
            self._starts,
            self._scales,
            self._bias,
            np.empty((-(-count // TILE_ROWS) * TILE_ROWS, self._width), np.uint8),
            np.empty(count, np.float32),
            _numbers(out),
            self._has_gelu,
        )
        return out.view(*x.shape[:-1], self._out)


def _numbers(x: torch.Tensor) -> Array:
    """As numpy has it: bfloat16 as uint16."""
    numbers: Array = (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
    return numbers
