"""Samples in memory that two processes share.

The memory has no name: the kernel frees it with the last process that holds it, however that
one ends.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from engines.base import Samples

BYTES_PER_SAMPLE = 4


@contextmanager
def shared(samples: Samples) -> Iterator[int]:
    """A file descriptor of memory that holds a copy of the samples (float32, mono)."""
    descriptor = _anonymous_file()
    try:
        if len(samples):
            os.truncate(descriptor, len(samples) * BYTES_PER_SAMPLE)
            with mmap.mmap(descriptor, 0) as memory:
                there = np.frombuffer(memory, dtype=np.float32)
                there[:] = samples
                del there  # or the memory could not be closed
        yield descriptor
    finally:
        os.close(descriptor)


def open_shared(descriptor: int, count: int) -> Samples:
    """The samples behind a descriptor, which is closed; no copy, and not to be written to.

    Raises ValueError when there are fewer than `count`.
    """
    try:
        if not count:
            return np.zeros(0, dtype=np.float32)
        memory = mmap.mmap(descriptor, count * BYTES_PER_SAMPLE, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)
    return np.frombuffer(memory, dtype=np.float32)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("samples", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())
