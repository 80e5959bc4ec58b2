"""Windows side by side: cut at pauses first, then decoded several at a time without context.

Where faster-whisper's `BatchedInferencePipeline` gives up the rules for failed windows and
the speech behind a window's last time stamp, both are kept here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio.speech import FRAME_S, SpeechMap, find_speech
from domain.transcript import Segment
from domain.windows import Window
from engines import window_rules as rules
from engines.base import SAMPLE_RATE_HZ, Samples
from engines.ctranslate2_decoder import Decoded, Decoder, Draft, last_speech_s
from engines.silence import is_silent
from engines.window_trail import WindowTrail

BATCH_SIZE = 8
FRAME_SAMPLES = SAMPLE_RATE_HZ // rules.FRAMES_PER_S
EARLIEST_CUT = 2000  # frames: where a window may end, for the sake of a better pause
NOTHING = rules.Piece(0, 0, 0.0, 0.0)
LONG_PAUSE = 200  # frames: pauses like this are no part of a window that they begin or end
PAUSE_S = 0.5  # the quietest stretch of this length is the place to cut


@dataclass(frozen=True)
class PlannedWindow:
    """A window from frame `first` up to `last`, exclusive."""

    first: int
    last: int
    is_heard: bool  # False: nobody speaks there


def plan_windows(audio: Samples) -> list[PlannedWindow]:
    """Cut the whole recording into windows of at most 30 s, at pauses."""

    def is_quiet(first: int, last: int) -> bool:
        return is_silent(audio[first * FRAME_SAMPLES : last * FRAME_SAMPLES])

    return cut_at_pauses(find_speech(audio), len(audio) // FRAME_SAMPLES, is_quiet)


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
        plan.append(PlannedWindow(first, last, is_heard))
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


def all_pieces(tokens: Sequence[int], stamps_from: int, frames: int) -> list[rules.Piece]:
    """As `window_rules.cut_window` cuts, and what it leaves to a next window: none hears it."""
    pieces = list(rules.cut_window(tokens, stamps_from, frames).pieces)
    rest = pieces[-1].last
    if rest < len(tokens):
        end_s = frames / rules.FRAMES_PER_S
        start_s = min((tokens[rest] - stamps_from) * rules.STAMP_S, end_s)
        pieces.append(rules.Piece(rest, len(tokens), start_s, end_s))
    return pieces


def windows_of(plan: Sequence[PlannedWindow], resume: Sequence[Window]) -> list[Window]:
    """The kept windows that this plan has too, so that an old plan is not taken up."""
    return [
        window for span, window in zip(plan, resume, strict=False) if window.next_seek == span.last
    ]


class BatchedPass:
    """One pass over one recording. Use once.

    Batches are the same ones whichever windows are kept: what stands beside a window in its
    batch may move the last bits of its numbers.
    """

    def __init__(self, decoder: Decoder, plan: Sequence[PlannedWindow], trail: WindowTrail) -> None:
        self._decoder = decoder
        self._plan = plan
        self._trail = trail
        self._segments = trail.segments
        heard = [number for number, span in enumerate(plan) if span.is_heard]
        batches = [heard[i : i + BATCH_SIZE] for i in range(0, len(heard), BATCH_SIZE)]
        self._batch_of = {number: batch for batch in batches for number in batch}
        self._drafts: dict[int, list[Draft]] = {}  # by number of the window, until handed on
        if trail.kept:
            carried = trail.kept[-1].carried
            decoder.language = carried["language"]
            decoder.language_probability = carried["language_probability"]
            decoder.timings_s = dict(carried["timings_s"])

    def run(self, on_progress: Callable[[float], None]) -> list[Segment]:
        """Decode the windows that are not there yet; `on_progress` gets the share after each."""
        for number in range(len(self._trail.kept), len(self._plan)):
            self._decoder.ask()
            if number in self._batch_of and number not in self._drafts:
                self._decode(self._batch_of[number])
            drafts = self._drafts.pop(number, [])
            said = self._decoder.segments(drafts, first_id=len(self._segments)) if drafts else []
            self._segments += said
            last = self._plan[number].last
            if number + 1 < len(self._plan):
                self._trail.add(last, said, self._carried())
            on_progress(last / self._plan[-1].last)
        return self._segments

    def _decode(self, batch: Sequence[int]) -> None:
        decoder = self._decoder
        spans = [(self._plan[number].first, self._plan[number].last) for number in batch]
        encoded = decoder.encode(spans)
        context = decoder.initial_context
        temperature = rules.temperatures_of(decoder.options.temperature)[0]
        results = decoder.decode(encoded, context, temperature, n_windows=len(batch))
        drafts = []
        for span, decoded in zip(spans, results, strict=True):
            final = self._rescue(span, decoded, context) if decoded.needs_hotter else decoded
            drafts.append(self._draft(span, final))
        if decoder.options.word_timestamps:
            before = [s for s in self._segments if s.seek < spans[0][0]]
            frames = [last - first for first, last in spans]
            decoder.time_words(drafts, encoded, frames, last_speech_s(before))
        self._drafts.update(zip(batch, drafts, strict=True))

    def _rescue(self, span: tuple[int, int], decoded: Decoded, context: Sequence[int]) -> Decoded:
        """Try a window alone that failed in its batch."""
        encoded = self._decoder.encode([span])
        return self._decoder.decode_with_fallback(encoded, context, tried=[decoded])

    def _draft(self, span: tuple[int, int], decoded: Decoded) -> list[Draft]:
        first, last = span
        if decoded.has_no_speech:
            pieces = [NOTHING]  # word times want a segment in every window
        else:
            stamps_from = self._decoder.tokenizer.timestamp_begin
            pieces = all_pieces(decoded.tokens, stamps_from, last - first)
        return self._decoder.drafts(first, decoded, pieces)

    def _carried(self) -> dict[str, Any]:
        return {
            "language": self._decoder.language,
            "language_probability": self._decoder.language_probability,
            "timings_s": dict(self._decoder.timings_s),
        }
