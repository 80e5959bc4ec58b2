"""One side of `speed` in a process of its own: `python -m benchmarks.speed_script ORDER`.

ORDER is a JSON object, see `speed_libraries.Order`. The model is loaded first. Then every line
of standard input is a JSON object with `paths` of recordings that are there at once and
`is_decoded`, whether they hold samples; every line of standard output what became of them.
"""

import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence

from benchmarks.speed_sides import CONTENDERS
from config import bound_openmp_spinning


def main(arguments: Sequence[str]) -> None:
    """Answer until standard input ends."""
    asked = json.loads(arguments[0])
    keep_to_cores(asked["threads"])
    if CONTENDERS[asked["side"]].is_ours:
        bound_openmp_spinning()  # as the worker does
    # Only now: torch and numpy look at the cores and the settings when they are imported.
    from benchmarks.speed_libraries import Order, load_side, take_turn

    warnings.filterwarnings("ignore", message="FP16 is not supported on CPU")
    side = load_side(Order(**asked))
    answer({"device": side.device})
    for line in sys.stdin:
        answer(take_turn(side, **json.loads(line)))


def keep_to_cores(threads: int) -> None:
    """Give up the cores beyond the threads: some libraries start as many as there are cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def answer(content: Mapping[str, object]) -> None:
    """Write one line and let it go at once."""
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
