"""File names of clients: kept for display only, never used as a path."""

import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import quote

MAX_CHARS = 255
MAX_SUFFIX_CHARS = 16
# Marks that turn the reading direction can make "exe.3pm" look like "mp3.exe".
DIRECTION_MARKS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})

# What a browser may be told that a recording is; anything else is only bytes to it.
SAFE_AUDIO_TYPES = frozenset(
    {
        "application/ogg",
        "audio/3gpp",
        "audio/aac",
        "audio/amr",
        "audio/flac",
        "audio/m4a",
        "audio/mp3",
        "audio/mp4",
        "audio/mpeg",
        "audio/ogg",
        "audio/opus",
        "audio/wav",
        "audio/wave",
        "audio/webm",
        "audio/x-flac",
        "audio/x-m4a",
        "audio/x-wav",
        "video/mp4",
        "video/quicktime",
        "video/webm",
        "video/x-matroska",
    }
)


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


def attachment(filename: str | None, *, fallback: str, extension: str | None = None) -> str:
    """A Content-Disposition for this name, in ASCII and, as RFC 6266 has it, in UTF-8."""
    name = filename or fallback
    if extension:
        name = f"{PurePosixPath(name).stem or fallback}.{extension}"
    plain = "".join(c if c.isascii() and c not in '"\\%' else "_" for c in name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def safe_audio_type(content_type: str | None) -> str:
    """The media type when it is a known audio or video type, else `application/octet-stream`."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type if media_type in SAFE_AUDIO_TYPES else "application/octet-stream"


def _is_printable(character: str) -> bool:
    return unicodedata.category(character) not in UNPRINTABLE and character not in DIRECTION_MARKS
