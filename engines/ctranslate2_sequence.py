"""Windows one after the other, each with the text before it as context.

The loop of faster-whisper's `WhisperModel.transcribe`, as one that can be left and entered
between windows.
"""

from collections.abc import Callable
from typing import Any

from domain.transcript import Segment
from engines import window_rules as rules
from engines.base import SAMPLE_RATE_HZ, Samples
from engines.ctranslate2_decoder import Decoder, last_speech_s
from engines.silence import is_silent
from engines.window_trail import WindowTrail

FRAME_SAMPLES = SAMPLE_RATE_HZ // rules.FRAMES_PER_S


class SequentialPass:
    """One pass over one recording. Use once."""

    def __init__(self, decoder: Decoder, audio: Samples, trail: WindowTrail) -> None:
        self._decoder = decoder
        self._audio = audio
        self._trail = trail
        self._seek = trail.next_seek
        self._segments = trail.segments
        self._context_from = 0  # segments before this one are no context
        self._has_initial_context = True
        if trail.kept:
            self._go_on(trail.kept[-1].carried)

    def run(self, on_progress: Callable[[float], None]) -> list[Segment]:
        """Decode the windows that are not there yet; `on_progress` gets the share after each."""
        content_frames = len(self._audio) // FRAME_SAMPLES
        while self._seek < content_frames:
            self._decoder.ask()
            frames = min(rules.WINDOW_FRAMES, content_frames - self._seek)
            first, known = self._seek * FRAME_SAMPLES, len(self._segments)
            if is_silent(self._audio[first : first + frames * FRAME_SAMPLES]):
                self._seek += frames
            else:
                self._hear(frames)
            if self._seek < content_frames:
                self._trail.add(self._seek, self._segments[known:], self._carried())
            on_progress(min(self._seek, content_frames) / content_frames)
        return self._segments

    def _hear(self, frames: int) -> None:
        decoder, seek = self._decoder, self._seek
        encoded = decoder.encode([(seek, seek + frames)])
        decoded = decoder.decode_with_fallback(encoded, self._context())
        if decoded.has_no_speech:
            self._seek += frames
            return
        cut = rules.cut_window(decoded.tokens, decoder.tokenizer.timestamp_begin, frames)
        drafts = decoder.drafts(seek, decoded, cut.pieces)
        next_seek = seek + cut.advance_frames
        if decoder.options.word_timestamps:
            decoder.time_words([drafts], encoded, [frames], last_speech_s(self._segments))
            ends = [word["end"] for draft in drafts for word in draft["words"]]
            if ends and not cut.ends_in_silence and ends[-1] > seek / rules.FRAMES_PER_S:
                next_seek = round(ends[-1] * rules.FRAMES_PER_S)
        self._segments += decoder.segments(drafts, first_id=len(self._segments))
        if decoded.temperature > rules.MAX_PROMPTING_TEMPERATURE:
            self._context_from = len(self._segments)
            self._has_initial_context = False
        # A window that would be heard again unchanged would be heard for ever.
        self._seek = next_seek if next_seek > seek else seek + frames

    def _context(self) -> list[int]:
        said = [token for s in self._segments[self._context_from :] for token in s.tokens]
        return [*self._decoder.initial_context, *said] if self._has_initial_context else said

    def _carried(self) -> dict[str, Any]:
        """What the next window needs beside the segments, as plain JSON."""
        return {
            "language": self._decoder.language,
            "language_probability": self._decoder.language_probability,
            "context_from": self._context_from,
            "has_initial_context": self._has_initial_context,
            "timings_s": dict(self._decoder.timings_s),
        }

    def _go_on(self, carried: dict[str, Any]) -> None:
        """Stand where the last kept window ended; `carried` is what it says."""
        self._decoder.language = carried["language"]
        self._decoder.language_probability = carried["language_probability"]
        self._decoder.timings_s = dict(carried["timings_s"])
        self._context_from = carried["context_from"]
        self._has_initial_context = carried["has_initial_context"]
