"""Names of clients, made harmless."""

import pytest

from api.filenames import attachment, safe_audio_type
from domain.filenames import clean_filename


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("talk.mp3", "talk.mp3"),
        ("/etc/passwd", "passwd"),
        ("C:\\music\\a.mp3", "a.mp3"),
        ("..\\..\\a.mp3", "a.mp3"),
        ("a\r\nb\0\x1b[31m.mp3", "ab[31m.mp3"),
        ("\u202e3pm.exe", "3pm.exe"),
        ("👩‍👩‍👧.mp3", "👩‍👩‍👧.mp3"),
        ("e\u0301.mp3", "é.mp3"),
        ("  a.mp3 ", "a.mp3"),
        ("x" * 400, "x" * 255),
        ("x" * 400 + ".mp3", "x" * 251 + ".mp3"),
        ("a." + "x" * 400, "a." + "x" * 253),
        ("..", None),
        ("dir/", None),
        ("", None),
        (None, None),
    ],
)
def test_a_name_is_reduced_to_what_can_be_shown(name, kept):
    assert clean_filename(name) == kept


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("talk.mp3", 'attachment; filename="talk.srt"'),
        ('a"b.mp3', "attachment; filename=\"a_b.srt\"; filename*=UTF-8''a%22b.srt"),
        ("été.mp3", "attachment; filename=\"_t_.srt\"; filename*=UTF-8''%C3%A9t%C3%A9.srt"),
        ("50%.mp3", "attachment; filename=\"50_.srt\"; filename*=UTF-8''50%25.srt"),
        (None, 'attachment; filename="job.srt"'),
    ],
)
def test_a_download_is_named_after_the_recording(name, header):
    assert attachment(name, fallback="job", extension="srt") == header


def test_a_recording_is_only_bytes_unless_its_type_is_known_to_be_harmless():
    assert safe_audio_type("Audio/MPEG; x=1") == "audio/mpeg"
    assert safe_audio_type("text/html") == "application/octet-stream"
    assert safe_audio_type("image/svg+xml") == "application/octet-stream"
    assert safe_audio_type(None) == "application/octet-stream"
