import gc
import weakref

import pytest
import torch

from domain.errors import OutOfMemory
from engines.out_of_memory import guard_memory, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_torch_says_out_of_memory_in_many_ways(error):
    assert is_out_of_memory(error)


def test_other_failures_pass_through():
    def fail():
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        guard_memory(fail, model_size="tiny", device="cpu")


def test_a_tensor_that_is_too_large_is_out_of_memory():
    with pytest.raises(OutOfMemory, match="not enough memory on cpu for tiny"):
        guard_memory(lambda: torch.empty(2**60), model_size="tiny", device="cpu")


def test_what_filled_the_memory_is_gone_when_the_error_arrives():
    class Ballast:
        pass

    alive = []

    def fill():
        ballast = Ballast()
        alive.append(weakref.ref(ballast))
        raise MemoryError

    gc.disable()  # the guard itself must have dropped it
    try:
        with pytest.raises(OutOfMemory):
            guard_memory(fill, model_size="tiny", device="cpu")
    finally:
        gc.enable()

    assert alive[0]() is None
