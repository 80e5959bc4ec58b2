"""One recording's way through a batch decoder: what to decode next, and what it makes of it.

Windows are decoded in any order and company; their results leave in order of time. Each window
passes the gates of openai-whisper (see `window_rules`): a text that fails them is drawn again at
the next temperature, from the same features. Speech inside a window that its text does not cover
is heard again by itself.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from whisper.tokenizer import Tokenizer
from whisper.utils import compression_ratio

from audio.speech import SpeechMap
from domain.options import TranscriptionOptions
from domain.speech import Span
from domain.transcript import Segment
from engines import window_rules as rules
from engines.batched.plan import plan_repairs, plan_windows
from engines.batched.requests import DecodedWindow, Features, WindowRequest, tensor_of
from engines.batched.words import HeardPart
from engines.window_trail import WindowTrail

MAX_REPAIRS = 2  # how often speech that was left out is heard again by itself
MAX_PROMPT_TOKENS = 223  # half of the text context without the token that opens a prompt


class Listener(Protocol):
    """What a run needs of the networks."""

    def encode(self, span: Span) -> Features:
        """Features (frames, width) of a window."""
        ...

    def settle_language(self, plan: Sequence[Span]) -> Tokenizer:
        """The tokenizer for the recording's language; may listen to its first windows."""
        ...

    def carried(self) -> dict[str, Any]:
        """What a later attempt must know to go on, as plain JSON."""
        ...

    @property
    def words_at_a_time(self) -> int:
        """How many windows `find_words` does best with."""
        ...

    def find_words(self, parts: Sequence[HeardPart]) -> list[list[Segment]]:
        """The segments of each of these windows, with words."""
        ...


@dataclass
class Part:
    """A stretch of one planned window while it is decoded."""

    window: int  # its planned window
    span: Span
    depth: int = 0
    failed: list[tuple[DecodedWindow, float]] = field(default_factory=list)  # with its ratio
    features: Features | None = None


@dataclass
class _Progress:
    """A planned window: what is still to do, and what was heard."""

    open_parts: int = 0
    segments: list[Segment] = field(default_factory=list)


class RecordingRun:
    """Hands out windows and takes their texts back. For one thread."""

    def __init__(
        self,
        speech: SpeechMap,
        options: TranscriptionOptions,
        listener: Listener,
        trail: WindowTrail,
    ) -> None:
        self._speech = speech
        self._options = options
        self._listener = listener
        self._trail = trail
        self._plan = plan_windows(speech)
        self._temperatures = rules.temperatures_of(options.temperature)
        # Where each window but the last hands over, in mel frames.
        self._seeks = [round(window.end_s * rules.FRAMES_PER_S) for window in self._plan[:-1]]
        if [window.next_seek for window in trail.kept] != self._seeks[: len(trail.kept)]:
            trail.restart()  # cut at other places: speech found on another processor may differ
        done = len(trail.kept)
        self.segments: list[Segment] = trail.segments
        self._progress = {number: _Progress() for number in range(done, len(self._plan))}
        self._waiting: deque[Part] = deque()
        # With the number of the window. Words are found for several at a time, but before the
        # first of them leaves.
        self._wordless: list[tuple[int, HeardPart]] = []
        for number in self._progress:
            span = self._plan[number].speech
            if span is not None:
                self._waiting.append(Part(number, span))
                self._progress[number].open_parts = 1
        self._next_out = done
        self._settled: Tokenizer | None = None

    @property
    def is_done(self) -> bool:
        """Whether every window has left."""
        return self._next_out >= len(self._plan)

    @property
    def share(self) -> float:
        """How much of the recording has left, from 0 to 1."""
        if self.is_done:
            return 1.0
        if not self._next_out:
            return 0.0
        return self._plan[self._next_out - 1].end_s / self._plan[-1].end_s

    def next_request(self) -> tuple[Part, WindowRequest] | None:
        """The next window to decode, or None while all are being decoded."""
        if not self._waiting:
            return None
        if self._settled is None:
            self._settled = self._listener.settle_language(
                [window.speech for window in self._plan if window.speech is not None]
            )
        part = self._waiting.popleft()
        if part.features is None:
            part.features = self._listener.encode(part.span)
        prompt = self._prompt()
        request = WindowRequest(
            features=part.features,
            prompt=prompt,
            sot_index=prompt.index(self._settled.sot),
            temperature=self._temperatures[len(part.failed)],
            seed=self._seed(part),
        )
        return part, request

    def accept(self, part: Part, decoded: DecodedWindow) -> None:
        """Take back what was written for a window that `next_request` handed out."""
        text = self._tokenizer.decode([t for t in decoded.tokens if t < self._tokenizer.eot])
        ratio = compression_ratio(text.strip()) if text.strip() else 0.0
        if rules.needs_hotter(ratio, decoded.avg_logprob, decoded.no_speech_prob):
            part.failed.append((decoded, ratio))
            if len(part.failed) < len(self._temperatures):
                self._waiting.appendleft(part)
                return
            decoded, ratio = _best(part.failed)
        segments = self._heard(part, decoded, ratio)
        progress = self._progress[part.window]
        progress.open_parts -= 1
        if part.depth < MAX_REPAIRS:
            self._repair(part, segments, progress)
        self._keep(part, segments, progress)
        part.features = None

    def _keep(self, part: Part, segments: list[Segment], progress: _Progress) -> None:
        if not self._options.word_timestamps or not segments or part.features is None:
            progress.segments.extend(segments)
            return
        heard = HeardPart(segments, part.span, tensor_of(part.features))
        self._wordless.append((part.window, heard))
        if len(self._wordless) >= self._listener.words_at_a_time:
            self._find_words()

    def _find_words(self) -> None:
        """For the windows that leave first, as many as are found at a time."""
        self._wordless.sort(key=lambda each: (each[0], each[1].span.start_s))
        found = self._wordless[: self._listener.words_at_a_time]
        with_words = self._listener.find_words([part for _, part in found])
        del self._wordless[: len(found)]
        for (window, _), segments in zip(found, with_words, strict=True):
            self._progress[window].segments.extend(segments)

    def _heard(self, part: Part, decoded: DecodedWindow, ratio: float) -> list[Segment]:
        if rules.has_no_speech(decoded.no_speech_prob, decoded.avg_logprob):
            return []
        frames = round(part.span.length_s * rules.FRAMES_PER_S)
        segments = [
            self._segment(part, piece, decoded, ratio)
            for piece in self._pieces(decoded.tokens, frames)
        ]
        # What Whisper writes behind the end of a window has no length, as in openai-whisper.
        return [s for s in segments if s.text.strip() and s.start < s.end]

    def _pieces(self, tokens: list[int], frames: int) -> Iterator[rules.Piece]:
        """The segments of a window; nobody hears the end of it again, so all of it counts."""
        begin = self._tokenizer.timestamp_begin
        cut = rules.cut_window(tokens, begin, frames)
        yield from cut.pieces
        last = cut.pieces[-1].last
        if last < len(tokens):
            rest = tokens[last:]
            stamp = rest[0] - begin if rest[0] >= begin else None
            start_s = cut.pieces[-1].end_s if stamp is None else stamp * rules.STAMP_S
            yield rules.Piece(last, len(tokens), start_s, frames / rules.FRAMES_PER_S)

    def _segment(
        self, part: Part, piece: rules.Piece, decoded: DecodedWindow, ratio: float
    ) -> Segment:
        tokens = decoded.tokens[piece.first : piece.last]
        end_s = part.span.end_s
        return Segment(
            id=0,  # counted when it leaves
            seek=round(part.span.start_s * rules.FRAMES_PER_S),
            start=min(part.span.start_s + piece.start_s, end_s),
            end=min(part.span.start_s + piece.end_s, end_s),
            text=self._tokenizer.decode([t for t in tokens if t < self._tokenizer.eot]),
            tokens=tuple(tokens),
            temperature=decoded.temperature,
            avg_logprob=decoded.avg_logprob,
            compression_ratio=ratio,
            no_speech_prob=decoded.no_speech_prob,
        )

    def _repair(self, part: Part, segments: list[Segment], progress: _Progress) -> None:
        heard = [Span(segment.start, segment.end) for segment in segments]
        gaps = plan_repairs(self._speech, part.span, heard)
        if gaps == (part.span,):
            return  # it was heard, and there was nothing
        for gap in reversed(gaps):
            progress.open_parts += 1
            self._waiting.appendleft(Part(part.window, gap, part.depth + 1))

    def let_out_next(self) -> bool:
        """Hand on the next window if all of it is decoded; whether it was."""
        number = self._next_out
        if self.is_done or self._progress[number].open_parts:
            return False
        while any(window == number for window, _ in self._wordless):
            self._find_words()
        heard = self._progress.pop(number).segments
        first = len(self.segments)
        ordered = sorted(heard, key=lambda segment: segment.start)
        numbered = [replace(segment, id=first + i) for i, segment in enumerate(ordered)]
        self.segments.extend(numbered)
        self._next_out += 1
        if not self.is_done:
            self._trail.add(self._seeks[number], numbered, self._listener.carried())
        return True

    @property
    def _tokenizer(self) -> Tokenizer:
        assert self._settled is not None  # noqa: S101 - settled before the first request
        return self._settled

    def _prompt(self) -> tuple[int, ...]:
        tokenizer = self._tokenizer
        text = (self._options.initial_prompt or "").strip()
        if not text:
            return tuple(tokenizer.sot_sequence)
        earlier = tokenizer.encode(" " + text)[-MAX_PROMPT_TOKENS:]
        return (tokenizer.sot_prev, *earlier, *tokenizer.sot_sequence)

    def _seed(self, part: Part) -> int:
        """Of this window at this temperature, whatever else is decoded and in which order."""
        start = round(part.span.start_s * 1000)
        return (start * (MAX_REPAIRS + 1) + part.depth) * len(rules.TEMPERATURES) + len(part.failed)


def _best(failed: Sequence[tuple[DecodedWindow, float]]) -> tuple[DecodedWindow, float]:
    """Of texts that all fail the gates, the likeliest; of those in a loop only if all are.

    openai-whisper keeps the last one, drawn at the highest temperature: over noise it is often
    made of foreign letters.
    """
    straight = [one for one in failed if one[1] <= rules.MAX_COMPRESSION_RATIO]
    return max(straight or failed, key=lambda one: one[0].avg_logprob)
