"""Cut a recording into windows that are decoded apart from each other: at pauses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audio.speech import FRAME_S, SpeechMap
from domain.windows import Window
from engines import window_rules as rules
from engines.base import SAMPLE_RATE_HZ, Samples
from engines.silence import is_silent

FRAME_SAMPLES = SAMPLE_RATE_HZ // rules.FRAMES_PER_S
EARLIEST_CUT = 2000  # frames: where a window may end, for the sake of a better pause
LONG_PAUSE = 200  # frames: pauses like this are no part of a window that they begin or end
PAUSE_S = 0.5  # the quietest stretch of this length is the place to cut

Frames = tuple[int, int]  # first and last, exclusive, of the mel spectrogram


@dataclass(frozen=True)
class PlannedWindow:
    """A window from frame `first` up to `last`, exclusive."""

    first: int
    last: int
    speech: tuple[Frames, ...]  # where in it somebody speaks

    @property
    def is_heard(self) -> bool:
        """Whether there is anything to decode."""
        return bool(self.speech)

    def speech_after(self, frame: int) -> int:
        """How many frames of speech lie behind this one."""
        return sum(max(0, end - max(start, frame)) for start, end in self.speech)


def plan_windows(audio: Samples, speech: SpeechMap) -> list[PlannedWindow]:
    """Cut the whole recording into windows of at most 30 s, at pauses."""

    def is_quiet(first: int, last: int) -> bool:
        return is_silent(audio[first * FRAME_SAMPLES : last * FRAME_SAMPLES])

    return cut_at_pauses(speech, len(audio) // FRAME_SAMPLES, is_quiet)


def cut_at_pauses(
    speech: SpeechMap, content_frames: int, is_quiet: Callable[[int, int], bool]
) -> list[PlannedWindow]:
    """The plan; `is_quiet` tells whether two frames have nothing at all between them."""
    spans = [(_frame(span.start_s), _frame(span.end_s)) for span in speech.spans]
    plan: list[PlannedWindow] = []
    first = 0
    while first < content_frames:
        last = min(first + rules.WINDOW_FRAMES, content_frames)
        there = [(start, end) for start, end in spans if start < last and end > first]
        quiet = is_quiet(first, last)
        is_heard = bool(there) and there[0][0] - first < LONG_PAUSE and not quiet
        if is_heard:
            if last < content_frames:
                last = quietest_frame(speech, first + EARLIEST_CUT, last)
            ends = max(min(end, last) for start, end in there if start < last)
            last = ends if last - ends >= LONG_PAUSE else last
        elif there and not quiet:
            last = there[0][0]
        inside = [(max(start, first), min(end, last)) for start, end in there if start < last]
        plan.append(PlannedWindow(first, last, tuple(inside) if is_heard else ()))
        first = last
    return plan


def quietest_frame(speech: SpeechMap, first: int, last: int) -> int:
    """The middle of the clearest pause between two mel frames."""
    per_s = rules.FRAMES_PER_S
    there = speech.probabilities[int(first / per_s / FRAME_S) : int(last / per_s / FRAME_S)]
    width = round(PAUSE_S / FRAME_S)
    around = np.convolve(there, np.ones(width), mode="valid")
    middle_s = (int(around.argmin()) + width / 2) * FRAME_S
    return first + round(middle_s * per_s)


def _frame(seconds: float) -> int:
    return round(seconds * rules.FRAMES_PER_S)


def windows_of(plan: Sequence[PlannedWindow], resume: Sequence[Window]) -> list[Window]:
    """The kept windows that this plan has too, so that an old plan is not taken up."""
    return [
        window for span, window in zip(plan, resume, strict=False) if window.next_seek == span.last
    ]
