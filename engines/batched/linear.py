"""Matrix products by fixed weights, in the form that is fastest on the device.

On a CPU the weights are laid out once for oneDNN's kernels: on AVX-512 that is two to four
times as fast as handing them over row by row, and a row's result does not depend on what
stands in the other rows, nor, up to EXACT_ROWS, on how many rows or threads there are. So a
window's text does not depend on which windows happen to share its batch. In int8, see `int8`,
that holds as well.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

from engines.batched.int8 import Int8Weights

Linear = Callable[[torch.Tensor], torch.Tensor]

EXACT_ROWS = 32  # up to so many, a row's last bits depend on nothing but itself

GELU = "gelu"
NO_ACTIVATION = "none"


def pack_linear(
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    activation: str = NO_ACTIVATION,
    rows: int = 16,
) -> Linear:
    """A function from (..., in) to (..., out); computes in the type of `weight`, (out, in).

    `rows` is how many rows it will mostly get: oneDNN chooses its layout by that.
    """
    if weight.device.type == "cpu" and _has_packing():
        return _packed(weight, bias, activation, rows)
    if activation == GELU:
        return lambda x: functional.gelu(functional.linear(x, weight, bias))
    return lambda x: functional.linear(x, weight, bias)


def pack_int8(
    weight: torch.Tensor, bias: torch.Tensor | None, *, activation: str = NO_ACTIVATION
) -> Linear:
    """As `pack_linear`, with `weight` rounded to int8; the function returns the type it gets,
    float32 or bfloat16. For a CPU that `int8.has_int8`.
    """
    return Int8Weights(weight, bias, has_gelu=activation == GELU).multiply


def _packed(weight: torch.Tensor, bias: torch.Tensor | None, activation: str, rows: int) -> Linear:
    # What torch's own compiler calls; older and other builds go the plain way.
    operators = torch.ops.mkldnn
    packed = operators._reorder_linear_weight(weight.contiguous(), rows)  # noqa: SLF001
    width = weight.shape[1]
    algorithm = "none"  # of gelu: exact, by the error function

    def multiply(x: torch.Tensor) -> torch.Tensor:
        if x.numel() == width:  # a single row goes another way, to other last bits
            return multiply(x.expand(2, *x.shape))[0]
        result: torch.Tensor = operators._linear_pointwise(  # noqa: SLF001
            x, packed, bias, activation, [], algorithm
        )
        return result

    return multiply


def _has_packing() -> bool:
    is_there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return is_there and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
