"""Text as some clients ask for it: without punctuation, without capital letters.

Whisper writes both, and there is no way to ask it not to.
"""

import re
import unicodedata
from dataclasses import replace

from domain.transcript import Segment, Transcript

SPOKEN = frozenset("%&@#/*")  # stand for words
WIDE = re.compile(r"[\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff1f\u30fb]")
BLANKS = re.compile(r" {2,}")


def without_punctuation(text: str) -> str:
    """The text without marks; those inside a word stay: `don't`, `well-known`, `3.5`."""
    kept = [
        letter
        for place, letter in enumerate(text)
        if not _is_mark(letter) or _is_inside_word(text, place)
    ]
    return BLANKS.sub(" ", "".join(kept))


def bare_word(word: str) -> str:
    """A word alone, in small letters; as it is where nothing would be left."""
    return without_punctuation(word).strip().lower() or word.strip()


def unformatted(transcript: Transcript, *, punctuated: bool, capitalised: bool) -> Transcript:
    """The same transcript without what is not wanted, in its segments and in its words."""
    if punctuated and capitalised:
        return transcript

    def write(text: str) -> str:
        text = text if punctuated else without_punctuation(text)
        return text if capitalised else text.lower()

    def write_segment(segment: Segment) -> Segment:
        words = segment.words
        if words is not None:
            words = tuple(replace(word, word=write(word.word)) for word in words)
        return replace(segment, text=write(segment.text), words=words)

    return replace(transcript, segments=tuple(map(write_segment, transcript.segments)))


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter).startswith("P") and letter not in SPOKEN


def _is_inside_word(text: str, place: int) -> bool:
    # East Asian marks stand between letters without blanks, and are marks all the same.
    if place == 0 or place + 1 == len(text) or WIDE.match(text[place]):
        return False
    return text[place - 1].isalnum() and text[place + 1].isalnum()
