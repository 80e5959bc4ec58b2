"""A playlist is a file that makes ffmpeg open other files. Ours must not."""

import select
import socket
import subprocess

import pytest

from audio.child import run_child
from audio.decode import FLOAT_MONO
from audio.ffmpeg import FIRST_AUDIO_STREAM, QUIET, input_options

PLAYLISTS = (
    "hls_playlist",
    "hls_playlist_named_mp3",
    "concat_playlist",
    "concat_playlist_named_mp3",
)


def read_without_guard(ffmpeg, path):
    command = [ffmpeg, *QUIET, "-i", path, *FIRST_AUDIO_STREAM, *FLOAT_MONO, "pipe:1"]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).stdout


@pytest.mark.parametrize("kind", ["hls_playlist", "concat_playlist_named_mp3"])
def test_without_the_guard_a_playlist_gives_away_a_local_file(ffmpeg, recording, kind):
    stolen = read_without_guard(ffmpeg, recording(kind))

    assert len(stolen) > 64_000  # more than one second of the secret: the attack is real


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_the_options_alone_keep_a_playlist_from_being_followed(ffmpeg, recording, kind):
    stolen, log = bytearray(), bytearray()
    source = input_options(recording(kind))

    code = run_child(
        [ffmpeg, *QUIET, *source, *FIRST_AUDIO_STREAM, *FLOAT_MONO, "pipe:1"],
        timeout_s=30,
        on_output=stolen.extend,
        on_log=log.extend,
    )

    assert code != 0
    assert stolen == b""
    assert b"secret" not in log


def test_a_network_address_is_not_opened(ffmpeg, tmp_path):
    path = tmp_path / "x.mp3"
    log = bytearray()
    source = [*input_options(path)[:-1], "http://127.0.0.1:9/x.mp3"]

    code = run_child(
        [ffmpeg, *QUIET, *source, "-f", "null", "-"],
        timeout_s=30,
        on_output=lambda _: None,
        on_log=log.extend,
    )

    assert code != 0
    assert b"not on whitelist" in log


def test_even_without_the_options_a_network_address_cannot_be_reached(ffmpeg):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/x.mp3"
        log = bytearray()

        code = run_child(
            [ffmpeg, *QUIET, "-i", address, "-f", "null", "-"],
            timeout_s=30,
            on_output=lambda _: None,
            on_log=log.extend,
        )

        assert code != 0
        assert b"Operation not permitted" in log
        assert not select.select([listener], [], [], 0)[0]
