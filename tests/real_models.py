"""Real weights and real speech for the tests that need them, fetched once by hash."""

import wave
from functools import lru_cache, partial

import numpy as np

from config import Settings
from embedded.process import ROOT
from engines.base import SAMPLE_RATE_HZ
from engines.cpu_share import CpuShare
from engines.openai_whisper import OpenAIWhisperLoader
from engines.weights.ensure import ensure_weights
from scripts.packaged_weights import build_from_packages
from scripts.samples import sample_path

MODEL_DIR = Settings(_env_file=None).model_path


def real_loader(*sizes, threads=1, kind=OpenAIWhisperLoader):
    """A loader on the CPU, with the weights of these sizes in place."""
    for size in sizes:
        real_weights(size)
    share = CpuShare(ROOT / ".data" / "run" / "test-places", fixed_threads=threads)
    return kind(MODEL_DIR, device="cpu", share=share)


def real_weights(size):
    """The official file of a model."""
    return ensure_weights(size, MODEL_DIR, build=partial(build_from_packages, on_progress=print))


@lru_cache(maxsize=1)
def two_cities():
    """33 s of read English, mono at 16 kHz: a little more than one window."""
    with wave.open(str(sample_path("two_cities.wav"))) as recording:
        assert (recording.getframerate(), recording.getnchannels()) == (48_000, 1)
        pcm = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    thirds = pcm[: len(pcm) // 3 * 3].reshape(-1, 3)
    return (thirds.mean(axis=1) / 32768).astype(np.float32)[: 33 * SAMPLE_RATE_HZ]
