"""What the first bytes of a file say, for files that ffmpeg must not or cannot open."""

import struct
from pathlib import Path
from typing import BinaryIO

from domain.errors import AudioEmpty, AudioGone, AudioStreamMissing, AudioUnreadable

HEAD_BYTES = 64

PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
PLAYLISTS = (b"#extm3u", b"ffconcat", b"[playlist]", b"<?xml", b"<mpd", b"<asx", b"v=0")

# Sizes that programs write when they do not know the size yet.
UNKNOWN_SIZES = (range(1), range(0x7FFF_F000, 0x8000_0000), range(0xFFFF_FF00, 0x1_0000_0000))
MAX_CHUNKS = 32  # before `data`: tags, broadcast information, padding


def refuse_by_signature(path: Path) -> None:
    """Raise unless `path` is a regular file with bytes that may be sound.

    Raises AudioGone, AudioEmpty for no bytes, AudioStreamMissing for a picture, and
    AudioUnreadable for a playlist or anything that is not a regular file.
    """
    try:
        if not path.is_file():
            raise _not_a_file(path)
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise _not_a_file(path) from error
    if not head:
        raise AudioEmpty("the file is empty")
    picture = picture_kind(head)
    if picture:
        raise AudioStreamMissing(f"the file is a {picture} picture and has no sound")
    if is_playlist(head):
        raise AudioUnreadable("the file is a playlist or a text, not a recording")


def _not_a_file(path: Path) -> AudioGone | AudioUnreadable:
    if path.exists():
        return AudioUnreadable("the recording is not a regular file")
    return AudioGone("the recording was removed and cannot be read any more")


def picture_kind(head: bytes) -> str | None:
    """Name of the picture format that these first bytes belong to, or None."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # "BM" alone could begin a text
        return "BMP"
    return next((name for magic, name in PICTURES if head.startswith(magic)), None)


def is_playlist(head: bytes) -> bool:
    """Whether these first bytes begin a text that lists other files."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PLAYLISTS)


def wav_claim_s(path: Path) -> float | None:
    """Length in seconds that a RIFF WAVE header claims, or None where it claims none.

    ffmpeg reports what the file's size allows in place of a claim that exceeds it, which
    hides that a recording was cut off.
    """
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        return _claim_of_chunks(stream)


def _claim_of_chunks(stream: BinaryIO) -> float | None:
    bytes_per_s = 0
    for _ in range(MAX_CHUNKS):
        header = stream.read(8)
        if len(header) < 8:  # noqa: PLR2004 - a chunk's name and size, 4 bytes each
            return None
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            is_unknown = any(size in sizes for sizes in UNKNOWN_SIZES)
            return None if is_unknown or not bytes_per_s else float(size / bytes_per_s)
        body_start = stream.tell()
        if name == b"fmt ":
            body = stream.read(12)
            bytes_per_s = int.from_bytes(body[8:12], "little")
        stream.seek(body_start + size + size % 2)  # chunks are padded to an even size
    return None
