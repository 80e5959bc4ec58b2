import os

import numpy as np
import psutil
import pytest

from hosting.samples import open_shared, shared

SAMPLES = np.linspace(-1, 1, 50_000, dtype=np.float32)


def handed_over(samples, count):
    with shared(samples) as descriptor:
        return open_shared(os.dup(descriptor), count)


def test_samples_arrive_as_they_were_and_outlive_their_sender():
    assert np.array_equal(handed_over(SAMPLES, len(SAMPLES)), SAMPLES)


def test_nobody_writes_to_shared_samples():
    assert not handed_over(SAMPLES, len(SAMPLES)).flags.writeable


def test_more_samples_than_there_are_cannot_be_opened():
    with pytest.raises(ValueError, match="size"):
        handed_over(SAMPLES, len(SAMPLES) + 2_000)


def test_no_descriptor_is_left_open():
    before = psutil.Process().num_fds()

    handed_over(SAMPLES, len(SAMPLES))

    assert psutil.Process().num_fds() == before


def test_a_machine_without_nameless_memory_uses_a_file_that_has_no_name(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")

    assert np.array_equal(handed_over(SAMPLES, len(SAMPLES)), SAMPLES)
