"""Word error rate as it is published for Whisper: its own normalisers, then edit distance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jiwer

# Written without blanks between words: one sign counts as one word, as in the Whisper paper.
WITHOUT_BLANKS = frozenset({"zh", "yue", "ja", "th", "lo", "my"})


@dataclass(frozen=True)
class WordErrors:
    """Counts of one text, or the sum over several."""

    words: int = 0  # of the reference
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """All three kinds together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def percent(self) -> float:
        """Errors per hundred words of the reference; may exceed 100. 0 without words."""
        return 100 * self.errors / self.words if self.words else 0.0

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def count_word_errors(reference: str, heard: str, language: str) -> WordErrors:
    """Compare what was heard with what was said; no words where the reference has none."""
    said = normalise(reference, language)
    if not said:
        return WordErrors()
    counts = jiwer.process_words(said, normalise(heard, language))
    return WordErrors(
        words=counts.hits + counts.substitutions + counts.deletions,
        substitutions=counts.substitutions,
        deletions=counts.deletions,
        insertions=counts.insertions,
    )


def normalise(text: str, language: str) -> str:
    """The text without what spelling and punctuation add, words parted by blanks."""
    return " ".join(_normaliser(language)(text).split())


@cache
def _normaliser(language: str) -> Callable[[str], str]:
    # Late: the package brings torch along, and most benchmarks need neither.
    from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

    normaliser: Callable[[str], str] = (
        EnglishTextNormalizer()
        if language == "en"
        else BasicTextNormalizer(split_letters=language in WITHOUT_BLANKS)
    )
    return normaliser
