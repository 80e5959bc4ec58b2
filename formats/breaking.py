"""Where a line of text may be broken.

Decided by script, not by language: a translation of Japanese is English, and Japanese
text holds English names. What may not begin or end a line is a short list of the plain
cases of Japanese and Thai typesetting, no dictionary.
"""

import re
import unicodedata
from collections.abc import Iterator

# Scripts written without blanks: Thai, Lao, Tibetan, Myanmar, Khmer, kana, CJK and their
# full-width punctuation. Hangul is absent: Korean puts blanks between words.
UNSPACED = (
    r"\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff"
    r"\u2e80-\u2fff\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f"
    r"\U00020000-\U0003ffff"
)
# Opening brackets, and the vowels that Thai and Lao write before their consonant.
NEVER_LAST = frozenset("([{“‘《〈「『【〔（［｛เแโใไເແໂໃໄ")  # noqa: RUF001 - full-width on purpose
# Small kana, the long vowel and repetition marks; vowels that follow their consonant.
NEVER_FIRST = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶー々ゝゞะาำๅະາຳ")

# Line breaks, tabs and runs of blanks, but no blank that forbids a break (NBSP and kin).
BLANKS = re.compile(r"[^\S\u00a0\u2007\u202f]+")
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]+")
RUNS = re.compile(r"[^ ]+")
# After a hyphen inside a word, and on both sides of a character of an unspaced script.
BREAKS = re.compile(rf"(?<=\w-)(?=\w)|(?<=[{UNSPACED}])(?=.)|(?<=.)(?=[{UNSPACED}])")


def clean(text: str) -> str:
    """The text on one line: no control characters, blanks single, outer blanks kept."""
    return BLANKS.sub(" ", CONTROLS.sub("", text))


def chunks(text: str, *, max_width: int) -> Iterator[tuple[int, int]]:
    """Ranges of a cleaned text that each stay on one line, blanks left out.

    A range longer than `max_width` characters is cut inside: no line may be longer.
    """
    for run in RUNS.finditer(text):
        start = run.start()
        for end in [*_breaks(text, run), run.end()]:
            yield from _fit(text, start, end, max_width)
            start = end


def _breaks(text: str, run: re.Match[str]) -> Iterator[int]:
    for match in BREAKS.finditer(text, run.start(), run.end()):
        place = match.start()
        if place > run.start() and not _clings(text[place - 1], text[place]):
            yield place


def _clings(before: str, after: str) -> bool:
    if before in NEVER_LAST or after in NEVER_FIRST:
        return True
    is_mark_or_closing = unicodedata.category(after)[0] in "MP"
    return is_mark_or_closing and after not in NEVER_LAST


def _fit(text: str, start: int, end: int, max_width: int) -> Iterator[tuple[int, int]]:
    while end - start > max_width:
        cut = start + max_width
        while cut > start + 1 and unicodedata.category(text[cut]).startswith("M"):
            cut -= 1  # an accent stays with its letter
        yield start, cut
        start = cut
    yield start, end
