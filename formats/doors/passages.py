"""What the words of a transcript form for a reader: sentences, paragraphs, utterances."""

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.transcript import Segment, Transcript, Word

ENDS = (".", "!", "?", "…", "。", "！", "？", "｡", "؟", "।")  # noqa: RUF001 - East Asia's are meant
CLOSING = ("Pe", "Pf")  # Unicode's categories of brackets and quotes that close
# A full stop after one of these ends no sentence; nor does one after a single letter.
ABBREVIATIONS = frozenset(
    {"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "etc.", "jr.", "sr."}
)
PARAGRAPH_PAUSE_S = 1.5  # longer than anybody breathes between two sentences of one thought
PARAGRAPH_SENTENCES = 5


@dataclass(frozen=True)
class Passage:
    """Words that follow each other; there is at least one. Times in seconds."""

    words: tuple[Word, ...]

    @property
    def start(self) -> float:
        """When the first word begins."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """When the last word ends."""
        return self.words[-1].end

    @property
    def text(self) -> str:
        """The words as they stand in the transcript."""
        return "".join(word.word for word in self.words).strip()

    @property
    def confidence(self) -> float:
        """Mean probability of the words, from 0 to 1; those of unknown probability count as 0."""
        return sum(word.probability or 0.0 for word in self.words) / len(self.words)


def timed_words(transcript: Transcript) -> tuple[Word, ...]:
    """All words in order, none of them blank.

    Where a segment's words were not timed, its text is taken to be spoken evenly.
    """
    return tuple(
        word
        for segment in transcript.segments
        for word in segment.words or _evenly(segment)
        if word.word.strip()
    )


def sentences(words: Sequence[Word]) -> list[Passage]:
    """The words cut after each mark that ends a sentence."""
    return _cut(words, lambda before, _: _ends_sentence(before.word))


def utterances(words: Sequence[Word], pause_s: float) -> list[Passage]:
    """The words cut wherever nobody speaks for at least `pause_s` seconds."""
    return _cut(words, lambda before, after: after.start - before.end >= pause_s)


def paragraphs(found: Sequence[Passage]) -> list[list[Passage]]:
    """Sentences in groups: a long pause begins a new one, and so do enough sentences."""
    groups: list[list[Passage]] = []
    for sentence in found:
        is_new = (
            not groups
            or len(groups[-1]) == PARAGRAPH_SENTENCES
            or sentence.start - groups[-1][-1].end >= PARAGRAPH_PAUSE_S
        )
        if is_new:
            groups.append([])
        groups[-1].append(sentence)
    return groups


def joined(passages: Sequence[Passage]) -> Passage:
    """Passages that follow each other, as one."""
    return Passage(tuple(word for passage in passages for word in passage.words))


def _cut(words: Sequence[Word], is_cut: Callable[[Word, Word], bool]) -> list[Passage]:
    if not words:
        return []
    cuts = [n for n, pair in enumerate(pairwise(words), start=1) if is_cut(*pair)]
    edges = [0, *cuts, len(words)]
    return [Passage(tuple(words[begin:stop])) for begin, stop in pairwise(edges)]


def _ends_sentence(word: str) -> bool:
    text = word.strip()
    while text and (text[-1] in "\"'" or unicodedata.category(text[-1]) in CLOSING):
        text = text[:-1]
    if not text.endswith(ENDS):
        return False
    is_initial = len(text) == len("J.") and text[0].isalpha() and text[0].isupper()
    return not (text.endswith(".") and (is_initial or text.lower() in ABBREVIATIONS))


def _evenly(segment: Segment) -> Iterator[Word]:
    pieces = segment.text.split()
    step_s = (segment.end - segment.start) / max(1, len(pieces))
    probability = None if segment.avg_logprob is None else math.exp(segment.avg_logprob)
    for number, piece in enumerate(pieces):
        start = segment.start + number * step_s
        yield Word(f" {piece}", start, start + step_s, probability)
