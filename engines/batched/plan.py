"""Which stretches of a recording become windows. Pure decisions on the speech that was found.

A window is cut at pauses, so no word is torn; silence between windows is not decoded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audio.speech import FRAME_S, SpeechMap
from domain.speech import Span, merge_spans, pad_spans, subtract_spans

# Whisper takes 30 s. Over fewer it drops less: with several voices in a window it now and then
# writes one of them and skips the rest. Measured in docs/decisions/016-batched-decoding.md.
MAX_WINDOW_S = 20.0
EARLIEST_CUT = 0.5  # of a window's length: before it no pause is worth a shorter window
PAUSE_FRAMES = 5  # 160 ms: one quiet frame lies in the middle of many words

SILENCE_S = 30.0

# As the coverage report has it: what is missing there is heard again here.
GAP_S = 1.0
TOLERANCE_S = 0.3
GAP_PAD_S = 0.2


@dataclass(frozen=True)
class PlannedWindow:
    """A stretch of the recording, and what of it is decoded."""

    speech: Span | None  # None: nobody speaks
    end_s: float  # where the next one takes over


def plan_windows(speech: SpeechMap, max_s: float = MAX_WINDOW_S) -> tuple[PlannedWindow, ...]:
    """Windows that hold all the speech in order, and between them those without any.

    Silence is cut as well, at every 30 s: long silence shall show progress.
    """
    plan: list[PlannedWindow] = []
    reached_s = 0.0
    spans = pack_spans(tuple(_short_pieces(speech, speech.spans, max_s)), max_s)
    for span in spans:
        plan.extend(_silent_windows(reached_s, span.start_s))
        plan.append(PlannedWindow(span, span.end_s))
        reached_s = span.end_s
    plan.extend(_silent_windows(reached_s, speech.duration_s))
    if plan and speech.duration_s - plan[-1].end_s < SILENCE_S - TOLERANCE_S:
        plan[-1] = replace(plan[-1], end_s=speech.duration_s)
    return tuple(plan) or (PlannedWindow(None, speech.duration_s),)


def pack_spans(pieces: Sequence[Span], max_s: float) -> tuple[Span, ...]:
    """Neighbours made one, with the pause between them, as long as that stays within `max_s`."""
    packed: list[Span] = []
    for piece in pieces:
        if packed and piece.end_s - packed[-1].start_s <= max_s:
            packed[-1] = Span(packed[-1].start_s, piece.end_s)
        else:
            packed.append(piece)
    return tuple(packed)


def _silent_windows(from_s: float, to_s: float) -> Iterator[PlannedWindow]:
    # The pad around speech may reach a little into the silence.
    while to_s - from_s >= SILENCE_S - TOLERANCE_S:
        from_s += SILENCE_S
        yield PlannedWindow(None, from_s)


def plan_repairs(
    speech: SpeechMap, window: Span, heard: Sequence[Span], max_s: float = MAX_WINDOW_S
) -> tuple[Span, ...]:
    """Windows over the speech inside `window` that no span in `heard` covers."""
    inside = [
        Span(max(span.start_s, window.start_s), min(span.end_s, window.end_s))
        for span in speech.spans
        if span.start_s < window.end_s and span.end_s > window.start_s
    ]
    covered = pad_spans(heard, TOLERANCE_S, speech.duration_s)
    gaps = [gap for gap in subtract_spans(inside, covered) if gap.length_s >= GAP_S]
    padded = merge_spans(
        Span(max(window.start_s, gap.start_s - GAP_PAD_S), min(window.end_s, gap.end_s + GAP_PAD_S))
        for gap in gaps
    )
    return tuple(_short_pieces(speech, padded, max_s))


def _short_pieces(speech: SpeechMap, spans: Sequence[Span], max_s: float) -> Iterator[Span]:
    for span in spans:
        start_s = span.start_s
        while span.end_s - start_s > max_s:
            cut_s = _quietest_s(speech, start_s + EARLIEST_CUT * max_s, start_s + max_s)
            yield Span(start_s, cut_s)
            start_s = cut_s
        yield Span(start_s, span.end_s)


def _quietest_s(speech: SpeechMap, from_s: float, to_s: float) -> float:
    """The middle of the frames between two times in which speech is least probable."""
    first, last = int(from_s / FRAME_S), int(to_s / FRAME_S)
    frames = speech.probabilities[first:last]
    around = np.convolve(frames, np.ones(PAUSE_FRAMES, np.float32) / PAUSE_FRAMES, "valid")
    # Later is better among equals: the window is fuller.
    quietest = len(around) - 1 - int(around[::-1].argmin())
    return (first + quietest + PAUSE_FRAMES / 2) * FRAME_S
