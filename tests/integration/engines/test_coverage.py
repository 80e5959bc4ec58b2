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
    options = TranscriptionOptions("tiny", language="en", temperature=0.0)
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


def test_text_over_noise_is_suspected(transcribe):
    steps = 0.01 * np.random.default_rng(2).normal(size=10 * SAMPLE_RATE_HZ)
    rumble = (np.cumsum(steps) / 100).astype(np.float32)

    transcript = transcribe(rumble)

    has_text = bool(transcript.text)
    assert transcript.coverage.speech_s == 0
    assert transcript.coverage.share is None
    assert codes_of(transcript) == ["suspected_hallucination"] * has_text


def test_silence_has_no_speech_and_no_gaps(transcribe):
    transcript = transcribe(np.zeros(SAMPLE_RATE_HZ, np.float32))

    assert (transcript.coverage.speech_s, transcript.coverage.share) == (0.0, None)
    assert transcript.coverage.gaps == transcript.coverage.suspicions == ()
    assert codes_of(transcript) == ["silent_audio"]
