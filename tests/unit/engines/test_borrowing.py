"""What becomes of decoded windows while memory forces a borrower down the ladder."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

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


def test_a_smaller_batch_goes_on_with_the_same_model():
    loader = FakeLoader(FakeScript(batch_size=8, fitting_batch=2))

    transcript, decoded = transcribe(loader, "base")

    assert rungs(transcript) == ["smaller_batch", "smaller_batch"]
    assert {(f.from_model, f.to_model, f.stage) for f in transcript.fallbacks} == {
        ("base", "base", "decode")
    }
    assert decoded == [(0, "base"), (1, "base"), (2, "base")]
    assert transcript.text == "Window 1. Window 2. Window 3. Window 4."
    assert (loader.loads, loader.unloads) == ([("base", "cpu")], [])


def test_a_batch_that_cannot_be_smaller_ends_in_a_smaller_model():
    script = FakeScript(batch_size=2, no_room_to_decode=frozenset({("base", "cpu")}))

    transcript, _ = transcribe(FakeLoader(script), "base")

    assert rungs(transcript) == ["smaller_batch", "smaller_model"]
    assert transcript.model_used == "tiny"


def test_a_job_that_forbids_a_smaller_model_may_still_have_a_smaller_batch():
    pool = ModelPool(FakeLoader(FakeScript(batch_size=4, fitting_batch=2)))

    with acquire_model("base", 1, allow_downgrade=False, pool=pool) as model:
        transcript = model.transcribe(FOUR_WINDOWS, TranscriptionOptions("base"))

    assert rungs(transcript) == ["smaller_batch"]


def test_later_jobs_keep_the_smaller_batch_and_take_no_rung():
    pool = ModelPool(FakeLoader(FakeScript(batch_size=4, fitting_batch=2)))
    taken = []

    for _ in range(2):
        with acquire_model("base", 1, pool=pool) as model:
            transcript = model.transcribe(FOUR_WINDOWS, TranscriptionOptions("base"))
        taken.append(rungs(transcript))

    assert taken == [["smaller_batch"], []]
    assert pool.get_stats()["oom_rungs"]["smaller_batch"] == 1


def test_all_who_shared_a_step_without_room_halve_the_batch_once():
    pool = ModelPool(FakeLoader(FakeScript(batch_size=8, fitting_batch=4)))
    together = Barrier(4)

    def meet(asked):
        if not asked:  # all have begun, with eight windows at a time
            together.wait(10)
        return False

    def job():
        asked = []
        with acquire_model("base", 1, pool=pool) as model:
            return model.transcribe(
                FOUR_WINDOWS,
                TranscriptionOptions("base"),
                should_stop=lambda: meet(asked) or asked.append(1) is not None,
            )

    with ThreadPoolExecutor(4) as threads:
        transcripts = [future.result(20) for future in [threads.submit(job) for _ in range(4)]]

    assert [rungs(transcript) for transcript in transcripts] == [["smaller_batch"]] * 4
    assert pool.get_stats()["models_by_size"] == {"base": 1}


def test_an_urgent_borrower_tells_the_engine():
    told = []

    class Listening(FakeLoader):
        def load(self, model_size, device):
            engine = super().load(model_size, device)
            transcribe = engine.transcribe
            engine.transcribe = lambda *args, is_urgent, **rest: (
                told.append(is_urgent) or transcribe(*args, **rest)
            )
            return engine

    pool = ModelPool(Listening())
    for is_urgent in (True, False):
        with acquire_model("tiny", 1, is_urgent=is_urgent, pool=pool) as model:
            model.transcribe(FOUR_WINDOWS, TranscriptionOptions("tiny"))

    assert told == [True, False]


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
