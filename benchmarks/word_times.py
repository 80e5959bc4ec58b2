"""How far apart two lists of the same words lie in time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from statistics import median

from benchmarks.percentile import percentile

NEAR_MS = (50, 100, 200)


@dataclass(frozen=True)
class SpokenWord:
    """A word and its time in seconds."""

    text: str
    start_s: float
    end_s: float

    @property
    def plain(self) -> str:
        """Letters and digits alone, in small letters."""
        return "".join(filter(str.isalnum, self.text.casefold()))


@dataclass(frozen=True)
class Apart:
    """Seconds between two times of the same word; positive where ours is later."""

    start_s: float
    end_s: float


def match_words(
    ours: Sequence[SpokenWord], theirs: Sequence[SpokenWord]
) -> list[tuple[SpokenWord, SpokenWord]]:
    """Pairs of words that stand in both texts, in order; marks and capitals aside."""
    plain, other = ([word.plain for word in words] for words in (ours, theirs))
    matcher = SequenceMatcher(None, plain, other, autojunk=False)
    return [
        (ours[block.a + i], theirs[block.b + i])
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
        if plain[block.a + i]
    ]


def how_far_apart(pairs: Iterable[tuple[SpokenWord, SpokenWord]]) -> list[Apart]:
    """Ours against theirs, pair by pair, to the millisecond."""
    return [
        Apart(round(mine.start_s - word.start_s, 3), round(mine.end_s - word.end_s, 3))
        for mine, word in pairs
    ]


def time_columns(apart: Sequence[Apart]) -> tuple[str, ...]:
    """Median and 90th percentile in ms of starts, then of ends, and percent of both within
    each of `NEAR_MS`; dashes without words.
    """
    if not apart:
        return ("-",) * (4 + len(NEAR_MS))
    starts = [abs(each.start_s) * 1000 for each in apart]
    ends = [abs(each.end_s) * 1000 for each in apart]
    both = starts + ends
    # A millisecond of grace: times are multiples of 20 ms, and so are their distances.
    near = (100 * sum(ms < most + 1 for ms in both) / len(both) for most in NEAR_MS)
    return (
        *(f"{figure:.0f}" for ms in (starts, ends) for figure in (median(ms), percentile(ms, 0.9))),
        *(f"{share:.1f}" for share in near),
    )
