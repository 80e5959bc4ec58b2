"""Several texts of one window, followed side by side until it shows which of them is likelier.

Greedy search takes the likeliest token at once, also where another one is nearly as likely and
the next words would tell. A beam follows so many texts all the time, however sure the model is.
Here a text is forked only where the model hesitates between two words; and of two texts that
have written the same for a few tokens again, the less likely is dropped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# In log probability, chosen on the development recordings: see docs/decisions/027.
FORK_WITHIN = 1.2  # a word this much less likely than the likeliest is followed as well
DROP_BEHIND = 1.6  # a text this much less likely than the likeliest is dropped
SAME_TOKENS = 4  # in a row, timestamps aside, after which two texts are one
MOST_AHEAD = 2  # tokens by which one of them may have spent more on the same words


@dataclass(frozen=True)
class Choice:
    """A token that may come next, and its log probability."""

    token: int
    logprob: float


@dataclass
class Hypothesis:
    """One way to write the window so far."""

    row: int  # where its keys and values lie
    tokens: list[int] = field(default_factory=list)
    sum_logprob: float = 0.0
    words: list[int] = field(default_factory=list)  # its tokens without timestamps
    sums: list[float] = field(default_factory=list)  # `sum_logprob` after each of `words`


@dataclass(frozen=True)
class Growth:
    """A hypothesis after one more token: the row it was in, the row it is in now, the token."""

    source: int
    row: int
    token: int


class WindowSearch:
    """The hypotheses of one window, each in a row of its own."""

    def __init__(self, rows: Sequence[int], *, end: int, stamps_from: int) -> None:
        """With one row, search is greedy. `end` is the token that ends a text; words are below
        it, timestamps from `stamps_from` on.
        """
        self.hypotheses = [Hypothesis(rows[0])]  # that are still written, the likeliest first
        self.best: Hypothesis | None = None  # of those that have ended
        self._free = list(rows[1:])
        self._end = end
        self._stamps_from = stamps_from

    def advance(self, choices: Iterable[Sequence[Choice]]) -> list[Growth]:
        """Write on, given the likeliest tokens of each hypothesis, the likeliest first.

        Returns how those grew that are still written, in the order of `hypotheses`.
        """
        grown = [
            (parent, choice, parent.sum_logprob + choice.logprob)
            for parent, likely in zip(self.hypotheses, choices, strict=True)
            for choice in self._followed(likely)
        ]
        grown.sort(key=lambda each: -each[2])
        least = grown[0][2] - DROP_BEHIND
        children = []
        for parent, choice, total in grown:
            if total < least:
                break
            if choice.token == self._end:
                self._finish(Hypothesis(parent.row, parent.tokens, total))
            else:
                children.append(self._child(parent, choice.token, total))
        if self.best is not None:  # no text becomes likelier as it grows
            ended = self.best.sum_logprob
            children = [child for child in children if child.sum_logprob > ended]
        room = len(self.hypotheses) + len(self._free)
        return self._settle(_without_doubles(children)[:room])

    def stop(self) -> None:
        """End the hypotheses where they are: there is no room for longer ones."""
        self.best = self.best or self.hypotheses[0]
        self.hypotheses = []

    def _followed(self, likely: Sequence[Choice]) -> Sequence[Choice]:
        """The likeliest, and other words that are nearly as likely."""
        first = likely[0]
        if first.token >= self._end:
            return likely[:1]
        least = first.logprob - FORK_WITHIN
        return [each for each in likely if each.token < self._end and each.logprob >= least]

    def _child(self, parent: Hypothesis, token: int, total: float) -> Hypothesis:
        """In its parent's row until `_settle` gives it one."""
        child = Hypothesis(parent.row, [*parent.tokens, token], total, parent.words, parent.sums)
        if token < self._stamps_from:
            child.words, child.sums = [*parent.words, token], [*parent.sums, total]
        return child

    def _finish(self, hypothesis: Hypothesis) -> None:
        if self.best is None or hypothesis.sum_logprob > self.best.sum_logprob:
            self.best = hypothesis

    def _settle(self, children: list[Hypothesis]) -> list[Growth]:
        """Give each a row of its own: the likeliest child of a hypothesis stays in its row."""
        sources = [child.row for child in children]
        self._free += [each.row for each in self.hypotheses if each.row not in sources]
        taken = set()
        for child in children:
            if child.row in taken:
                child.row = self._free.pop()
            taken.add(child.row)
        self.hypotheses = children
        return [
            Growth(source, child.row, child.tokens[-1])
            for source, child in zip(sources, children, strict=True)
        ]


def _without_doubles(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Without those that write what a likelier one does; given and returned likeliest first."""
    kept: list[Hypothesis] = []
    for one in hypotheses:
        doubles = [(other, _less_likely(other, one)) for other in kept]
        kept = [other for other, worse in doubles if worse is not other]
        if all(worse is not one for _, worse in doubles):
            kept.append(one)
    return kept


def _less_likely(one: Hypothesis, other: Hypothesis) -> Hypothesis | None:
    """Of two that write the same by now, compared where they do; None while they do not."""
    for ahead in range(MOST_AHEAD + 1):
        if _has_caught_up(one, other, ahead):
            return other if one.sums[-1] >= other.sums[-1 - ahead] else one
        if _has_caught_up(other, one, ahead):
            return one if other.sums[-1] >= one.sums[-1 - ahead] else other
    return None


def _has_caught_up(behind: Hypothesis, before: Hypothesis, ahead: int) -> bool:
    """Whether `behind` writes now what `before` wrote `ahead` words ago."""
    until = len(before.words) - ahead
    if min(until, len(behind.words)) < SAME_TOKENS:
        return False
    return behind.words[-SAME_TOKENS:] == before.words[until - SAME_TOKENS : until]
