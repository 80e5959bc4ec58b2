"""Why ffmpeg could not read a file, as a sentence for the client."""

import re
from pathlib import Path

from audio.log import FfmpegLog
from domain.errors import AudioError, AudioStreamMissing, AudioUnreadable

MAX_REASON_CHARS = 160

# Lines that say that something failed, not what.
_EMPTY_WORDS = re.compile(
    r"Error (opening|submitting|processing|parsing|sending|while)|Task finished|Terminating thread"
    r"|Nothing was written|Could not open encoder|Failed to set value|Conversion failed"
)

_SENTENCES = (
    ("Format not on whitelist", "its format is not one that is accepted here"),
    ("Not detecting m3u8", "it is a playlist, not a recording"),
    ("moov atom not found", "its index (moov) is missing, so it was cut off or never finished"),
    ("consecutive MPEG audio frames", "no MP3 sound was found in it"),
    ("Failed to read frame size", "no MP3 sound was found in it"),
    ("Header missing", "no MP3 sound was found in it"),
    ("CRC mismatch", "its data is corrupt"),
    ("corrupt input packet", "it is cut off or corrupt"),
    ("Invalid data found", "no sound in a known format was found in it"),
    ("Cannot allocate memory", "decoding it needs more memory than a recording may take"),
    ("Rematrix is needed", "it has many channels and does not say how they are arranged"),
    ("no decoder found", "its sound is coded in a way that cannot be decoded here"),
    ("Permission denied", "it could not be opened"),
)


def explain_refusal(log: FfmpegLog, path: Path, code: int) -> AudioError:
    """The error for a file of which no sample came out: no stream, or why it is unreadable.

    `code` is ffmpeg's exit status, negative when a signal ended it.
    """
    if code < 0:
        return AudioUnreadable("the file could not be decoded: the decoder crashed on it")
    if log.container is not None and log.codec is None:
        what = "is a video without sound" if log.has_video else "has no sound in it"
        return AudioStreamMissing(f"the file {what}")
    return AudioUnreadable(f"the file could not be decoded: {reason_of(log, path)}")


def reason_of(log: FfmpegLog, path: Path) -> str:
    """The cause that ffmpeg names, in plain words, without any path of the server."""
    lines = [*filter(None, [log.first_complaint]), *log.complaints]
    for line in lines:
        for known, sentence in _SENTENCES:
            if known in line:
                return sentence
    telling = next((line for line in lines if not _EMPTY_WORDS.search(line)), None)
    if telling is None:
        return "no sound in a known format was found in it"
    return f"the decoder says {clean(telling, path)!r}"


def clean(line: str, path: Path) -> str:
    """The line without `path`, or any other path, and without unprintable characters."""
    text = line.replace(f"file:{path.absolute()}", "the file").replace(str(path), "the file")
    text = re.sub(r"(file:)?/\S+", "...", text)
    return "".join(c for c in text if c.isprintable())[:MAX_REASON_CHARS].strip()
