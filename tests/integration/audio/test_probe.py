import pytest

from audio.probe import probe
from domain.errors import AudioDecodeTimeout, AudioError
from tests.recordings import BAD_KINDS, CLAIMED_HOURS, GOOD_KINDS


@pytest.mark.parametrize("kind", GOOD_KINDS)
def test_every_good_recording_is_recognised(ffmpeg, recording, kind):
    found = probe(recording(kind), ffmpeg=ffmpeg, timeout_s=30)

    assert found.sample_rate_hz >= 8000
    assert found.channels >= 1


@pytest.mark.parametrize(("kind", "code"), BAD_KINDS.items())
def test_every_bad_recording_is_refused_with_its_code_and_no_path(ffmpeg, recording, kind, code):
    path = recording(kind)

    with pytest.raises(AudioError) as caught:
        probe(path, ffmpeg=ffmpeg, timeout_s=30)

    assert caught.value.code == code
    assert str(path) not in caught.value.message
    assert path.name not in caught.value.message
    assert "/" not in caught.value.message
    assert not caught.value.is_transient


def test_the_facts_are_those_of_the_decoded_sound(ffmpeg, recording):
    found = probe(recording("wav_96khz_7_1"), ffmpeg=ffmpeg, timeout_s=30)

    assert (found.sample_rate_hz, found.channels) == (96_000, 8)
    assert (found.container, found.codec) == ("wav", "pcm_s16le")
    assert found.duration_s == pytest.approx(2.0)


def test_a_recording_of_a_browser_claims_no_length(ffmpeg, recording):
    found = probe(recording("webm_from_browser"), ffmpeg=ffmpeg, timeout_s=30)

    assert found.duration_s is None
    assert found.codec == "opus"


def test_an_untrue_claim_is_reported_as_claimed(ffmpeg, recording):
    found = probe(recording("claims_100_hours"), ffmpeg=ffmpeg, timeout_s=30)

    assert found.duration_s == CLAIMED_HOURS * 3600


def test_a_probe_that_takes_too_long_is_a_passing_fault(tmp_path, recording):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)

    with pytest.raises(AudioDecodeTimeout) as caught:
        probe(recording("mp3"), ffmpeg=str(slow), timeout_s=0.3)

    assert caught.value.is_transient
