"""WAVE files built chunk by chunk, plain ones and odd ones."""

import struct

import numpy as np

from tests.recordings import synthesise_speechlike

SECONDS = 0.5
SOUND = (synthesise_speechlike(SECONDS) * 32767).astype("<i2").tobytes()
EXTENSIBLE_PCM = struct.pack("<HHI", 16, 4, 1) + bytes.fromhex("000000001000800000aa00389b71")


def chunk(name, body, size=None):
    """One chunk with its padding; `size` is what its header claims, if not the truth."""
    header = struct.pack("<4sI", name, len(body) if size is None else size)
    return header + body + bytes(len(body) % 2)


def format_chunk(code=1, channels=1, rate=16_000, bits=16, extra=b""):
    frame = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits) + extra
    )


def wav(*chunks, riff_size=None):
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body) if riff_size is None else riff_size) + body


FORMAT = format_chunk()
DATA = chunk(b"data", SOUND)
TITLE = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a title"))
NOISE = np.random.default_rng(3).integers(-32768, 32768, 9000).astype("<i2").tobytes()

# What is read here.
PLAIN = {
    "nothing_but_sound": wav(FORMAT, DATA),
    "format_of_18_bytes": wav(format_chunk(extra=b"\0\0"), DATA),
    "list_before": wav(FORMAT, TITLE, DATA),
    "list_after": wav(FORMAT, DATA, TITLE),
    "junk_of_odd_size_first": wav(chunk(b"JUNK", b"odd"), FORMAT, DATA),
    "fact_and_filler": wav(FORMAT, chunk(b"fact", bytes(4)), chunk(b"FLLR", bytes(333)), DATA),
    "empty_list_of_texts": wav(FORMAT, chunk(b"LIST", b"INFO"), DATA),
    "list_that_is_damaged": wav(FORMAT, chunk(b"LIST", b"INFO" + b"\xff" * 40), DATA),
    "wrong_riff_size": wav(FORMAT, DATA, riff_size=4),
    "unknown_riff_size": wav(FORMAT, DATA, riff_size=0xFFFF_FFFF),
    "one_sample": wav(FORMAT, chunk(b"data", b"\x39\x30")),
    "full_scale": wav(FORMAT, chunk(b"data", struct.pack("<5h", -32768, 32767, 0, -1, 1) * 50)),
    "noise": wav(FORMAT, chunk(b"data", NOISE)),
}

# What is left to ffmpeg, whatever it makes of it.
ODD = {
    "size_zero": wav(FORMAT, chunk(b"data", SOUND, size=0)),
    "size_unknown": wav(FORMAT, chunk(b"data", SOUND, size=0xFFFF_FFFF)),
    "size_of_a_pipe": wav(FORMAT, chunk(b"data", SOUND, size=0x7FFF_F000)),
    "truncated": wav(FORMAT, DATA)[:-4000],
    "truncated_by_a_byte": wav(FORMAT, DATA)[:-1],
    "half_a_sample": wav(FORMAT, chunk(b"data", SOUND[:-1])),
    "bytes_behind": wav(FORMAT, DATA) + b"abc",
    "zeros_behind": wav(FORMAT, DATA) + bytes(5000),
    "second_sound": wav(FORMAT, DATA, DATA),
    "second_sound_behind_a_list": wav(FORMAT, DATA, TITLE, DATA),
    "second_format": wav(FORMAT, FORMAT, DATA),
    "format_behind": wav(DATA, FORMAT),
    "no_format": wav(DATA),
    "no_sound": wav(FORMAT),
    "list_too_short": wav(FORMAT, chunk(b"LIST", b"ab"), DATA),
    "list_beyond_the_end": wav(FORMAT, DATA, chunk(b"LIST", b"INFO", size=99)),
    "unknown_chunk": wav(FORMAT, chunk(b"bext", bytes(10)), DATA),
    "eight_bits": wav(format_chunk(bits=8), DATA),
    "float": wav(format_chunk(code=3, bits=32), DATA),
    "mu_law": wav(format_chunk(code=7, bits=8), DATA),
    "stereo": wav(format_chunk(channels=2), DATA),
    "rate_8000": wav(format_chunk(rate=8000), DATA),
    "rate_48000": wav(format_chunk(rate=48_000), DATA),
    "extensible": wav(
        format_chunk(code=0xFFFE, extra=struct.pack("<H", 22) + EXTENSIBLE_PCM), DATA
    ),
    "extension_unused": wav(format_chunk(extra=b"\2\0ab"), DATA),
    "wrong_byte_rate": wav(
        chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 16_000, 2, 16)), DATA
    ),
    "big_endian": b"RIFX" + wav(FORMAT, DATA)[4:],
    "wide": b"RF64" + wav(FORMAT, DATA)[4:],
    "header_alone": wav(),
    "half_a_header": b"RIFF\0\0",
}
