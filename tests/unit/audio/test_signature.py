import os
import struct

import pytest

from audio.signature import is_playlist, picture_kind, refuse_by_signature, wav_claim_s
from domain.errors import AudioEmpty, AudioGone, AudioStreamMissing, AudioUnreadable

FORMAT_CHUNK = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16_000, 2, 16)


def wav_with(*chunks: bytes) -> bytes:
    return b"RIFF\0\0\0\0WAVE" + b"".join(chunks)


def data_chunk(size: int) -> bytes:
    return struct.pack("<4sI", b"data", size)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"BM\x36\x10\0\0\0\0\0\0", "BMP"),
        (b"BMW drives past", None),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"\xff\xfb\x90\x00", None),  # MP3
    ],
)
def test_pictures_are_known_by_their_first_bytes(head, kind):
    assert picture_kind(head) == kind


@pytest.mark.parametrize(
    "head",
    [b"#EXTM3U\n", b"\xef\xbb\xbf#EXTM3U\n", b"  \n#extm3u", b"ffconcat version 1.0", b"<?xml"],
)
def test_texts_that_list_other_files_are_known(head):
    assert is_playlist(head)


def test_a_tagged_mp3_is_no_playlist():
    assert not is_playlist(b"ID3\x04\0\0")


def test_a_file_without_bytes_is_empty(tmp_path):
    path = tmp_path / "empty"
    path.touch()

    with pytest.raises(AudioEmpty):
        refuse_by_signature(path)


def test_a_picture_is_refused_before_any_decoder_sees_it(tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))

    with pytest.raises(AudioStreamMissing, match="PNG picture"):
        refuse_by_signature(path)


def test_a_file_that_is_not_there_is_gone_and_its_path_stays_untold(tmp_path):
    with pytest.raises(AudioGone) as caught:
        refuse_by_signature(tmp_path / "removed")

    assert str(tmp_path) not in str(caught.value)


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_for_it(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    with pytest.raises(AudioUnreadable, match="regular file"):
        refuse_by_signature(path)


@pytest.mark.parametrize(
    ("content", "claim_s"),
    [
        (wav_with(FORMAT_CHUNK, data_chunk(32_000)), 2.0),
        (wav_with(b"LIST\x03\0\0\0abc\0", FORMAT_CHUNK, data_chunk(8000)), 0.5),
        (wav_with(FORMAT_CHUNK, data_chunk(0xFFFF_FFFF)), None),
        (wav_with(FORMAT_CHUNK, data_chunk(0x7FFF_F000)), None),
        (wav_with(FORMAT_CHUNK, data_chunk(0)), None),
        (wav_with(data_chunk(32_000)), None),
        (wav_with(FORMAT_CHUNK), None),
        (wav_with(b"JUNK\xff\xff\xff\xff"), None),
        (b"RIFF", None),
        (b"ID3" + bytes(100), None),
    ],
)
def test_the_claim_of_a_wave_header_is_read_where_there_is_one(tmp_path, content, claim_s):
    path = tmp_path / "x.wav"
    path.write_bytes(content)

    assert wav_claim_s(path) == claim_s
