"""Whisper's rules for one window, as pure functions on numbers.

Source: Radford et al. 2022, section 4.5 "Strategies for reliable long-form transcription",
with the thresholds that openai-whisper ships.
"""

from collections.abc import Sequence
from dataclasses import dataclass

FRAMES_PER_S = 100  # of the mel spectrogram
FRAMES_PER_STAMP = 2  # a timestamp token counts steps of two mel frames
STAMP_S = 0.02
WINDOW_FRAMES = 3000  # 30 s, the only length the encoder takes

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MAX_COMPRESSION_RATIO = 2.4  # above it the text repeats itself
MIN_AVG_LOGPROB = -1.0
MAX_NO_SPEECH_PROB = 0.6
MAX_PROMPTING_TEMPERATURE = 0.5  # text from hotter sampling is no context for the next window


@dataclass(frozen=True)
class Piece:
    """Tokens `first` up to `last` (exclusive) are one segment; times from the window's start."""

    first: int
    last: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class WindowCut:
    """How one window's tokens fall into segments, and how far the next window lies."""

    pieces: tuple[Piece, ...]
    advance_frames: int
    ends_in_silence: bool  # the model closed its last segment and opened no other


def temperatures_of(chosen: float | None) -> tuple[float, ...]:
    """The temperatures to try in order; a chosen one stands alone."""
    return TEMPERATURES if chosen is None else (chosen,)


def needs_hotter(compression_ratio: float, avg_logprob: float, no_speech_prob: float) -> bool:
    """Whether the text is repetitive or unlikely, so that a higher temperature is worth a try."""
    if no_speech_prob > MAX_NO_SPEECH_PROB and avg_logprob < MIN_AVG_LOGPROB:
        return False  # most likely silence: no temperature will help
    return compression_ratio > MAX_COMPRESSION_RATIO or avg_logprob < MIN_AVG_LOGPROB


def has_no_speech(no_speech_prob: float, avg_logprob: float) -> bool:
    """Whether to drop the window. A confident text outweighs the no-speech token."""
    return no_speech_prob > MAX_NO_SPEECH_PROB and not avg_logprob > MIN_AVG_LOGPROB


def cut_window(tokens: Sequence[int], timestamp_begin: int, window_frames: int) -> WindowCut:
    """Cut one window's tokens at pairs of timestamp tokens.

    `timestamp_begin` is the id of <|0.00|>; `window_frames` is how much of the window is
    recording. What follows the last pair is unfinished speech and is heard again in the
    next window.
    """
    is_stamp = [token >= timestamp_begin for token in tokens]
    ends_in_silence = is_stamp[-2:] == [False, True]
    cuts = [i for i in range(1, len(tokens)) if is_stamp[i - 1] and is_stamp[i]]
    if not cuts:
        piece = _whole_window(tokens, timestamp_begin, window_frames)
        return WindowCut((piece,), window_frames, ends_in_silence)
    if ends_in_silence:
        cuts.append(len(tokens))
    steps = [token - timestamp_begin for token in tokens]
    pieces = tuple(
        Piece(first, last, steps[first] * STAMP_S, steps[last - 1] * STAMP_S)
        for first, last in zip([0, *cuts[:-1]], cuts, strict=True)
    )
    advance = window_frames if ends_in_silence else steps[cuts[-1] - 1] * FRAMES_PER_STAMP
    return WindowCut(pieces, advance, ends_in_silence)


def _whole_window(tokens: Sequence[int], timestamp_begin: int, window_frames: int) -> Piece:
    stamps = [token - timestamp_begin for token in tokens if token >= timestamp_begin]
    has_end = bool(stamps) and stamps[-1] != 0
    end_s = stamps[-1] * STAMP_S if has_end else window_frames / FRAMES_PER_S
    return Piece(0, len(tokens), 0.0, end_s)
