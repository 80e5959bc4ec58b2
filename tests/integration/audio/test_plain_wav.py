"""Plain files are read without ffmpeg; nobody may be able to tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.decode import decode, decode_by_ffmpeg
from audio.plain_wav import find_plain_sound
from audio.probe import probe, probe_by_ffmpeg
from domain.errors import AudioError
from scripts.samples import SAMPLES, sample_path
from tests.wav_files import FORMAT, ODD, PLAIN, chunk, wav

LIMITS = {"max_duration_s": 600.0, "timeout_s": 60.0}
NOT_RUNNABLE = "/nonexistent/ffmpeg"
HARMLESS = st.tuples(
    st.sampled_from([b"LIST", b"fact", b"JUNK", b"PAD ", b"FLLR"]),
    st.binary(min_size=4, max_size=70),
).map(lambda parts: chunk(*parts))


def write(folder, content):
    path = folder / "sound.wav"
    path.write_bytes(content)
    return path


def outcome(function, path, **options):
    """What comes of a file, as values that can be compared: the facts, or the error."""
    try:
        found = function(path, **options)
    except AudioError as error:
        return (error.code, error.message)
    if isinstance(samples := getattr(found, "samples", None), np.ndarray):
        return (samples.tobytes(), samples.dtype, found.duration_s, found.warnings)
    return found


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_file_comes_out_as_from_ffmpeg_bit_for_bit(ffmpeg, tmp_path, kind):
    path = write(tmp_path, PLAIN[kind])

    by_ffmpeg = outcome(decode_by_ffmpeg, path, ffmpeg=ffmpeg, **LIMITS)

    assert outcome(decode, path, ffmpeg=NOT_RUNNABLE, **LIMITS) == by_ffmpeg
    assert len(by_ffmpeg[0]) > 0


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_file_is_described_as_by_ffmpeg(ffmpeg, tmp_path, kind):
    path = write(tmp_path, PLAIN[kind])

    by_ffmpeg = probe_by_ffmpeg(path, ffmpeg=ffmpeg, timeout_s=30)

    assert probe(path, ffmpeg=NOT_RUNNABLE, timeout_s=30) == by_ffmpeg


@pytest.mark.parametrize("name", SAMPLES)
def test_real_speech_comes_out_as_from_ffmpeg_bit_for_bit(ffmpeg, name):
    path = sample_path(name)

    by_ffmpeg = outcome(decode_by_ffmpeg, path, ffmpeg=ffmpeg, **LIMITS)

    assert outcome(decode, path, ffmpeg=ffmpeg, **LIMITS) == by_ffmpeg


def test_real_speech_of_the_right_kind_needs_no_ffmpeg():
    decoded = decode(sample_path("jfk.wav"), ffmpeg=NOT_RUNNABLE, **LIMITS)

    assert decoded.duration_s == 11.0


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_has_the_same_errors_and_warnings_as_ever(ffmpeg, tmp_path, kind):
    path = write(tmp_path, ODD[kind])

    by_ffmpeg = outcome(decode_by_ffmpeg, path, ffmpeg=ffmpeg, **LIMITS)
    described = outcome(probe_by_ffmpeg, path, ffmpeg=ffmpeg, timeout_s=30)

    assert outcome(decode, path, ffmpeg=ffmpeg, **LIMITS) == by_ffmpeg
    assert outcome(probe, path, ffmpeg=ffmpeg, timeout_s=30) == described


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    before_format=st.lists(HARMLESS, max_size=2),
    before_sound=st.lists(HARMLESS, max_size=2),
    behind=st.lists(HARMLESS, max_size=2),
    sound=st.binary(min_size=2, max_size=600),
)
def test_whatever_passes_for_plain_sounds_as_from_ffmpeg(
    ffmpeg, tmp_path_factory, before_format, before_sound, behind, sound
):
    even = sound[: len(sound) // 2 * 2]
    content = wav(*before_format, FORMAT, *before_sound, chunk(b"data", even), *behind)
    path = write(tmp_path_factory.mktemp("chunks"), content)

    by_ffmpeg = outcome(decode_by_ffmpeg, path, ffmpeg=ffmpeg, **LIMITS)

    assert find_plain_sound(path) is not None
    assert outcome(decode, path, ffmpeg=ffmpeg, **LIMITS) == by_ffmpeg
