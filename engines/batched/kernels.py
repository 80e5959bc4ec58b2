"""What a decoder step does beside products by weights, on a CPU; compiled when first used.

A step is bound by reading keys and values. These loops read each of them once, in bfloat16 or
float32, and compute in float32; torch's operators take three to ten times as long for one query
a row. A row's result does not depend on the other rows, nor on the number of threads.
"""

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from engines.batched.compiling import compile_loops

Array = NDArray[Any]

WIDTH = 64  # of a head
BLOCK = 64  # places or tokens that are handled together
FORBIDDEN = np.float32(-1e30)  # finite: the compiler may then reorder what it computes
LOG2_E = np.float32(1.4426950408889634)
FAST: dict[str, Any] = {"parallel": True, "fastmath": True, "error_model": "numpy"}


@numba.njit(inline="always", fastmath=True)
def _exp(x: np.float32) -> np.float32:
    """The exponential of x <= 0, within 3e-7; unlike libm's it vectorises."""
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


def _wide(number: Any) -> Any:
    """The float32 that a bfloat16, given as uint16, stands for; a float32 as it is."""
    raise NotImplementedError  # for compiled callers: see `_wide_by_type`


@overload(_wide, inline="always")
def _wide_by_type(number):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - numba wants bare names
    if isinstance(number, types.Integer):
        return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)
    return lambda number: number


@numba.njit(inline="always")
def _rank(x: np.float32) -> np.int32:
    """A whole number that is higher for a higher x: unlike floats', its maximum vectorises."""
    bits = np.float32(x).view(np.int32)
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@numba.njit(inline="always")
def _of_rank(rank: np.int32) -> np.float32:
    """The number of that rank."""
    bits = np.int32(rank ^ ((rank >> np.int32(31)) & np.int32(0x7FFFFFFF)))
    return bits.view(np.float32)


@compile_loops(**FAST)
def attend_places(
    queries: Array, keys: Array, values: Array, slots: Array, lengths: Array, out: Array
) -> None:
    """For every row r and head h: softmax(queries[r, h] keys[slots[r], h]) values[slots[r], h].

    queries and out (rows, heads, 64) float32, already scaled; keys (slots, heads, 64, places)
    and values (slots, heads, places, 64) float32, or
    bfloat16 as uint16; of the places `lengths[r]` count.
    """
    rows, heads = queries.shape[:2]
    for job in numba.prange(rows * heads):
        # Rows of one slot after another: the second finds its keys and values in the cache.
        row, head = job % rows, job // rows
        slot, length = slots[row], lengths[row]
        weights = np.zeros(length, np.float32)
        for d in range(WIDTH):
            factor = queries[row, head, d]
            key = keys[slot, head, d]
            for t in range(length):
                weights[t] += factor * _wide(key[t])
        rank = _rank(weights[0])
        for t in range(length):
            rank = max(rank, _rank(weights[t]))
        highest = _of_rank(np.int32(rank))
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
def store_places(mixed: Array, slots: Array, first: Array, keys: Array, values: Array) -> None:
    """For every row r: mixed[r] to the places from `first[r]` on of keys and values of slots[r].

    mixed (rows, n, 2, heads, 64), keys before values; keys and values as in `attend_places`,
    all of one type.
    """
    rows, count, _, heads, _ = mixed.shape
    for job in numba.prange(rows * heads):
        row, head = job // heads, job % heads
        slot, place = slots[row], first[row]
        for t in range(count):
            for d in range(WIDTH):
                values[slot, head, place + t, d] = mixed[row, t, 1, head, d]
        for begin in range(0, count, BLOCK):
            end = min(begin + BLOCK, count)
            for d in range(WIDTH):
                for t in range(begin, end):
                    keys[slot, head, d, place + t] = mixed[row, t, 0, head, d]


@numba.njit(fastmath=True)
def _highest(logits: Array, never: Array, begin: int, end: int) -> tuple[int, np.float32]:
    """Where the highest logit is that nothing forbids, and how high; the first one of equals."""
    best, place = FORBIDDEN, begin
    for low in range(begin, end, BLOCK):
        high = min(low + BLOCK, end)
        rank = _rank(FORBIDDEN)
        for i in range(low, high):
            rank = max(rank, _rank(logits[i] + never[i]))
        highest = _of_rank(np.int32(rank))
        if highest > best:
            best, place = highest, low
    while place < end - 1 and logits[place] + never[place] != best:
        place += 1
    return place, best


@numba.njit(fastmath=True)
def _exp_sum(logits: Array, never: Array, begin: int, end: int, less: np.float32) -> np.float32:
    """The sum of exp(logit - less) over what nothing forbids; `less` is not below any."""
    total = np.float32(0)
    for i in range(begin, end):
        total += _exp(logits[i] + never[i] - less)
    return total


@compile_loops(**FAST)
def rank_tokens(
    logits: Array,
    never: Array,
    ranges: Array,
    stamps_from: int,
    tokens: Array,
    logprobs: Array,
    normalisers: Array,
) -> None:
    """For every row the likeliest token that may come and, if that is text, the next texts.

    logits (rows, vocabulary) float32, overwritten where a text is taken; never (vocabulary,)
    float32: 0, or FORBIDDEN for what no row may have. Of row r text may come from `ranges[0, r]`
    to `stamps_from`, timestamps from `ranges[1, r]` to `ranges[2, r]`; if these are likelier
    together than every single text, one of them must come.

    tokens and logprobs (rows, count), what is behind the last token that may come has the log
    probability FORBIDDEN; normalisers (rows,): the logarithm of the sum of the exponentials of
    all that may come.
    """
    for row in numba.prange(logits.shape[0]):
        scores = logits[row]
        first_text, first_stamp, end = ranges[0, row], ranges[1, row], ranges[2, row]
        text, best_text = _highest(scores, never, first_text, stamps_from)
        stamp, best_stamp = _highest(scores, never, first_stamp, end)
        stamps = best_stamp + np.log(_exp_sum(scores, never, first_stamp, end, best_stamp))
        must_stamp = first_stamp < end and stamps > best_text
        if must_stamp:
            normaliser = stamps
        else:
            highest = max(best_text, best_stamp)
            total = _exp_sum(scores, never, first_text, stamps_from, highest)
            total += _exp_sum(scores, never, first_stamp, end, highest)
            normaliser = highest + np.log(total)
        normalisers[row] = normaliser
        is_text = not must_stamp and best_text >= best_stamp
        tokens[row, 0] = text if is_text else stamp
        logprobs[row, 0] = (best_text if is_text else best_stamp) - normaliser
        for place in range(1, tokens.shape[1]):
            tokens[row, place], logprobs[row, place] = 0, FORBIDDEN
            if is_text:
                scores[text] = FORBIDDEN
                text, best_text = _highest(scores, never, first_text, stamps_from)
                tokens[row, place] = text
                logprobs[row, place] = max(FORBIDDEN, best_text - normaliser)
