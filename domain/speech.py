"""Stretches of a recording in which somebody speaks."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A stretch of a recording, in seconds from its start."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """How long it lasts, in seconds."""
        return self.end_s - self.start_s


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time in order of time, with spans that overlap or touch made one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        if merged and span.start_s <= merged[-1].end_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return tuple(merged)


def pad_spans(spans: Iterable[Span], pad_s: float, duration_s: float) -> tuple[Span, ...]:
    """Each span made longer by `pad_s` on both sides, within the recording, and merged."""
    return merge_spans(
        Span(max(0.0, span.start_s - pad_s), min(duration_s, span.end_s + pad_s)) for span in spans
    )


def intersect_spans(left: Sequence[Span], right: Sequence[Span]) -> tuple[Span, ...]:
    """The time that is in both. Both are merged, as `merge_spans` returns them."""
    common: list[Span] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start_s = max(left[i].start_s, right[j].start_s)
        end_s = min(left[i].end_s, right[j].end_s)
        if start_s < end_s:
            common.append(Span(start_s, end_s))
        if left[i].end_s < right[j].end_s:
            i += 1
        else:
            j += 1
    return tuple(common)


def subtract_spans(spans: Sequence[Span], taken: Sequence[Span]) -> tuple[Span, ...]:
    """The time of `spans` that is not in `taken`. Both are merged."""
    left: list[Span] = []
    j = 0
    for span in spans:
        start_s = span.start_s
        while j < len(taken) and taken[j].end_s <= start_s:
            j += 1
        k = j
        while k < len(taken) and taken[k].start_s < span.end_s:
            if taken[k].start_s > start_s:
                left.append(Span(start_s, taken[k].start_s))
            start_s = max(start_s, taken[k].end_s)
            k += 1
        if start_s < span.end_s:
            left.append(Span(start_s, span.end_s))
    return tuple(left)


def overlap_s(span: Span, spans: Sequence[Span]) -> float:
    """Seconds of `span` that are in `spans`, which are merged."""
    total = 0.0
    for i in range(bisect_right(spans, span.start_s, key=lambda other: other.end_s), len(spans)):
        if spans[i].start_s >= span.end_s:
            break
        total += min(span.end_s, spans[i].end_s) - max(span.start_s, spans[i].start_s)
    return total


def total_s(spans: Iterable[Span]) -> float:
    """Seconds in all. Overlaps count twice: merge first."""
    return sum(span.length_s for span in spans)
