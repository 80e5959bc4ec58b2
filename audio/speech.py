"""Where in a recording somebody speaks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from audio.level import is_silent, peak_dbfs
from audio.speech_network import FRAME_SAMPLES, SpeechNetwork
from audio.speech_weights import read_weights
from domain.speech import Span, pad_spans
from engines.base import SAMPLE_RATE_HZ, Samples

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ

# Generous on purpose: a second of noise too much costs a window, a lost word cannot be had back.
# Speech reaches 0.9, hiss and music rarely 0.2; a soft word's beginning and end lie between.
SPEECH_FROM = 0.2  # a span holds at least one frame this probable
SPEECH_KEEPS = 0.1  # and reaches as far as frames stay this probable
PAD_S = 0.3  # the first and last sounds of an utterance are the soft ones

# The network hears down to a peak of about -45 dBFS and then loses words; Whisper, which
# measures loudness against the loudest sound, does not. So quieter recordings are raised.
QUIET_PEAK_DBFS = -26.0


@dataclass(frozen=True)
class SpeechMap:
    """The speech of one recording, and how probable it is, frame by frame.

    `probabilities[i]` (float32, 0 to 1) is about the time from `i * FRAME_S` to
    `(i + 1) * FRAME_S`; the last frame may reach beyond the end. Low ones inside a span are
    pauses: the places to cut.
    """

    spans: tuple[Span, ...]  # in order of time, apart from each other, padded
    probabilities: NDArray[np.float32]
    duration_s: float


def find_speech(samples: Samples, before_group: Callable[[], None] = lambda: None) -> SpeechMap:
    """Find the speech in mono samples at 16 kHz, from -1 to 1, of any length.

    Works in one thread, with the same outcome on every call, and needs at most some 70 MB
    however long the recording is. `before_group` is called every now and then; what it raises
    ends the work. Raises ConfigurationError when the network's weights are not installed.
    """
    duration_s = samples.size / SAMPLE_RATE_HZ
    if is_silent(samples):
        frames = -(-samples.size // FRAME_SAMPLES)
        return SpeechMap((), np.zeros(frames, np.float32), duration_s)
    probabilities = _network().probabilities(
        samples, gain=_gain(samples), before_group=before_group
    )
    spans = pad_spans(spans_of(probabilities), PAD_S, duration_s)
    return SpeechMap(spans, probabilities, duration_s)


def spans_of(probabilities: NDArray[np.float32]) -> tuple[Span, ...]:
    """Runs of frames of at least `SPEECH_KEEPS`, if one of them has `SPEECH_FROM`."""
    is_kept = np.concatenate(([False], probabilities >= SPEECH_KEEPS, [False]))
    edges = np.flatnonzero(is_kept[1:] != is_kept[:-1])
    return tuple(
        Span(first * FRAME_S, end * FRAME_S)
        for first, end in edges.reshape(-1, 2).tolist()
        if probabilities[first:end].max() >= SPEECH_FROM
    )


@cache
def _network() -> SpeechNetwork:
    return SpeechNetwork(read_weights())


def _gain(samples: Samples) -> float:
    missing_db = QUIET_PEAK_DBFS - peak_dbfs(samples)
    return 10 ** (missing_db / 20) if missing_db > 0 else 1.0
