"""The sequential decoder's report on itself, on real speech and on none."""

import numpy as np
import pytest

from domain.options import TranscriptionOptions
from engines.base import SAMPLE_RATE_HZ
from tests.real_models import real_loader, two_cities


@pytest.fixture(scope="module")
def transcribe():
    loader = real_loader("tiny")
    engine = loader.load("tiny", "cpu")
    options = TranscriptionOptions("tiny", language="en", temperature=0.0, decode_mode="sequential")
    yield lambda audio: engine.transcribe(
        audio, options, on_progress=lambda _: None, should_stop=lambda: False
    )
    loader.unload(engine)


def codes_of(transcript):
    return [warning.code for warning in transcript.warnings]


def test_read_speech_is_covered_and_nothing_is_suspected(transcribe):
    transcript = transcribe(two_cities()[: 20 * SAMPLE_RATE_HZ])

    assert transcript.coverage.speech_s > 15
    assert transcript.coverage.share > 0.95
    assert transcript.coverage.gaps == ()
    assert transcript.coverage.suspicions == ()
    assert codes_of(transcript) == []
    assert transcript.timings_s["coverage_s"] > 0


def test_text_over_a_ticking_clock_is_suspected(transcribe):
    ticks = np.zeros(30 * SAMPLE_RATE_HZ, np.float32)
    ticks[::SAMPLE_RATE_HZ] = 0.5

    transcript = transcribe(ticks)

    assert transcript.text
    assert (transcript.coverage.speech_s, transcript.coverage.share) == (0.0, None)
    assert "no_speech_found" in {sign.reason for sign in transcript.coverage.suspicions}
    assert codes_of(transcript) == ["suspected_hallucination"]


def test_silence_has_no_speech_and_no_gaps(transcribe):
    transcript = transcribe(np.zeros(SAMPLE_RATE_HZ, np.float32))

    assert (transcript.coverage.speech_s, transcript.coverage.share) == (0.0, None)
    assert transcript.coverage.gaps == transcript.coverage.suspicions == ()
    assert codes_of(transcript) == ["silent_audio"]
