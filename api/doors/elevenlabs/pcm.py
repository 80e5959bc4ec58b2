"""Bare samples as a recording: they get the header of a WAVE file in front."""

import struct
from typing import Protocol

from api.doors.problem import Refused
from storage.base import Upload

SAMPLE_RATE_HZ = 16_000
SAMPLE_BYTES = 2  # 16 bits, mono
COPY_BYTES = 1024 * 1024
PCM = 1  # the format's number in a WAVE header
HEADER_BYTES = 36  # of those that the outer length counts
MAX_DATA_BYTES = 0xFFFF_FFFF - HEADER_BYTES


class Readable(Protocol):
    """What can be read from where it stands."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


def wrap_samples(samples: Readable, target: Upload, *, size_bytes: int) -> None:
    """Write `size_bytes` of 16-bit samples at 16 kHz, mono, into `target` as a WAVE file.

    Raises Refused for what cannot be such samples, and as `Upload.write`.
    """
    if size_bytes % SAMPLE_BYTES or size_bytes > MAX_DATA_BYTES:
        raise Refused(
            "file_format", f"file_format: {size_bytes} bytes are no 16-bit samples of a recording"
        )
    target.write(wave_header(size_bytes))
    while chunk := samples.read(COPY_BYTES):
        target.write(chunk)


def wave_header(data_bytes: int) -> bytes:
    """The 44 bytes before the samples (RIFF WAVE, PCM)."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        HEADER_BYTES + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        PCM,
        1,
        SAMPLE_RATE_HZ,
        SAMPLE_RATE_HZ * SAMPLE_BYTES,
        SAMPLE_BYTES,
        8 * SAMPLE_BYTES,
        b"data",
        data_bytes,
    )
