"""The number of threads, set for one test."""

import numba
import pytest
import torch


@pytest.fixture
def threads():
    """A function that sets the number of threads of both libraries; undone in the end."""
    before = torch.get_num_threads(), numba.get_num_threads()

    def set_threads(count):
        torch.set_num_threads(count)
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))

    yield set_threads
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])
