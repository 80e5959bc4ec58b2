"""Products by packed weights: exact, and for every row the same in any company."""

import pytest
import torch
from torch.nn import functional

from engines.batched import linear
from engines.batched.linear import GELU, NO_ACTIVATION, pack_linear

IN, OUT = 384, 640
MANY = 230
ROUNDING = {torch.float32: 3e-6, torch.bfloat16: 8e-3}  # of results around 1
COUNTS = [*range(1, 17), 17, MANY]


def random(*shape, dtype, seed=2):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request):
    return request.param


@pytest.fixture
def weights(dtype):
    return random(OUT, IN, dtype=dtype) * IN**-0.5, random(OUT, dtype=dtype)


def exact(x, weight, bias, activation):
    product = functional.linear(x.double(), weight.double(), bias.double())
    return functional.gelu(product) if activation == GELU else product


@pytest.mark.parametrize("activation", [NO_ACTIVATION, GELU])
@pytest.mark.parametrize("shape", [(1, IN), (16, IN), (2, 9, IN)])
@pytest.mark.parametrize("has_packing", [True, False], ids=["packed", "plain"])
def test_the_product_is_exact_within_the_rounding_of_its_type(
    weights, dtype, activation, shape, has_packing, monkeypatch
):
    monkeypatch.setattr(linear, "_has_packing", lambda: has_packing)
    x = random(*shape, dtype=dtype, seed=4)

    found = pack_linear(*weights, activation=activation)(x)

    expected = exact(x, *weights, activation)
    assert found.dtype == dtype
    assert found.shape == expected.shape
    error = (found.double() - expected).abs() / (1 + expected.abs())
    assert error.max() < ROUNDING[dtype]


@pytest.mark.parametrize("rows", [16, 1500])
@pytest.mark.parametrize("activation", [NO_ACTIVATION, GELU])
def test_a_row_is_bit_equal_among_any_number_of_others_for_any_number_of_threads(
    weights, dtype, activation, rows, threads
):
    multiply = pack_linear(*weights, activation=activation, rows=rows)
    x = random(MANY, IN, dtype=dtype, seed=6)
    threads(1)
    expected = torch.cat([multiply(row) for row in x.split(1)])

    differing = []
    for count in (1, 2):
        threads(count)
        differing += [(count, n) for n in COUNTS if not torch.equal(multiply(x[:n]), expected[:n])]

    assert differing == []


def test_a_single_row_keeps_its_shape(weights, dtype):
    multiply = pack_linear(*weights)
    x = random(1, 1, IN, dtype=dtype)

    assert multiply(x).shape == (1, 1, OUT)
    assert multiply(x[0, 0]).shape == (OUT,)


def test_without_a_bias_nothing_is_added(dtype):
    weight = random(OUT, IN, dtype=dtype)

    found = pack_linear(weight, None)(torch.zeros(3, IN, dtype=dtype))

    assert not found.any()
