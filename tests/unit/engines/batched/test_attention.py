"""Both ways to compute the encoder's attention, against its definition."""

import pytest
import torch

from engines.batched.attention import QUERY_BLOCK, WAYS

HEADS, WIDTH, PLACES = 3, 64, 700
EXACT, ROUNDED = 2e-6, 2e-2  # of values around 1; bfloat16 has eight bits
ROUNDING = {torch.float32: EXACT, torch.bfloat16: ROUNDED}


def random_inputs(windows, queries, dtype):
    generator = torch.Generator().manual_seed(5)
    shapes = ((windows, HEADS, places, WIDTH) for places in (queries, PLACES, PLACES))
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def attend(request):
    return request.param


@pytest.fixture(params=ROUNDING, ids=["float32", "bfloat16"])
def dtype(request):
    return request.param


@pytest.mark.parametrize("queries", [1, QUERY_BLOCK, QUERY_BLOCK + 1, PLACES])
def test_it_is_the_softmax_over_all_places(attend, dtype, queries):
    q, k, v = random_inputs(2, queries, dtype)

    found = attend(q, k, v)

    scores = q.float() @ k.float().transpose(2, 3) * WIDTH**-0.5
    expected = (scores.softmax(dim=-1) @ v.float()).transpose(1, 2).flatten(2)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=ROUNDING[dtype])


def test_a_window_is_bit_equal_for_any_number_of_threads(attend, dtype, threads):
    inputs = random_inputs(1, 300, dtype)

    threads(2)
    by_two = attend(*inputs)
    threads(1)
    by_one = attend(*inputs)

    assert torch.equal(by_two, by_one)
