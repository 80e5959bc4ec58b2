"""File names of clients in headers; what is kept of a name says `domain.filenames`."""

from pathlib import PurePosixPath
from urllib.parse import quote

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
