import math

import numpy as np
import pytest

from audio.level import is_silent, peak_dbfs
from audio.samples import BLOCK_SAMPLES, sanitise


def test_what_is_not_a_number_is_silenced_and_counted():
    samples = np.array([0.5, np.nan, np.inf, -np.inf, -0.5], dtype=np.float32)

    count = sanitise(samples)

    assert count == 3
    assert samples.tolist() == [0.5, 0.0, 0.0, 0.0, -0.5]


def test_values_beyond_full_scale_are_clipped():
    samples = np.array([1e30, -7.0, 0.25], dtype=np.float32)

    sanitise(samples)

    assert samples.tolist() == [1.0, -1.0, 0.25]


def test_the_last_block_is_cleaned_too():
    samples = np.zeros(2 * BLOCK_SAMPLES + 5, dtype=np.float32)
    samples[-1] = np.nan

    count = sanitise(samples)

    assert count == 1
    assert samples[-1] == 0.0


@pytest.mark.parametrize(("value", "level"), [(1.0, 0.0), (-0.1, -20.0), (0.001, -60.0)])
def test_the_peak_is_told_in_decibels_of_full_scale(value, level):
    samples = np.array([0.0, value], dtype=np.float32)

    assert peak_dbfs(samples) == pytest.approx(level, abs=1e-4)


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(160, np.float32)])
def test_nothing_and_zeros_have_no_level_and_are_silent(samples):
    assert peak_dbfs(samples) == -math.inf
    assert is_silent(samples)


def test_one_step_of_16_bit_audio_is_silent_and_a_quiet_room_is_not():
    dither = np.full(160, 1 / 32768, dtype=np.float32)
    room = np.full(160, 10 ** (-75 / 20), dtype=np.float32)

    assert is_silent(dither)
    assert not is_silent(room)
