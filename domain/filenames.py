"""File names of clients and of other servers: kept for display only, never used as a path."""

import re
import unicodedata
from pathlib import PurePosixPath

MAX_CHARS = 255
MAX_SUFFIX_CHARS = 16
# Marks that turn the reading direction can make "exe.3pm" look like "mp3.exe".
DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def clean_filename(name: str | None) -> str | None:
    """The last part of a name, printable, at most 255 characters; None when nothing is left."""
    if not name:
        return None
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(c for c in last if _is_printable(c)).strip()
    if not kept.strip(". "):
        return None
    if len(kept) <= MAX_CHARS:
        return kept
    suffix = PurePosixPath(kept).suffix
    if len(suffix) > MAX_SUFFIX_CHARS:
        suffix = ""
    return kept[: MAX_CHARS - len(suffix)] + suffix


def _is_printable(character: str) -> bool:
    return unicodedata.category(character) not in UNPRINTABLE and character not in DIRECTION_MARKS
