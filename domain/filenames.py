"""File names of clients and of other servers: kept for display only, never used as a path."""

import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import unquote

MAX_CHARS = 255
MAX_SUFFIX_CHARS = 16
# Marks that turn the reading direction can make "exe.3pm" look like "mp3.exe".
DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})

# Charsets by name could be any codec of Python's; the standard demands this one, and knew another.
_EXTENDED_NAME = re.compile(r"\bfilename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)
_PLAIN_NAME = re.compile(r'\bfilename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))', re.IGNORECASE)


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


def name_in_disposition(value: str) -> str | None:
    """The file name in a Content-Disposition (RFC 6266), as it stands there; None without one.

    `value` as HTTP libraries give it, read as Latin-1: names that are UTF-8 without saying so,
    which many servers send, are read as such.
    """
    extended = _EXTENDED_NAME.search(value)
    if extended:
        return unquote(extended[2], encoding=extended[1], errors="replace")
    plain = _PLAIN_NAME.search(value)
    if plain is None:
        return None
    name = plain[2] or re.sub(r"\\(.)", r"\1", plain[1] or "")
    try:
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name


def _is_printable(character: str) -> bool:
    return unicodedata.category(character) not in UNPRINTABLE and character not in DIRECTION_MARKS
