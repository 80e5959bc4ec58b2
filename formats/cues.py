"""From segments to subtitle blocks: where lines break, and when each block is on screen.

A block never spans two segments: a segment's end is the best pause that is known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.transcript import Segment, Transcript
from formats.breaking import chunks, clean


@dataclass(frozen=True)
class Layout:
    """Limits of a subtitle block; None sets none. Widths are in characters."""

    max_line_width: int | None = None
    max_line_count: int | None = None


@dataclass(frozen=True)
class Cue:
    """One subtitle block: when it is on screen, in ms, and its lines, none of them empty."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Span:
    """Characters `begin` to `stop` of a text, spoken from `start` to `end` seconds."""

    begin: int
    stop: int
    start: float
    end: float

    def time_at(self, offset: int) -> float:
        """When this character is spoken, all characters taken to last equally long."""
        share = (offset - self.begin) / max(1, self.stop - self.begin)
        return self.start + share * (self.end - self.start)


def make_cues(transcript: Transcript, layout: Layout) -> list[Cue]:
    """The transcript's blocks in order: none empty, none overlapping the next.

    Times are those of the words where the words are known. Elsewhere a segment that has to
    be cut is taken to be spoken evenly, and the cut falls by the number of characters.
    """
    cues = [cue for segment in transcript.segments for cue in _segment_cues(segment, layout)]
    return _without_overlap(cues)


def _segment_cues(segment: Segment, layout: Layout) -> Iterator[Cue]:
    text, spans = _timed_text(segment)
    lines = [*_lines(text, layout.max_line_width)]
    count = layout.max_line_count or max(1, len(lines))
    for first in range(0, len(lines), count):
        group = lines[first : first + count]
        yield Cue(
            _ms(_start_at(spans, group[0][0])),
            _ms(_end_at(spans, group[-1][1])),
            tuple(text[begin:stop] for begin, stop in group),
        )


def _timed_text(segment: Segment) -> tuple[str, list[_Span]]:
    """The segment's text on one line, and what is known of when it was spoken."""
    whole = clean(segment.text).strip()
    if segment.words:
        text, spans = _join([(w.word, w.start, w.end) for w in segment.words])
        if text == whole:
            return text, spans
    # No words, or words that do not add up to the text: the text is what counts.
    return whole, [_Span(0, len(whole), segment.start, segment.end)]


def _join(pieces: Sequence[tuple[str, float, float]]) -> tuple[str, list[_Span]]:
    text = ""
    spans = []
    for raw, start, end in pieces:
        piece = clean(raw)
        if piece.startswith(" ") and (not text or text.endswith(" ")):
            piece = piece[1:]
        begin = len(text) + len(piece) - len(piece.lstrip(" "))
        text += piece
        stop = len(text.rstrip(" "))
        if stop > begin:
            spans.append(_Span(begin, stop, start, end))
    return text.rstrip(), spans


def _lines(text: str, max_width: int | None) -> Iterator[tuple[int, int]]:
    """Ranges of the text, each one line, filled from the front."""
    width = max_width or max(1, len(text))
    line: tuple[int, int] | None = None
    for begin, stop in chunks(text, max_width=width):
        if line and stop - line[0] <= width:
            line = (line[0], stop)
            continue
        if line and text[slice(*line)].strip():
            yield line
        line = (begin, stop)
    if line and text[slice(*line)].strip():
        yield line


def _start_at(spans: Sequence[_Span], offset: int) -> float:
    span = next((s for s in spans if offset < s.stop), spans[-1])
    return span.time_at(max(offset, span.begin))


def _end_at(spans: Sequence[_Span], offset: int) -> float:
    span = next((s for s in reversed(spans) if offset > s.begin), spans[0])
    return span.time_at(min(offset, span.stop))


def _without_overlap(cues: Sequence[Cue]) -> list[Cue]:
    """Each block begins after the one before, and ends before the next at the latest."""
    starts: list[int] = []
    for cue in cues:
        starts.append(max(cue.start_ms, starts[-1] + 1 if starts else 0))
    if not cues:
        return []
    limits = [following for _, following in pairwise(starts)]
    limits.append(max(cues[-1].end_ms, starts[-1] + 1))
    return [
        Cue(start, min(max(cue.end_ms, start + 1), limit), cue.lines)
        for cue, start, limit in zip(cues, starts, limits, strict=True)
    ]


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
