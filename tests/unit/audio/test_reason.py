from pathlib import Path

import pytest

from audio.log import FfmpegLog
from audio.reason import explain_refusal, reason_of
from domain.errors import AudioStreamMissing, AudioUnreadable

PATH = Path("/srv/uploads/ab/secret-key.bin")


def log_of(*lines: str) -> FfmpegLog:
    log = FfmpegLog()
    log.feed("".join(f"{line}\n" for line in lines).encode())
    return log


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("[png_pipe @ 0x2f] [error] Format not on whitelist 'wav,mp3'", "not one that is accepted"),
        ("[mov,mp4 @ 0x3d] [error] moov atom not found", "cut off or never finished"),
        ("[error] file:/srv/x: Invalid data found when processing input", "no sound in a known"),
    ],
)
def test_a_known_cause_is_told_in_plain_words(line, sentence):
    log = log_of(line)

    assert sentence in reason_of(log, PATH)


def test_an_unknown_cause_is_quoted_without_any_path_of_the_server():
    log = log_of(
        f"[error] cannot frobnicate file:{PATH}: see /etc/passwd and {PATH}\x1b[31m",
        "[error] Task finished with error code: -22",
    )

    reason = reason_of(log, PATH)

    assert "cannot frobnicate" in reason
    assert "/srv" not in reason
    assert "/etc" not in reason
    assert "\x1b" not in reason


def test_a_file_that_opened_and_has_no_sound_track_misses_its_stream():
    log = log_of(
        "[info] Input #0, mov,mp4, from 'x':",
        "[info]   Stream #0:0: Video: h264, yuv420p",
        "[fatal] Stream map '0:a:0' matches no streams.",
    )

    error = explain_refusal(log, PATH, code=1)

    assert isinstance(error, AudioStreamMissing)
    assert error.message == "the file is a video without sound"


def test_a_crash_of_the_decoder_is_a_fault_of_the_file():
    error = explain_refusal(log_of(), PATH, code=-11)

    assert isinstance(error, AudioUnreadable)
    assert "crashed" in error.message
