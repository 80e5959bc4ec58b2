import numpy as np
import pytest

from audio.decode import decode
from audio.level import is_silent
from domain.errors import AudioError, AudioGone, AudioTooLong, Stopped
from tests.recordings import BAD_KINDS, GOOD_KINDS, synthesise_speechlike

DAMAGED = {
    "mp3_damaged": "audio_damaged",
    "flac_damaged": "audio_damaged",
    "wav_nan": "audio_damaged",
    "mp3_cut_in_half": "audio_truncated",
    "wav_cut_in_half": "audio_truncated",
    "m4a_cut_off": "audio_truncated",
    "mka_cut_off": "audio_truncated",
    "claims_100_hours": "audio_truncated",
}


@pytest.fixture
def decode_kind(ffmpeg, recording):
    def run(kind, **options):
        limits = {"max_duration_s": 60.0, "timeout_s": 60.0, **options}
        return decode(recording(kind), ffmpeg=ffmpeg, **limits)

    return run


@pytest.mark.parametrize(("kind", "seconds"), GOOD_KINDS.items())
def test_every_good_recording_becomes_samples(decode_kind, kind, seconds):
    decoded = decode_kind(kind)

    assert decoded.samples.dtype == np.float32
    assert decoded.samples.ndim == 1
    assert decoded.duration_s == len(decoded.samples) / 16_000
    assert decoded.duration_s == pytest.approx(seconds, abs=0.15)  # encoders pad
    assert np.abs(decoded.samples).max() <= 1.0


@pytest.mark.parametrize("kind", GOOD_KINDS)
def test_a_warning_stands_for_a_loss_and_only_for_a_loss(decode_kind, kind):
    decoded = decode_kind(kind)

    codes = [warning.code for warning in decoded.warnings]
    assert codes == ([DAMAGED[kind]] if kind in DAMAGED else [])


@pytest.mark.parametrize(("kind", "code"), BAD_KINDS.items())
def test_every_bad_recording_is_refused_with_its_code(decode_kind, kind, code):
    with pytest.raises(AudioError) as caught:
        decode_kind(kind)

    assert caught.value.code == code
    assert "/" not in caught.value.message


@pytest.mark.parametrize("kind", ["wav", "flac", "mka", "aiff", "wav_piped"])
def test_lossless_recordings_come_out_as_they_went_in(decode_kind, kind):
    original = synthesise_speechlike(2.0)

    decoded = decode_kind(kind)

    assert np.abs(decoded.samples - original).max() < 0.001  # 16 bits


def test_like_channels_mix_down_to_themselves_and_are_not_clipped(decode_kind):
    original = synthesise_speechlike(2.0, rate=96_000)[::6]

    decoded = decode_kind("wav_96khz_7_1")

    assert np.abs(decoded.samples - original).max() < 0.01  # 16 bits and the resampler


def test_the_warning_says_how_much_of_a_cut_file_is_left(decode_kind):
    (warning,) = decode_kind("mp3_cut_in_half").warnings

    assert "5.0 s of sound could be decoded of the 10." in warning.message


def test_a_length_known_from_elsewhere_shows_a_loss_that_the_file_hides(decode_kind):
    (warning,) = decode_kind("webm_from_browser", expected_s=30.0).warnings

    assert warning.code == "audio_truncated"
    assert "of the 30.0 s" in warning.message


def test_silence_is_decoded_and_known_as_silence(decode_kind):
    silence, speech = decode_kind("silence"), decode_kind("wav")

    assert is_silent(silence.samples)
    assert not is_silent(speech.samples)


def test_a_recording_beyond_the_limit_is_refused_with_the_limit(decode_kind):
    with pytest.raises(AudioTooLong) as caught:
        decode_kind("mp3_long", max_duration_s=5.0)

    assert caught.value.details == {"maximum_s": 5.0}


def test_a_recording_of_exactly_the_limit_is_accepted(decode_kind):
    decoded = decode_kind("flac_long", max_duration_s=10.0)

    assert decoded.duration_s == 10.0


def test_a_job_that_is_told_to_stop_stops(decode_kind):
    with pytest.raises(Stopped):
        decode_kind("mp3_long", should_stop=lambda: True)


def test_a_recording_that_was_removed_is_gone(ffmpeg, tmp_path):
    with pytest.raises(AudioGone):
        decode(tmp_path / "removed.mp3", ffmpeg=ffmpeg, max_duration_s=60.0, timeout_s=10.0)
