"""The words of a transcript as ElevenLabs counts them: words, and what stands between them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.transcript import Segment, Transcript

SMALLEST_PROBABILITY = 1e-9  # its logarithm is finite, which JSON insists on


@dataclass(frozen=True)
class Piece:
    """A word, or the blanks between two words. Times in seconds; None where nobody asked."""

    text: str
    type: Literal["word", "spacing"]
    start: float | None
    end: float | None
    logprob: float


def make_pieces(transcript: Transcript) -> list[Piece]:
    """The whole text in order: the pieces' texts, joined, are the transcript's text.

    A segment whose words do not add up to its text is taken to be spoken evenly. Where words
    were not asked for there are no times.
    """
    pieces: list[Piece] = []
    blanks = ""
    for word in _raw_words(transcript.segments):
        core = word.text.strip()
        if not core:
            blanks += word.text
            continue
        blanks += word.text[: len(word.text) - len(word.text.lstrip())]
        if blanks and pieces:
            pieces.append(_between(pieces[-1], word, blanks))
        pieces.append(Piece(core, "word", word.start, word.end, word.logprob))
        blanks = word.text[len(word.text.rstrip()) :]
    return pieces


def spread(text: str, start: float, end: float) -> Iterator[tuple[str, float, float]]:
    """Each character with its share of the time, all taken to last equally long."""
    step = (end - start) / max(1, len(text))
    for index, character in enumerate(text):
        yield character, start + index * step, start + (index + 1) * step


@dataclass(frozen=True)
class _Raw:
    text: str  # with the blanks around it
    start: float | None
    end: float | None
    logprob: float


def _raw_words(segments: Sequence[Segment]) -> Iterator[_Raw]:
    for segment in segments:
        words = segment.words
        if words is not None and "".join(word.word for word in words) == segment.text:
            for word in words:
                known = word.probability is not None
                logprob = _log(word.probability or 0.0) if known else _average(segment)
                yield _Raw(word.word, word.start, max(word.start, word.end), logprob)
        else:
            yield from _evenly(segment, has_times=words is not None)


def _evenly(segment: Segment, *, has_times: bool) -> Iterator[_Raw]:
    """The words of a segment by its blanks, each as long as its share of the characters."""
    step = (segment.end - segment.start) / max(1, len(segment.text))
    position = 0
    for text in _split(segment.text):
        begin = position + len(text) - len(text.lstrip())
        position += len(text)
        start = segment.start + begin * step if has_times else None
        end = segment.start + position * step if has_times else None
        yield _Raw(text, start, end, _average(segment))


def _split(text: str) -> Iterator[str]:
    """Each word with the blanks before it; blanks at the end by themselves."""
    begin = 0
    for index in range(1, len(text) + 1):
        is_end = index == len(text) or (text[index].isspace() and not text[index - 1].isspace())
        if is_end:
            yield text[begin:index]
            begin = index


def _between(before: Piece, word: _Raw, blanks: str) -> Piece:
    if before.end is None or word.start is None:
        return Piece(blanks, "spacing", None, None, 0.0)
    # Words may overlap by a frame; what stands between them then takes no time.
    return Piece(blanks, "spacing", before.end, max(before.end, word.start), 0.0)


def _average(segment: Segment) -> float:
    """What is known of every word of a segment when nothing is known of one."""
    logprob = segment.avg_logprob
    return 0.0 if logprob is None or not math.isfinite(logprob) else min(0.0, logprob)


def _log(probability: float) -> float:
    if not math.isfinite(probability):
        return 0.0
    return min(0.0, math.log(max(probability, SMALLEST_PROBABILITY)))
