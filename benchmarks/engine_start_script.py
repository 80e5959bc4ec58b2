"""One start of our engine: `python -m benchmarks.engine_start_script ORDER`.

ORDER is a JSON object with `model_size`, `model_dir`, `threads`, a `recording` of one window in a
file that `numpy.load` reads, and `started_s`, when the process was started by the monotonic
clock. The last line of standard output says what each step took, in seconds.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any


class Steps:
    """The seconds of one step after another, by the clock and of the processor."""

    def __init__(self, began_s: float) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._last_s = began_s
        self._last_cpu_s = 0.0

    def done(self, name: str) -> None:
        """What was done since the last step has this name."""
        now_s, cpu_s = time.monotonic(), time.process_time()
        self.seconds[name] = now_s - self._last_s
        self.cpu_seconds[name] = cpu_s - self._last_cpu_s
        self._last_s, self._last_cpu_s = now_s, cpu_s


def main(arguments: Sequence[str]) -> None:
    """Go through all steps once, then hear the recording a second time."""
    asked = json.loads(arguments[0])
    steps = Steps(asked["started_s"])
    steps.done("python")
    settings = read_settings(asked)
    steps.done("settings")
    import_libraries(steps)
    from engines.registry import get_loader

    loader = get_loader("openai_whisper", settings)
    steps.done("engine modules")
    engine = loader.load(asked["model_size"], loader.devices()[0])
    steps.done("weights")
    import numpy as np

    samples = np.load(asked["recording"])
    steps.done("recording")
    first = hear(engine, samples, asked["model_size"])
    steps.done("first window")
    second = hear(engine, samples, asked["model_size"])
    steps.done("second window")
    found = {"steps_s": steps.seconds, "cpu_s": steps.cpu_seconds}
    print(json.dumps({**found, "first_s": first, "second_s": second}))


def read_settings(asked: dict[str, Any]) -> Any:
    """As the model host does, before torch."""
    from pathlib import Path

    from config import Settings, bound_openmp_spinning

    bound_openmp_spinning()
    changed = {"model_dir": Path(asked["model_dir"]), "torch_threads": asked["threads"]}
    return Settings().model_copy(update={**changed, "device": "cpu"})


def import_libraries(steps: Steps) -> None:
    """What the engine needs, one after another, so that each bears its own time."""
    import torch  # noqa: F401

    steps.done("torch")
    import numba  # noqa: F401

    steps.done("numba")
    import tiktoken  # noqa: F401

    steps.done("tiktoken")
    import whisper  # noqa: F401

    steps.done("whisper")


def hear(engine: Any, samples: Any, model_size: str) -> dict[str, float]:
    """Transcribe one window; seconds by what the engine did."""
    from domain.options import TranscriptionOptions

    started_s = time.monotonic()
    transcript = engine.transcribe(
        samples,
        TranscriptionOptions(model_size),
        on_progress=lambda _: None,
        should_stop=lambda: False,
    )
    spent_s = time.monotonic() - started_s
    # The first time, what no stage counts is the batched decoder in the making.
    rest_s = spent_s - sum(transcript.timings_s.values())
    return {**transcript.timings_s, "rest_s": rest_s}


if __name__ == "__main__":
    main(sys.argv[1:])
