"""How loud a recording is."""

import math

import numpy as np

from engines.base import Samples

# One step of 16-bit audio is -90 dBFS and its dither peaks near -87; the noise of even a good
# microphone in a quiet room peaks above -75. So -80 separates "nothing was connected" from
# "nobody spoke".
SILENCE_DBFS = -80.0


def peak_dbfs(samples: Samples) -> float:
    """Peak level in dB relative to full scale (1.0); minus infinity for nothing or all zeros."""
    if samples.size == 0:
        return -math.inf
    peak = max(float(np.max(samples)), -float(np.min(samples)))
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def is_silent(samples: Samples, *, threshold_dbfs: float = SILENCE_DBFS) -> bool:
    """Whether the peak is below `threshold_dbfs`, so that no speech can be in it."""
    return peak_dbfs(samples) < threshold_dbfs
