"""The out-of-memory ladder with real models: base falls back to tiny."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.errors import OutOfMemory
from domain.options import TranscriptionOptions
from engines.base import SAMPLE_RATE_HZ
from engines.out_of_memory import guard_memory
from model_pool import ModelPool, acquire_model
from tests.real_models import real_loader, two_cities

MODES = ("batched", "sequential")


def options(mode):
    return TranscriptionOptions("base", language="en", temperature=0.0, decode_mode=mode)


def run_out(*_):
    raise MemoryError


class TightLoader:
    """The real loader on a machine where base does not fit, at load or after one window."""

    name = "openai_whisper"

    def __init__(self, stage):
        self._real = real_loader("base", "tiny")
        self._stage = stage
        self.devices = self._real.devices
        self.unload = self._real.unload
        self.estimate_mb = self._real.estimate_mb
        self.is_present = self._real.is_present

    def load(self, model_size, device):
        if model_size == "base" and self._stage == "load":
            guard_memory(run_out, model_size=model_size, device=device)
        engine = self._real.load(model_size, device)
        if model_size == "base":
            self._fill_memory_after_one_window(engine)
        return engine

    def _fill_memory_after_one_window(self, engine):
        windows = []

        def count(*_):
            windows.append(1)
            if len(windows) > 1:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

        engine.model.encoder.register_forward_pre_hook(count)
        network = engine._batched_decoder()._network
        encode = network.encode
        network.encode = lambda mel: (count(), encode(mel))[1]


@pytest.fixture(scope="module", params=MODES)
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def tiny_text(mode):
    """What tiny alone makes of the recording."""
    loader = real_loader("tiny")
    engine = loader.load("tiny", "cpu")
    transcript = engine.transcribe(
        two_cities(), options(mode), on_progress=lambda _: None, should_stop=lambda: False
    )
    loader.unload(engine)
    return transcript.text


@pytest.mark.parametrize("stage", ["load", "decode"])
def test_base_falls_back_to_tiny_and_the_transcript_says_so(stage, mode, tiny_text):
    pool = ModelPool(TightLoader(stage))

    with acquire_model("base", 30, pool=pool) as model:
        transcript = model.transcribe(two_cities(), options(mode))

    assert transcript.text == tiny_text
    assert (transcript.model_requested, transcript.model_used) == ("base", "tiny")
    *smaller_batches, fallback = transcript.fallbacks
    assert {rung.rung for rung in smaller_batches} <= {"smaller_batch"}
    assert bool(smaller_batches) == (mode == "batched" and stage == "decode")
    assert (fallback.rung, fallback.stage) == ("smaller_model", stage)
    assert "not enough memory on cpu for base" in fallback.reason
    assert pool.get_stats()["models_by_size"] == {"tiny": 1}


@pytest.mark.parametrize("stage", ["load", "decode"])
def test_a_job_that_forbids_it_ends_with_out_of_memory(stage, mode):
    pool = ModelPool(TightLoader(stage))

    with (
        pytest.raises(OutOfMemory),
        acquire_model("base", 30, allow_downgrade=False, pool=pool) as m,
    ):
        m.transcribe(two_cities(), options(mode))

    assert pool.get_stats()["total_loaded"] == 0


class CrampedLoader:
    """The real loader on a machine where a step of more than two windows does not fit."""

    name = "openai_whisper"

    def __init__(self):
        self._real = real_loader("tiny")
        self.loaded = []
        self.crowd = 1  # recordings that are awaited before the next step
        self.devices = self._real.devices
        self.unload = self._real.unload
        self.estimate_mb = self._real.estimate_mb
        self.is_present = self._real.is_present

    def load(self, model_size, device):
        engine = self._real.load(model_size, device)
        self.loaded.append(engine)
        shared = engine._batched_decoder()._shared
        decoder = shared._decoder
        step = decoder.step

        def step_or_fail():
            if len(shared._guests) < self.crowd:
                return []
            self.crowd = 1
            if len(decoder._busy) > 2:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return step()

        decoder.step = step_or_fail
        return engine


def test_recordings_that_share_a_batch_without_room_go_on_in_smaller_ones():
    loader = CrampedLoader()
    pool = ModelPool(loader)
    wanted = TranscriptionOptions("tiny", language="en", temperature=0.0)
    recordings = [two_cities()[start * SAMPLE_RATE_HZ :] for start in (0, 8, 16)]
    alone = []
    for audio in recordings:
        with acquire_model("tiny", 30, pool=pool) as model:
            alone.append(model.transcribe(audio, wanted))
    at_first_mb = loader.loaded[0].memory_mb
    loader.crowd = len(recordings)

    def job(audio):
        with acquire_model("tiny", 30, pool=pool) as model:
            return model.transcribe(audio, wanted)

    with ThreadPoolExecutor(len(recordings)) as threads:
        together = list(threads.map(job, recordings))

    assert [t.segments for t in together] == [t.segments for t in alone]
    assert not any(transcript.fallbacks for transcript in alone)
    taken = [f.rung for transcript in together for f in transcript.fallbacks]
    assert set(taken) == {"smaller_batch"}
    assert {t.model_used for t in together} == {"tiny"}
    [engine] = loader.loaded
    assert engine.memory_mb < at_first_mb
    assert pool.get_stats()["oom_rungs"]["smaller_batch"] == len(taken)
