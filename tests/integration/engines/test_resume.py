"""Going on after kept windows where the sequential decoder carries more than all engines do."""

import numpy as np
import pytest

from domain.options import TranscriptionOptions
from domain.windows import ignore_window
from engines.base import SAMPLE_RATE_HZ
from tests.kept_windows import through_json
from tests.real_models import real_loader, two_cities

DRAWING = TranscriptionOptions(
    "tiny", temperature=0.8, word_timestamps=True, decode_mode="sequential"
)


def speech_silence_speech():
    """The first window draws, the second is silent, the third draws again."""
    sentence = two_cities()[: 5 * SAMPLE_RATE_HZ]
    return np.concatenate([sentence, np.zeros(60 * SAMPLE_RATE_HZ, np.float32), sentence])


@pytest.fixture(scope="module")
def engine():
    loader = real_loader("tiny")
    engine = loader.load("tiny", "cpu")
    yield engine
    loader.unload(engine)


def transcribe(engine, *, on_window=ignore_window, resume=()):
    return engine.transcribe(
        speech_silence_speech(),
        DRAWING,
        on_progress=lambda _: None,
        should_stop=lambda: False,
        on_window=on_window,
        resume=resume,
    )


@pytest.fixture(scope="module")
def undisturbed(engine):
    windows = []
    return transcribe(engine, on_window=windows.append), windows


def test_the_state_of_the_generator_is_kept_only_where_it_changed(undisturbed):
    _, windows = undisturbed

    drew, was_silent = windows[:2]
    assert drew.carried["random"].keys() == {"cpu"}
    assert "random" not in was_silent.carried


@pytest.mark.parametrize("kept", [1, 2])
def test_drawing_goes_on_where_the_kept_windows_left_it(engine, undisturbed, kept):
    transcript, windows = undisturbed

    resumed = transcribe(engine, resume=through_json(windows[:kept]))

    assert resumed.segments == transcript.segments
    assert {segment.seek for segment in resumed.segments} == {0, 6000}


def test_the_time_that_kept_windows_took_is_counted(engine, undisturbed):
    _, windows = undisturbed

    resumed = transcribe(engine, resume=windows)

    before = windows[-1].carried["timings_s"]
    assert before.keys() == {"mel_s", "encode_s", "language_s", "decode_s", "words_s"}
    assert all(resumed.timings_s[name] >= spent_s for name, spent_s in before.items())


def test_a_generator_of_another_kind_of_device_is_left_alone(engine, undisturbed):
    _, windows = undisturbed
    on_gpu = through_json(windows)
    on_gpu[0].carried["random"] = {"cuda": "AAAA"}

    transcript = transcribe(engine, resume=on_gpu)

    assert transcript.segments
