"""Kernels of a decoder step in Triton; see `triton_operations` for who calls them.

Attention of one query per row is bound by reading keys and values. These kernels read them once,
where they lie, and no further than a row's length; every lane of a program runs over places of
its own and keeps its own running softmax, so lanes meet once, at the end.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
# ruff: noqa: ANN001, ANN201, N803 - Triton's own types stand for the arguments

import triton
import triton.language as tl


@triton.jit
def look(
    query,
    keys,
    values,
    base,
    first,
    last,
    BLOCK: tl.constexpr,
):
    """Per lane the highest score, the sum of the weights relative to it, and the mix (lanes, 64)
    of the places `first` up to `last`; scores count in powers of two.
    """
    lanes = tl.arange(0, BLOCK)
    dims = tl.arange(0, 64)
    top = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    mixed = tl.zeros([BLOCK, 64], tl.float32)
    for start in range(first, last, BLOCK):
        place = start + lanes
        is_seen = place < last
        at = base + place[:, None] * 64 + dims[None, :]
        key = tl.load(keys + at, mask=is_seen[:, None], other=0.0).to(tl.float32)
        value = tl.load(values + at, mask=is_seen[:, None], other=0.0).to(tl.float32)
        score = tl.where(is_seen, tl.sum(key * query[None, :], axis=1), float("-inf"))
        higher = tl.maximum(top, score)
        # A lane that has seen nothing: minus infinity less itself is no number.
        level = tl.where(higher == float("-inf"), 0.0, higher)
        weight = tl.exp2(score - level)
        rest = tl.exp2(top - level)
        mixed = mixed * rest[:, None] + weight[:, None] * value
        total = total * rest + weight
        top = higher
    return top, total, mixed


@triton.jit
def attend(
    queries,
    keys,
    values,
    lengths,
    out,
    tops,
    totals,
    heads,
    places,
    scale,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (row and head, split). With one split `out` takes the result; with several, `out`,
    `tops` and `totals` take what `join_splits` makes it of.
    """
    job = tl.program_id(0)
    split = tl.program_id(1)
    row = job // heads
    dims = tl.arange(0, 64)
    length = tl.load(lengths + row).to(tl.int32)
    share = tl.cdiv(tl.cdiv(length, BLOCK), SPLITS) * BLOCK
    first = split * share
    last = tl.minimum(first + share, length)
    query = tl.load(queries + job * 64 + dims).to(tl.float32) * scale
    base = job.to(tl.int64) * places * 64
    top, total, mixed = look(query, keys, values, base, first, last, BLOCK)
    highest = tl.max(top, axis=0)
    weight = tl.where(top == float("-inf"), 0.0, tl.exp2(top - highest))
    all_total = tl.sum(total * weight, axis=0)
    all_mixed = tl.sum(mixed * weight[:, None], axis=0)
    if SPLITS == 1:
        tl.store(out + job * 64 + dims, (all_mixed / all_total).to(out.dtype.element_ty))
    else:
        part = job * SPLITS + split
        tl.store(out + part * 64 + dims, all_mixed)
        tl.store(tops + part, highest)
        tl.store(totals + part, all_total)


@triton.jit
def join_splits(
    mixed,
    tops,
    totals,
    out,
    SPLITS: tl.constexpr,
):
    """Program (row and head): the splits' parts together."""
    job = tl.program_id(0)
    dims = tl.arange(0, 64)
    parts = job * SPLITS + tl.arange(0, SPLITS)
    top = tl.load(tops + parts)
    weight = tl.where(top == float("-inf"), 0.0, tl.exp2(top - tl.max(top, axis=0)))
    total = tl.sum(tl.load(totals + parts) * weight, axis=0)
    part = tl.load(mixed + parts[:, None] * 64 + dims[None, :])
    found = tl.sum(part * weight[:, None], axis=0) / total
    tl.store(out + job * 64 + dims, found.to(out.dtype.element_ty))


@triton.jit
def attend_own(
    mixed,
    keys,
    values,
    positions,
    out,
    heads,
    places,
    scale,
    BLOCK: tl.constexpr,
):
    """Program (row and head): store the new key and value, attend to the earlier ones and them."""
    job = tl.program_id(0)
    row = job // heads
    head = job % heads
    dims = tl.arange(0, 64)
    position = tl.load(positions + row).to(tl.int32)
    own = mixed + row * heads * 192 + head * 64 + dims
    query = tl.load(own).to(tl.float32) * scale
    new_key = tl.load(own + heads * 64)
    new_value = tl.load(own + heads * 128)
    base = job.to(tl.int64) * places * 64
    tl.store(keys + base + position * 64 + dims, new_key)
    tl.store(values + base + position * 64 + dims, new_value)
    # Earlier places alone: what was stored just now need not be visible to every thread yet.
    top, total, found = look(query, keys, values, base, 0, position, BLOCK)
    score = tl.sum(query * new_key.to(tl.float32), axis=0)
    highest = tl.maximum(tl.max(top, axis=0), score)
    weight = tl.exp2(top - highest)
    own_weight = tl.exp2(score - highest)
    all_total = tl.sum(total * weight, axis=0) + own_weight
    all_found = tl.sum(found * weight[:, None], axis=0) + own_weight * new_value.to(tl.float32)
    tl.store(out + job * 64 + dims, (all_found / all_total).to(out.dtype.element_ty))


@triton.jit
def add_norm(
    x,
    change,
    scale,
    shift,
    out,
    width,
    epsilon,
    HAS_CHANGE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Program (row): add in place, and the layer norm of the sum."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    is_in = column < width
    at = row * width + column
    number = tl.load(x + at, mask=is_in, other=0.0)
    if HAS_CHANGE:
        number += tl.load(change + at, mask=is_in, other=0.0).to(tl.float32)
        tl.store(x + at, number, mask=is_in)
    mean = tl.sum(number, axis=0) / width
    away = tl.where(is_in, number - mean, 0.0)
    variance = tl.sum(away * away, axis=0) / width
    normed = away / tl.sqrt(variance + epsilon)
    factor = tl.load(scale + column, mask=is_in, other=0.0)
    normed = normed * factor + tl.load(shift + column, mask=is_in, other=0.0)
    tl.store(out + at, normed.to(out.dtype.element_ty), mask=is_in)


@triton.jit
def look_at_tokens(
    logits,
    never,
    first,
    last,
    BLOCK: tl.constexpr,
):
    """The highest of the logits `first` up to `last` that may come, the first token that has it,
    and the logarithm of the sum of their exponentials.
    """
    lanes = tl.arange(0, BLOCK)
    top = tl.full([BLOCK], float("-inf"), tl.float32)
    where = tl.zeros([BLOCK], tl.int32)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(first, last, BLOCK):
        token = start + lanes
        is_in = token < last
        number = tl.load(logits + token, mask=is_in, other=float("-inf")).to(tl.float32)
        number += tl.load(never + token, mask=is_in, other=0.0)
        higher = tl.maximum(top, number)
        level = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp(top - level) + tl.exp(number - level)
        where = tl.where(number > top, token, where)
        top = higher
    best = tl.max(top, axis=0)
    level = tl.where(best == float("-inf"), 0.0, best)
    # Of equals the first, as argmax has it.
    token = tl.min(tl.where(top == best, where, 2147483647), axis=0)
    return best, token, best + tl.log(tl.sum(total * tl.exp(top - level), axis=0))


@triton.jit
def write_likeliest(
    logits,
    never,
    counts,
    lasts,
    befores,
    stamps,
    next_tokens,
    written,
    limits,
    has_ended,
    sums,
    tokens,
    logits_stride,
    tokens_stride,
    stamps_from,
    end,
    vocabulary,
    most_first,
    BLOCK: tl.constexpr,
):
    """Program (row): what `rules.TokenRules` and `device_tokens.write_tokens` do, in one pass."""
    row = tl.program_id(0)
    count = tl.load(counts + row)
    last = tl.load(lasts + row).to(tl.int32)
    before = tl.load(befores + row).to(tl.int32)
    stamp = tl.load(stamps + row).to(tl.int32)
    after_stamp = last >= stamps_from
    after_pair = (before >= stamps_from) | (count < 2)  # noqa: PLR2004 - rules.PAIR
    is_open = after_stamp & (after_pair == 0)
    is_closed = after_stamp & after_pair
    floor = tl.maximum(stamp + tl.where(is_open, 0, 1), stamps_from)
    first_text = tl.where(count == 0, stamps_from, tl.where(is_open, end, 0))
    first_stamp = tl.where(is_closed, vocabulary, floor)
    past_stamp = tl.where(count == 0, stamps_from + most_first + 1, vocabulary)
    own = logits + row.to(tl.int64) * logits_stride
    text_best, text, text_all = look_at_tokens(own, never, first_text, stamps_from, BLOCK)
    stamp_best, at, stamp_all = look_at_tokens(own, never, first_stamp, past_stamp, BLOCK)
    must_stamp = stamp_all > text_best
    higher_all = tl.maximum(text_all, stamp_all)
    lower_all = tl.minimum(text_all, stamp_all)
    both_all = higher_all + tl.log(1.0 + tl.exp(lower_all - higher_all))
    is_stamp = must_stamp | (stamp_best > text_best)
    chosen = tl.where(is_stamp, at, text).to(tl.int64)
    best = tl.where(is_stamp, stamp_best, text_best)
    logprob = best - tl.where(must_stamp, stamp_all, both_all)
    number = tl.load(written + row)
    ended = tl.load(has_ended + row) != 0
    nowhere = tokens_stride - 1
    tl.store(tokens + row * tokens_stride + tl.where(ended, nowhere, number), chosen)
    tl.store(sums + row, tl.load(sums + row) + tl.where(ended, 0.0, logprob))
    number += tl.where(ended, 0, 1)
    tl.store(written + row, number)
    tl.store(next_tokens + row, chosen)
    tl.store(has_ended + row, ended | (chosen == end) | (number >= tl.load(limits + row)))
    tl.store(befores + row, last.to(tl.int64))
    tl.store(lasts + row, chosen)
    tl.store(counts + row, count + 1)
    tl.store(stamps + row, tl.where(chosen >= stamps_from, chosen, stamp.to(tl.int64)))
