"""Products by packed weights: exact, and for every row the same in any company."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional

from engines.batched import linear
from engines.batched.int8 import has_int8
from engines.batched.linear import EXACT_ROWS, GELU, NO_ACTIVATION, pack_int8, pack_linear

IN, OUT = 384, 650  # the last of these fill no whole tile
MANY = 230
COUNTS = [*range(1, 18), EXACT_ROWS - 1, EXACT_ROWS]
PRODUCTS = [(512, 2048), (1536, 384), (2048, 512), (1280, 3840), (5120, 1280)]  # of models


@dataclass(frozen=True)
class Packing:
    """A way to lay out weights, and what comes of it."""

    name: str
    dtype: torch.dtype
    rounding: float  # of results around 1
    is_int8: bool = False

    def pack(self, weight, bias, *, rows=16, **options):
        if self.is_int8:
            return pack_int8(weight, bias, **options)
        return pack_linear(weight, bias, rows=rows, **options)


PLAIN = [
    Packing("float32", torch.float32, 3e-6),
    Packing("bfloat16", torch.bfloat16, 8e-3),
]
ROUNDED = [
    Packing("int8 in float32", torch.float32, 0.08, is_int8=True),
    Packing("int8 in bfloat16", torch.bfloat16, 0.08, is_int8=True),
]
# Other processors have no int8 to test.
PACKINGS = PLAIN + (ROUNDED if has_int8() else [])


def random(*shape, dtype, seed=2):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def random_whole(*shape, dtype, seed):
    """Whole numbers that int8 and bfloat16 hold; the largest of every row is 127."""
    numbers = torch.randint(-126, 127, shape, generator=torch.Generator().manual_seed(seed))
    numbers[:, 5] = 127
    return numbers.to(dtype)


@pytest.fixture(params=PACKINGS, ids=lambda packing: packing.name)
def packing(request):
    return request.param


@pytest.fixture
def weights(packing):
    dtype = packing.dtype
    return random(OUT, IN, dtype=dtype) * IN**-0.5, random(OUT, dtype=dtype)


def exact(x, weight, bias, activation):
    product = functional.linear(x.double(), weight.double(), bias.double())
    return functional.gelu(product) if activation == GELU else product


@pytest.mark.parametrize("activation", [NO_ACTIVATION, GELU])
@pytest.mark.parametrize("shape", [(1, IN), (16, IN), (2, 9, IN)])
@pytest.mark.parametrize("has_packing", [True, False], ids=["packed", "plain"])
def test_the_product_is_exact_within_the_rounding_of_its_type(
    weights, packing, activation, shape, has_packing, monkeypatch
):
    monkeypatch.setattr(linear, "_has_packing", lambda: has_packing)
    x = random(*shape, dtype=packing.dtype, seed=4)

    found = packing.pack(*weights, activation=activation)(x)

    expected = exact(x, *weights, activation)
    assert found.dtype == packing.dtype
    assert found.shape == expected.shape
    error = (found.double() - expected).abs() / (1 + expected.abs())
    assert error.max() < packing.rounding


def test_whole_numbers_are_multiplied_exactly(packing):
    weight = random_whole(OUT, IN, dtype=packing.dtype, seed=8)
    x = random_whole(MANY, IN, dtype=packing.dtype, seed=9)

    found = packing.pack(weight, None)(x)

    assert torch.equal(found, (x.double() @ weight.double().T).to(packing.dtype))


def differing(multiply, x, threads):
    """Numbers of threads and of rows at which the rows are not what each of them is alone."""
    threads(1)
    alone = torch.cat([multiply(row) for row in x.split(1)])
    found = []
    for count in (1, 2):
        threads(count)
        found += [(count, n) for n in COUNTS if not torch.equal(multiply(x[:n]), alone[:n])]
    return found


@pytest.mark.parametrize("rows", [16, 1500])
@pytest.mark.parametrize("activation", [NO_ACTIVATION, GELU])
def test_a_row_is_bit_equal_among_any_number_of_others_for_any_number_of_threads(
    weights, packing, activation, rows, threads
):
    multiply = packing.pack(*weights, activation=activation, rows=rows)
    x = random(EXACT_ROWS, IN, dtype=packing.dtype, seed=6)

    assert differing(multiply, x, threads) == []


@pytest.mark.parametrize("shape", PRODUCTS)
def test_a_row_of_a_models_products_is_bit_equal_among_others(packing, shape, threads):
    width, out = shape
    bias = random(out, dtype=packing.dtype)
    multiply = packing.pack(random(out, width, dtype=packing.dtype), bias, rows=EXACT_ROWS)
    x = random(EXACT_ROWS, width, dtype=packing.dtype, seed=7)

    assert differing(multiply, x, threads) == []


def test_a_row_counts_whether_it_is_loud_or_quiet(packing, weights):
    multiply = packing.pack(*weights)
    x = random(3, IN, dtype=packing.dtype) * torch.tensor([[1e-3], [1], [1e3]])

    found = multiply(x.to(packing.dtype)).double()

    expected = exact(x.to(packing.dtype), *weights, NO_ACTIVATION)
    sizes = 1 + expected.abs().amax(dim=1, keepdim=True)
    assert ((found - expected) / sizes).abs().max() < packing.rounding


def test_a_single_row_keeps_its_shape(weights, packing):
    multiply = packing.pack(*weights)
    x = random(1, 1, IN, dtype=packing.dtype)

    assert multiply(x).shape == (1, 1, OUT)
    assert multiply(x[0, 0]).shape == (OUT,)


def test_of_a_row_of_zeros_the_bias_is_left(weights, packing):
    weight, bias = weights

    found = packing.pack(weight, bias)(torch.zeros(3, IN, dtype=packing.dtype))

    assert torch.equal(found, bias.expand(3, OUT))


def test_without_a_bias_nothing_is_added(packing):
    weight = random(OUT, IN, dtype=packing.dtype)

    found = packing.pack(weight, None)(torch.zeros(3, IN, dtype=packing.dtype))

    assert not found.any()
