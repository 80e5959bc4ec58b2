"""From the times of tokens to words of segments, by the rules of openai-whisper.

Alignment gives the silence between two sentences to one of the words beside it. These rules take
it back: by the usual length of a word, and by the time stamps of the segments.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from statistics import median
from typing import Self

from whisper.tokenizer import Tokenizer

from domain.transcript import Segment, Word
from engines.batched.alignment import TokenTimes

SENTENCE_ENDS = ".。!！?？"  # noqa: RUF001 - as Chinese and Japanese write them
OPENING_MARKS = "\"'“¿([{-"  # written with the word that follows
CLOSING_MARKS = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - and with the word before
MAX_USUAL_S = 0.7  # beyond it the median says more about the pauses than about the words
STAMP_TRUST_S = 0.5  # a word that reaches so far over a segment's time stamp is cut there


@dataclass
class TimedWord:
    """A word while its times are settled; the segment that it belongs to follows from `tokens`."""

    text: str
    tokens: int
    start_s: float
    end_s: float
    probability: float

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class UsualLength:
    """How long words of a window are."""

    median_s: float

    @property
    def longest_s(self) -> float:
        """Beyond it a word beside a pause has taken some of the pause."""
        return self.median_s * 2

    @classmethod
    def of(cls, words: Sequence[TimedWord]) -> Self:
        """Of the words that have a length; 0 without any."""
        lengths = [word.length_s for word in words if word.length_s]
        return cls(min(MAX_USUAL_S, median(lengths)) if lengths else 0.0)


def give_words(
    segments: Sequence[Segment],
    times: TokenTimes,
    tokenizer: Tokenizer,
    *,
    offset_s: float,
    speech_from_s: float,
) -> list[Segment]:
    """The segments of one window with their words, and with times that follow them.

    `times` are of all their text; they start at `offset_s` in the recording, and nobody spoke
    just before `speech_from_s`.
    """
    texts = [[t for t in segment.tokens if t < tokenizer.eot] for segment in segments]
    words = group_tokens([t for text in texts for t in text], times, tokenizer)
    usual = UsualLength.of(words)
    shorten_at_sentence_ends(words, usual)
    join_marks(words)
    for word in words:
        word.start_s = round(offset_s + word.start_s, 2)
        word.end_s = round(offset_s + word.end_s, 2)
    timed = []
    for segment, own in zip(segments, _share_out(words, map(len, texts)), strict=True):
        timed.append(fit_segment(segment, own, usual, speech_from_s) if own else segment)
        if own:
            speech_from_s = timed[-1].end
    return [replace(s, words=s.words or ()) for s in timed]


def group_tokens(tokens: Sequence[int], times: TokenTimes, tokenizer: Tokenizer) -> list[TimedWord]:
    """The words of a text, marks apart, with times from the beginning of the window."""
    texts, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    bounds = [0, *accumulate(map(len, groups))]
    if bounds[-1] > len(tokens):
        del bounds[-1]  # of the end token
    elif bounds[-1] < len(tokens):  # characters that are never completed
        bounds.append(len(tokens))
        texts.append(tokenizer.decode(tokens[bounds[-2] :]))
    return [
        TimedWord(
            text=text,
            tokens=behind - first,
            start_s=float(times.bounds_s[first]),
            end_s=float(times.bounds_s[behind]),
            probability=float(times.probabilities[first:behind].mean()),
        )
        for text, (first, behind) in zip(texts, pairwise(bounds), strict=False)
    ]


def shorten_at_sentence_ends(words: Sequence[TimedWord], usual: UsualLength) -> None:
    """Take the pause from a mark that ends a sentence, or from the word behind it."""
    for before, word in pairwise(words):
        if usual.median_s and word.length_s > usual.longest_s:
            if word.text in SENTENCE_ENDS:
                word.end_s = word.start_s + usual.longest_s
            elif before.text in SENTENCE_ENDS:
                word.start_s = word.end_s - usual.longest_s


def join_marks(words: Sequence[TimedWord]) -> None:
    """Write marks with their words. What is left of a mark has neither text nor tokens."""
    following = len(words) - 1
    for number in range(len(words) - 2, -1, -1):
        mark, word = words[number], words[following]
        if mark.text.startswith(" ") and mark.text.strip() in OPENING_MARKS:
            _move_text(mark, word, mark.text + word.text)
        else:
            following = number
    previous = 0
    for number in range(1, len(words)):
        word, mark = words[previous], words[number]
        if not word.text.endswith(" ") and mark.text in CLOSING_MARKS:
            _move_text(mark, word, word.text + mark.text)
        else:
            previous = number


def _move_text(mark: TimedWord, word: TimedWord, joined: str) -> None:
    word.text, mark.text = joined, ""
    word.tokens, mark.tokens = word.tokens + mark.tokens, 0


def _share_out(words: Iterable[TimedWord], lengths: Iterable[int]) -> Iterator[list[TimedWord]]:
    """The words of each segment, by how many tokens its text has."""
    waiting = deque(words)
    for length in lengths:
        taken, own = 0, []
        while waiting and taken < length:
            word = waiting.popleft()
            taken += word.tokens
            if word.text:
                own.append(word)
        yield own


def fit_segment(
    segment: Segment, words: Sequence[TimedWord], usual: UsualLength, speech_from_s: float
) -> Segment:
    """The segment with its words, of which there is at least one; the one gives way where the
    other is more credible. Before `speech_from_s` somebody spoke, or it is the window's start.
    """
    first, last = words[0], words[-1]
    if first.end_s - speech_from_s > usual.median_s * 4:
        _shorten_after_pause(words, usual)
    start_s, end_s = segment.start, segment.end
    if start_s < first.end_s and start_s - STAMP_TRUST_S > first.start_s:
        first.start_s = max(0.0, min(first.end_s - usual.median_s, start_s))
    else:
        start_s = first.start_s
    if end_s > last.start_s and end_s + STAMP_TRUST_S < last.end_s:
        last.end_s = max(last.start_s + usual.median_s, end_s)
    else:
        end_s = last.end_s
    found = tuple(Word(w.text, w.start_s, w.end_s, w.probability) for w in words)
    return replace(segment, start=start_s, end=end_s, words=found)


def _shorten_after_pause(words: Sequence[TimedWord], usual: UsualLength) -> None:
    first, *rest = words[:2]
    longest_s = usual.longest_s
    is_long = first.length_s > longest_s
    if not is_long and not any(second.end_s - first.start_s > longest_s * 2 for second in rest):
        return
    for second in rest:
        if second.length_s > longest_s:
            first.end_s = second.start_s = max(second.end_s / 2, second.end_s - longest_s)
    first.start_s = max(0.0, first.end_s - longest_s)
