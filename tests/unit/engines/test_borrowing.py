"""What becomes of decoded windows while memory forces a borrower down the ladder."""

import numpy as np
import pytest

from domain.options import TranscriptionOptions
from engines.fake import FakeLoader, FakeScript
from model_pool import ModelPool, acquire_model

FOUR_WINDOWS = np.full(100 * 16_000, 0.1, np.float32)


def transcribe(loader, size, *, resume=(), idle=None):
    """The transcript, and the number and model of every window on the way."""
    pool = ModelPool(loader, max_mb=10_000)
    if idle:
        pool.release(pool.acquire(idle))
    windows = []
    with acquire_model(size, 1, pool=pool) as model:
        transcript = model.transcribe(
            FOUR_WINDOWS,
            TranscriptionOptions(size),
            on_window=windows.append,
            resume=resume,
        )
    return transcript, [(window.number, window.model_used) for window in windows]


def no_room(*places, **devices):
    return FakeLoader(FakeScript(no_room_to_decode=frozenset(places)), **devices)


@pytest.fixture
def windows_of():
    """The windows that a model with enough memory leaves behind."""

    def decode(size):
        windows = []
        engine = FakeLoader().load(size, "cpu")
        engine.transcribe(
            FOUR_WINDOWS,
            TranscriptionOptions(size),
            on_progress=lambda _: None,
            should_stop=lambda: False,
            on_window=windows.append,
        )
        return windows

    return decode


def rungs(transcript):
    return [fallback.rung for fallback in transcript.fallbacks]


def test_windows_of_an_earlier_attempt_are_not_decoded_again(windows_of):
    transcript, decoded = transcribe(FakeLoader(), "base", resume=windows_of("base")[:2])

    assert decoded == [(2, "base")]
    assert transcript.text == "Window 1. Window 2. Window 3. Window 4."


def test_a_smaller_model_starts_again():
    transcript, decoded = transcribe(no_room(("base", "cpu")), "base")

    assert rungs(transcript) == ["smaller_model"]
    assert decoded == [(0, "base"), (0, "tiny"), (1, "tiny"), (2, "tiny")]


def test_the_same_model_with_more_room_goes_on():
    transcript, decoded = transcribe(no_room(("base", "cpu")), "base", idle="tiny.en")

    assert rungs(transcript) == ["free_idle_models", "smaller_model"]
    assert decoded[:3] == [(0, "base"), (1, "base"), (0, "tiny")]


def test_the_same_model_on_another_device_goes_on():
    loader = no_room(("tiny", "cuda:0"), devices=("cuda:0", "cpu"))

    transcript, decoded = transcribe(loader, "tiny")

    assert rungs(transcript) == ["cpu"]
    assert decoded == [(0, "tiny"), (1, "tiny"), (2, "tiny")]
    assert [segment.id for segment in transcript.segments] == [0, 1, 2, 3]


def test_a_smaller_model_goes_on_from_its_own_windows_if_no_other_model_replaced_them(windows_of):
    script = FakeScript(no_room_to_load=frozenset({("base", "cpu")}))

    transcript, decoded = transcribe(FakeLoader(script), "base", resume=windows_of("tiny")[:2])

    assert transcript.model_used == "tiny"
    assert decoded == [(2, "tiny")]


def test_windows_that_another_model_replaced_are_gone(windows_of):
    resume = windows_of("tiny")

    _, decoded = transcribe(no_room(("base", "cpu")), "base", resume=resume)

    assert decoded == [(0, "base"), (0, "tiny"), (1, "tiny"), (2, "tiny")]
