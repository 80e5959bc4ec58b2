"""The compiled loops against the same arithmetic in plain torch."""

import numpy as np
import pytest
import torch

from engines.batched.kernels import _exp, attend_places

HEADS, WIDTH, PLACES, SLOTS = 3, 64, 97, 5
ROUNDING = 2e-6  # of the sums, which are float32 whatever the type of keys and values


def attend(queries, keys, values, slots, lengths):
    """Of keys and values (slots, heads, places, 64) as any caller has them."""
    out = torch.empty_like(queries)
    transposed = keys.transpose(2, 3).contiguous()
    numbers = [transposed, values]
    if keys.dtype == torch.bfloat16:
        numbers = [tensor.view(torch.uint16) for tensor in numbers]
    attend_places(
        queries.numpy(),
        *(tensor.numpy() for tensor in numbers),
        np.array(slots),
        np.array(lengths),
        out.numpy(),
    )
    return out


def plain(queries, keys, values, slots, lengths):
    """The same, row by row, in float32."""
    rows = []
    for query, slot, length in zip(queries, slots, lengths, strict=True):
        seen, mixed = keys[slot, :, :length].float(), values[slot, :, :length].float()
        weights = torch.einsum("hd,htd->ht", query, seen).softmax(dim=-1)
        rows.append(torch.einsum("ht,htd->hd", weights, mixed))
    return torch.stack(rows)


def random_inputs(dtype, rows, *, spread=1.0):
    generator = torch.Generator().manual_seed(3)
    shape = (SLOTS, HEADS, PLACES, WIDTH)
    keys = (torch.randn(shape, generator=generator) * spread).to(dtype)
    values = torch.randn(shape, generator=generator).to(dtype)
    queries = torch.randn(rows, HEADS, WIDTH, generator=generator) * WIDTH**-0.5
    return queries, keys, values


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request):
    return request.param


def test_attention_is_the_softmax_over_as_many_places_as_a_row_has(dtype):
    slots = [4, 0, 2, 2, 1, 3, 0]  # in any order, and several rows of one slot
    lengths = [1, 2, 15, 16, 17, 64, PLACES]
    inputs = random_inputs(dtype, len(slots))

    out = attend(*inputs, slots, lengths)

    torch.testing.assert_close(out, plain(*inputs, slots, lengths), rtol=0, atol=ROUNDING)


def test_scores_of_any_size_neither_overflow_nor_vanish(dtype):
    queries, keys, values = random_inputs(dtype, SLOTS, spread=500.0)
    slots, lengths = range(SLOTS), [PLACES] * SLOTS

    out = attend(queries, keys, values, slots, lengths)

    expected = plain(queries, keys, values, slots, lengths)
    torch.testing.assert_close(out, expected, rtol=0, atol=2e-3)  # scores of some 500


def test_a_row_is_bit_equal_alone_and_in_company_for_any_number_of_threads(dtype, threads):
    slots, lengths = [3, 1, 4, 0, 2], [PLACES, 1, 40, 77, 16]
    queries, keys, values = random_inputs(dtype, len(slots))

    threads(2)
    together = attend(queries, keys, values, slots, lengths)
    threads(1)
    alone = [
        attend(queries[row : row + 1], keys, values, slots[row : row + 1], lengths[row : row + 1])
        for row in range(len(slots))
    ]

    assert torch.equal(together, torch.cat(alone))


def test_the_exponential_is_as_exact_as_it_says():
    x = np.concatenate(
        [np.linspace(-87, 0, 4001), np.linspace(-1, 0, 1001), -np.arange(87) * np.log(2)]
    ).astype(np.float32)

    found = np.array([_exp(each) for each in x], np.float64)

    expected = np.exp(x.astype(np.float64))
    assert np.abs(found - expected).max() < 3e-7
    assert np.abs(found / expected - 1).max() < 6e-6


@pytest.mark.parametrize("x", [-88.0, -1000.0, -1e30])
def test_the_exponential_of_the_very_improbable_is_next_to_nothing(x):
    assert 0 <= _exp(np.float32(x)) < 2e-38
