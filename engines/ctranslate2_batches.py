"""Windows side by side: several at a time, none with the text before it as context.

Where faster-whisper's `BatchedInferencePipeline` gives up the rules for failed windows and
the speech behind a window's last time stamp, both are kept here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from domain.transcript import Segment
from engines import window_rules as rules
from engines.ctranslate2_decoder import Decoded, Decoder, Draft, last_speech_s
from engines.ctranslate2_plan import Frames, PlannedWindow
from engines.window_trail import WindowTrail

MIN_UNHEARD = 50  # frames of speech behind the last time stamp that are worth another look
NOTHING = rules.Piece(0, 0, 0.0, 0.0)


def hear_out(tokens: Sequence[int], stamps_from: int, frames: int) -> tuple[list[rules.Piece], int]:
    """The pieces of a window that has no next one, and the frame up to which they reach.

    Text that was begun and not closed is taken as it is; where the model stopped at a time
    stamp before the end, the rest has to be heard again.
    """
    cut = rules.cut_window(tokens, stamps_from, frames)
    rest = cut.pieces[-1].last
    if rest + 1 >= len(tokens):  # nothing, or a stamp alone
        return list(cut.pieces), cut.advance_frames
    end_s = frames / rules.FRAMES_PER_S
    start_s = min((tokens[rest] - stamps_from) * rules.STAMP_S, end_s)
    return [*cut.pieces, rules.Piece(rest, len(tokens), start_s, end_s)], frames


class BatchedPass:
    """One pass over one recording. Use once.

    Batches are the same ones whichever windows are kept: what stands beside a window in its
    batch may move the last bits of its numbers.
    """

    def __init__(
        self,
        decoder: Decoder,
        plan: Sequence[PlannedWindow],
        trail: WindowTrail,
        *,
        batch_size: int,
    ) -> None:
        self._decoder = decoder
        self._plan = plan
        self._trail = trail
        self._segments = trail.segments
        heard = [number for number, span in enumerate(plan) if span.is_heard]
        batches = [heard[i : i + batch_size] for i in range(0, len(heard), batch_size)]
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
        """Decode windows, and what their texts leave out at the end, until nothing is left."""
        before = [s for s in self._segments if s.seek < self._plan[batch[0]].first]
        self._drafts.update((number, []) for number in batch)
        left = {number: (self._plan[number].first, self._plan[number].last) for number in batch}
        while left:
            reached = self._hear(left, last_speech_s(before))
            left = {
                number: (frame, self._plan[number].last)
                for number, frame in reached.items()
                if self._plan[number].speech_after(frame) >= MIN_UNHEARD and frame > left[number][0]
            }

    def _hear(self, spans: dict[int, Frames], last_speech_s: float) -> dict[int, int]:
        """Decode a span of each of these windows; return the frames up to which that came."""
        decoder = self._decoder
        encoded = decoder.encode([*spans.values()])
        context = decoder.initial_context
        temperature = rules.temperatures_of(decoder.options.temperature)[0]
        results = decoder.decode(encoded, context, temperature, n_windows=len(spans))
        drafts, reached = [], {}
        for (number, (first, last)), result in zip(spans.items(), results, strict=True):
            decoded = self._rescue((first, last), result) if result.needs_hotter else result
            pieces, frames = [NOTHING], last - first  # word times want a piece of every span
            if not decoded.has_no_speech:
                stamps_from = decoder.tokenizer.timestamp_begin
                pieces, frames = hear_out(decoded.tokens, stamps_from, frames)
            drafts.append(decoder.drafts(first, decoded, pieces))
            reached[number] = first + frames
        if decoder.options.word_timestamps:
            lengths = [last - first for first, last in spans.values()]
            decoder.time_words(drafts, encoded, lengths, last_speech_s)
        for number, said in zip(spans, drafts, strict=True):
            self._drafts[number] += said
        return reached

    def _rescue(self, span: Frames, decoded: Decoded) -> Decoded:
        """Try a window alone that failed in its batch."""
        encoded = self._decoder.encode([span])
        context = self._decoder.initial_context
        return self._decoder.decode_with_fallback(encoded, context, tried=[decoded])

    def _carried(self) -> dict[str, Any]:
        return {
            "language": self._decoder.language,
            "language_probability": self._decoder.language_probability,
            "timings_s": dict(self._decoder.timings_s),
        }
