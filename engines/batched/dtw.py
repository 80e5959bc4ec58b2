"""Dynamic time warping: how a text lies along the time of its window, at the lowest cost."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from engines.batched.compiling import compile_loops

Array = NDArray[Any]

BOTH_ON, ROW_ON, PLACE_ON = 0, 1, 2  # how a path came to where it is


@compile_loops(parallel=True)
def warp_texts(costs: Array, rows: Array, places: Array, starts: Array) -> None:
    """For every window b and row i: at which place the cheapest path comes to the row.

    costs (windows, rows, places) float32, of which `rows[b]` and `places[b]` count; a path goes
    from the first row and place to the last, a row or a place or both on at a time. starts
    (windows, rows) int64. Of equal ways it takes the one that openai-whisper takes.
    """
    for window in numba.prange(costs.shape[0]):
        height, length = rows[window], places[window]
        came_from = np.empty((height, length), np.uint8)
        above = np.full(length + 1, np.inf, np.float32)
        here = np.full(length + 1, np.inf, np.float32)
        above[0] = 0
        for i in range(height):
            here[0] = np.inf
            for j in range(length):
                both, row, place = above[j], above[j + 1], here[j]
                if both < row and both < place:
                    came_from[i, j] = BOTH_ON
                    least = both
                elif row < both and row < place:
                    came_from[i, j] = ROW_ON
                    least = row
                else:
                    came_from[i, j] = PLACE_ON
                    least = place
                here[j + 1] = least + costs[window, i, j]
            above, here = here, above
        i, j = height - 1, length - 1
        while i > 0:
            starts[window, i] = j
            way = came_from[i, j]
            # Not beyond the first place, where costs that are no numbers would lead.
            if way == PLACE_ON and j > 0:
                j -= 1
            elif way == ROW_ON or j == 0:
                i -= 1
            else:
                i -= 1
                j -= 1
        starts[window, 0] = 0
