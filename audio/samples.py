"""Raw decoder output made safe for a model."""

import numpy as np

from engines.base import Samples

BLOCK_SAMPLES = 1 << 20  # the temporary arrays stay at a few MB, however long the recording


def sanitise(samples: Samples) -> int:
    """Clip to [-1, 1] and silence what is not a number, in place; return how many were not.

    Files of floating-point samples may hold anything; one NaN would spread over a whole window.
    """
    bad_count = 0
    for start in range(0, samples.size, BLOCK_SAMPLES):
        block = samples[start : start + BLOCK_SAMPLES]
        is_bad = ~np.isfinite(block)
        if is_bad.any():
            bad_count += int(is_bad.sum())
            block[is_bad] = 0.0
        np.clip(block, -1.0, 1.0, out=block)
    return bad_count
