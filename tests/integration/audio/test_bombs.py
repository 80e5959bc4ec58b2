"""Small files that ask for much: hours of samples, other files, other packings."""

import gzip
import io
import select
import socket
import tracemalloc
import zipfile

import pytest

from audio.decode import decode
from audio.probe import probe
from domain.errors import AudioTooLong, AudioUnreadable
from tests.recordings import make_speechlike_wav

BLOCK_SAMPLES = 65_535
RATE_HZ = 1_000
HOURS = 100
BYTES_PER_SECOND = 64_000  # of decoded sound


def crc(data, bits, polynomial):
    """A cyclic checksum as FLAC uses them: not reflected, beginning with 0."""
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
    return value


def flac_frame(number):
    """A block of silence: 17 bytes at most for 65 seconds."""
    head = b"\xff\xf8\x70\x08" + chr(number).encode() + (BLOCK_SAMPLES - 1).to_bytes(2, "big")
    head += bytes([crc(head, 8, 0x07)])
    body = head + b"\x00\x00\x00"  # a constant subframe, and the constant
    return body + crc(body, 16, 0x8005).to_bytes(2, "big")


def write_bomb(path):
    """A FLAC file of HOURS of silence that does not say how long it is."""
    facts = RATE_HZ << 44 | 0 << 41 | 15 << 36  # one channel, 16 bits, length unknown
    block = BLOCK_SAMPLES.to_bytes(2, "big")
    info = block + block + bytes(6) + facts.to_bytes(8, "big") + bytes(16)
    frames = HOURS * 3600 * RATE_HZ // BLOCK_SAMPLES
    with path.open("wb") as stream:
        stream.write(b"fLaC" + b"\x80" + len(info).to_bytes(3, "big") + info)
        for number in range(frames):
            stream.write(flac_frame(number))
    return path


def test_hours_in_a_small_file_end_at_the_limit_and_in_little_memory(ffmpeg, tmp_path):
    bomb = write_bomb(tmp_path / "bomb.flac")
    tracemalloc.start()

    with pytest.raises(AudioTooLong):
        decode(bomb, ffmpeg=ffmpeg, max_duration_s=600, timeout_s=120)

    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bomb.stat().st_size < 100_000
    assert peak_bytes < 3 * 600 * BYTES_PER_SECOND


def test_hours_in_a_small_file_are_not_decoded_to_look_at_it(ffmpeg, tmp_path):
    found = probe(write_bomb(tmp_path / "bomb.flac"), ffmpeg=ffmpeg, timeout_s=30)

    assert (found.codec, found.duration_s) == ("flac", None)


def packed_wav(tmp_path):
    return make_speechlike_wav(tmp_path / "talk.wav", 1.0).read_bytes()


def zipped(content):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        writer.writestr("talk.wav", content)
    return archive.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zipped], ids=["gzip", "zip"])
def test_a_packed_recording_is_not_unpacked(ffmpeg, tmp_path, pack):
    path = tmp_path / "talk.wav.packed"
    path.write_bytes(pack(packed_wav(tmp_path)))

    with pytest.raises(AudioUnreadable):
        probe(path, ffmpeg=ffmpeg, timeout_s=30)


LISTS = {
    "hls": "#EXTM3U\n#EXTINF:10,\n{url}\n",
    "hls_after_blanks": "\n\n \t#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\n{url}\n",
    "hls_with_a_mark": "\ufeff#EXTM3U\n#EXTINF:10,\n{url}\n",
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>',
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\na=x:{url}\n",
    "asx": "<asx version='3.0'><entry><ref href='{url}'/></entry></asx>",
    "pls": "[playlist]\nFile1={url}\n",
    "rtsp_text": "RTSPtextRTSP://{url}\n",
    "reference_movie": "\0\0\0\x08wide rmra rdrf url {url}\0",
}


@pytest.mark.parametrize("name", ["list.mp3", "list.wav", "list.m3u8", "list.flac"])
@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_list_makes_nobody_open_what_it_names(ffmpeg, tmp_path, kind, name, scheme):
    path = tmp_path / name
    secret = make_speechlike_wav(tmp_path / "secret.wav", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"http://127.0.0.1:{listener.getsockname()[1]}/a.wav"
        url = place if scheme == "http" else f"file:{secret}"
        path.write_text(LISTS[kind].format(url=url))

        with pytest.raises(AudioUnreadable) as caught:
            decode(path, ffmpeg=ffmpeg, max_duration_s=60, timeout_s=30)

        assert not select.select([listener], [], [], 0)[0]
    assert "secret" not in str(caught.value)
