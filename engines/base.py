"""What an engine promises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from domain.errors import Stopped
from domain.options import TranscriptionOptions
from domain.transcript import Transcript
from domain.windows import Window, ignore_window

SAMPLE_RATE_HZ = 16_000  # what Whisper was trained on

Samples = NDArray[np.float32]  # mono, 16 kHz, from -1 to 1


@dataclass(frozen=True)
class LoadedModel:
    """Facts about a loaded engine, for the pool's accounting and the result."""

    model_size: str
    device: str  # cpu, cuda:0 ...
    memory_mb: float  # weights on that device, as they were loaded


class Engine(Protocol):
    """Speech to text. As many calls at a time per instance as `max_borrowers` says."""

    info: LoadedModel
    max_borrowers: int

    @property
    def memory_mb(self) -> float:
        """What it holds now, in MiB: the weights, and what decoding keeps beside them."""
        ...

    def transcribe(
        self,
        audio: Samples,
        options: TranscriptionOptions,
        *,
        on_progress: Callable[[float], None],
        should_stop: Callable[[], bool],
        on_window: Callable[[Window], None] = ignore_window,
        resume: Sequence[Window] = (),
        is_urgent: bool = False,
    ) -> Transcript:
        """Return the transcript.

        `on_progress` gets the share of the audio that is done, from 0 to 1, after every
        window. Raises Stopped soon after `should_stop` turns true, OutOfMemory when the
        device has no room; its detail `batch_size` says how many windows were decoded side by
        side, where fewer would need less. `is_urgent` goes before others in such a batch.

        `on_window` gets every decoded window, before its progress, except the one that ends
        the recording. Given back as `resume`, with the same audio and options, they are not
        decoded again, and the transcript is that of an undisturbed run; new windows go on
        counting. Windows of another engine or model count for nothing: see `usable_windows`.
        """
        ...

    def shrink_batch(self, below: int) -> bool:
        """Decode fewer windows side by side than `below` from now on; False if it cannot.

        Everybody who shared a step that ran out of memory asks, with the same number: only
        the first of them changes anything.
        """
        ...


def ask_to_go_on(should_stop: Callable[[], bool]) -> None:
    """Raise Stopped when the work is to end."""
    if should_stop():
        raise Stopped


class EngineLoader(Protocol):
    """How the pool gets and drops engines; one per `WHISPER_ENGINE`."""

    name: str

    def load(self, model_size: str, device: str) -> Engine:
        """Load the weights. Raises OutOfMemory, ModelUnavailable."""
        ...

    def unload(self, engine: Engine) -> None:
        """Free the memory of an engine that nobody holds."""
        ...

    def devices(self) -> list[str]:
        """Devices to load on, best first: ["cuda:0", "cpu"] or ["cpu"]."""
        ...

    def estimate_mb(self, model_size: str, device: str) -> float:
        """Memory in MiB that the weights will take there, before they are loaded."""
        ...

    def is_present(self, model_size: str) -> bool:
        """Whether the weights lie on this machine, so that loading fetches nothing."""
        ...
