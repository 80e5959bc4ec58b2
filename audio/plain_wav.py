"""16-bit mono PCM of 16 kHz in a WAVE file: samples that need no decoder, only reading.

What is anything but exactly that, and complete, is left to ffmpeg, which knows what to make of
it and what to warn of. (Sound of another codec under such a header, which ffmpeg would look
for, is not: it does not occur at this rate.)
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import BinaryIO

import numpy as np

from audio.signature import MAX_CHUNKS, UNKNOWN_SIZES
from domain.errors import AudioDecodeTimeout, AudioTooLong, Stopped
from engines.base import SAMPLE_RATE_HZ, Samples

BYTES_PER_SAMPLE = 2
# Code 1 (PCM), channels, rate, bytes per second, bytes per sample of all channels, bits.
PLAIN_FORMAT = struct.pack(
    "<HHIIHH", 1, 1, SAMPLE_RATE_HZ, BYTES_PER_SAMPLE * SAMPLE_RATE_HZ, BYTES_PER_SAMPLE, 16
)
PLAIN_FORMATS = (PLAIN_FORMAT, PLAIN_FORMAT + bytes(2))  # the second says: no extension
# Chunks that neither change the sound nor may make ffmpeg refuse the file, and their least size.
HARMLESS = {b"LIST": 4, b"fact": 4, b"JUNK": 0, b"junk": 0, b"PAD ": 0, b"FLLR": 0}
FULL_SCALE = 32_768
BLOCK_SAMPLES = 1 << 20  # 2 MB: how much is read between two questions whether to stop


@dataclass(frozen=True)
class PlainSound:
    """Where the samples of a plain file are."""

    offset_bytes: int
    sample_count: int

    @property
    def duration_s(self) -> float:
        """How long the sound is."""
        return self.sample_count / SAMPLE_RATE_HZ


def find_plain_sound(path: Path) -> PlainSound | None:
    """Where a plain and complete file has its samples; None for any other file."""
    try:
        with path.open("rb") as stream:
            end = stream.seek(0, 2)
            stream.seek(0)
            head = stream.read(12)
            if head[:4] != b"RIFF" or head[8:] != b"WAVE":
                return None
            return _find_in_chunks(stream, end)
    except OSError:
        return None  # ffmpeg meets the same and finds the words for it


def read_plain_sound(
    path: Path,
    sound: PlainSound,
    *,
    max_duration_s: float,
    timeout_s: float,
    should_stop: Callable[[], bool] | None = None,
) -> Samples | None:
    """The samples as float32 from -1 to 1; None when the file is not what it was any more.

    Raises AudioTooLong past `max_duration_s`, AudioDecodeTimeout past `timeout_s`, and Stopped
    soon after `should_stop` turns true.
    """
    if sound.sample_count > int(max_duration_s * SAMPLE_RATE_HZ):
        raise AudioTooLong(
            f"the recording is longer than {max_duration_s:g} s", maximum_s=max_duration_s
        )
    deadline = monotonic() + timeout_s
    samples = np.empty(sound.sample_count, dtype=np.float32)
    try:
        with path.open("rb") as stream:
            stream.seek(sound.offset_bytes)
            for start in range(0, sound.sample_count, BLOCK_SAMPLES):
                if should_stop is not None and should_stop():
                    raise Stopped
                if monotonic() > deadline:
                    raise AudioDecodeTimeout("decoding the recording took too long")
                if not _read_block(stream, samples[start : start + BLOCK_SAMPLES]):
                    return None
    except OSError:
        return None
    return samples


def _read_block(stream: BinaryIO, block: Samples) -> bool:
    """Fill `block` from the stream; False when the stream ends before it is full."""
    data = stream.read(block.size * BYTES_PER_SAMPLE)
    if len(data) < block.size * BYTES_PER_SAMPLE:
        return False
    # A power of two: the division is exact, and the same as in any decoder.
    np.divide(np.frombuffer(data, dtype="<i2"), np.float32(FULL_SCALE), out=block)
    return True


def _find_in_chunks(stream: BinaryIO, end: int) -> PlainSound | None:
    """Read every chunk up to the end: ffmpeg also takes what stands behind the first sound."""
    has_format = False
    sound = None
    for _ in range(MAX_CHUNKS):
        if stream.tell() == end:
            return sound
        header = stream.read(8)
        if len(header) < 8:  # noqa: PLR2004 - a chunk's name and size, 4 bytes each
            return None
        name, size = struct.unpack("<4sI", header)
        start = stream.tell()
        if name == b"fmt " and not has_format and _is_plain_format(stream, size):
            has_format = True
        elif name == b"data" and has_format and sound is None and _is_sound_size(size):
            sound = PlainSound(start, size // BYTES_PER_SAMPLE)
        elif name not in HARMLESS or size < HARMLESS[name]:
            return None
        after = start + size + size % 2  # chunks are padded to an even size
        if after > end:
            return None
        stream.seek(after)
    return None


def _is_plain_format(stream: BinaryIO, size: int) -> bool:
    return size <= len(PLAIN_FORMATS[-1]) and stream.read(size) in PLAIN_FORMATS


def _is_sound_size(size: int) -> bool:
    return size % BYTES_PER_SAMPLE == 0 and not any(size in sizes for sizes in UNKNOWN_SIZES)
