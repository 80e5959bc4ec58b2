"""Tell out-of-memory from other failures, and give memory back before anything else is tried."""

import gc
from collections.abc import Callable
from typing import TypeVar

import torch

from domain.errors import OutOfMemory

Result = TypeVar("Result")

# torch raises a plain RuntimeError for most of these.
MEMORY_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failure of torch or Python means that a device has no room."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(p in str(error) for p in MEMORY_PHRASES)


def guard_memory(
    call: Callable[[], Result], *, model_size: str, device: str, batch_size: int = 1
) -> Result:
    """Return what `call` returns. Raises OutOfMemory, with the memory already given back.

    `batch_size` is how many windows `call` decodes side by side.
    """
    try:
        return call()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler: the error's traceback holds the tensors that fill the memory.
    reclaim()
    raise OutOfMemory(
        f"not enough memory on {device} for {model_size}", device=device, batch_size=batch_size
    )


def reclaim() -> None:
    """Give freed memory back to the devices."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
