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
PAUSE_S = 0.5  # the quietest stretch of this length is the place to cut


@dataclass(frozen=True)
class PlannedWindow:
    """A window from frame `first` up to `last`, exclusive."""

    first: int
    last: int
    is_heard: bool  # False: nobody speaks there


def plan_windows(audio: Samples) -> list[PlannedWindow]:
    """Cut the whole recording into windows of at most 30 s, at pauses."""
    speech = find_speech(audio)
    content_frames = len(audio) // FRAME_SAMPLES
    plan: list[PlannedWindow] = []
    first = 0
    while first < content_frames:
        last = min(first + rules.WINDOW_FRAMES, content_frames)
        is_quiet = is_silent(audio[first * FRAME_SAMPLES : last * FRAME_SAMPLES])
        if not is_quiet and last < content_frames:
            last = quietest_frame(speech, first + EARLIEST_CUT, last)
        plan.append(
            PlannedWindow(first, last, is_heard=not is_quiet and _has_speech(speech, first, last))
        )
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


def _has_speech(speech: SpeechMap, first: int, last: int) -> bool:
    start_s, end_s = first / rules.FRAMES_PER_S, last / rules.FRAMES_PER_S
    return any(span.start_s < end_s and span.end_s > start_s for span in speech.spans)


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
        stamps_from = self._decoder.tokenizer.timestamp_begin
        if decoded.has_no_speech:
            nothing = rules.Piece(0, 0, 0.0, 0.0)  # word times want a segment in every window
            return self._decoder.drafts(first, decoded, [nothing])
        pieces = list(rules.cut_window(decoded.tokens, stamps_from, last - first).pieces)
        rest = pieces[-1].last
        if rest < len(decoded.tokens):
            # No later window hears what follows the last closed segment.
            begin_s = (decoded.tokens[rest] - stamps_from) * rules.STAMP_S
            end_s = (last - first) / rules.FRAMES_PER_S
            pieces.append(rules.Piece(rest, len(decoded.tokens), min(begin_s, end_s), end_s))
        return self._decoder.drafts(first, decoded, pieces)

    def _carried(self) -> dict[str, Any]:
        return {
            "language": self._decoder.language,
            "language_probability": self._decoder.language_probability,
            "timings_s": dict(self._decoder.timings_s),
        }
