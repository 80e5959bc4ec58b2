"""Voice activity on real speech, against the library's own network."""

import subprocess
import sys
import tracemalloc
import wave
from importlib.metadata import distribution

import numpy as np
import pytest
import torch

from audio.speech import PAD_S, find_speech, spans_of
from audio.speech_network import BLOCK_FRAMES, FRAME_SAMPLES, LANES_AT_ONCE, SpeechNetwork
from audio.speech_weights import PACKAGE, read_weights
from domain.errors import Stopped
from domain.speech import Span, merge_spans, pad_spans, subtract_spans, total_s
from engines.base import SAMPLE_RATE_HZ
from scripts.samples import sample_path
from tests.real_models import two_cities
from tests.source_tree import ROOT

MONO_16K = ("jfk.wav", "austen_0870.wav", "austen_0880.wav", "austen_0890.wav", "austen_0920.wav")
LOUD_S = 0.05


def read_sample(name):
    with wave.open(str(sample_path(name))) as recording:
        assert (recording.getframerate(), recording.getnchannels()) == (SAMPLE_RATE_HZ, 1)
        pcm = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    return (pcm / 32768).astype(np.float32)


def loud_spans(samples):
    """Where the level comes within 14 dB of the loudest: voice, in a recording of one voice."""
    length = int(LOUD_S * SAMPLE_RATE_HZ)
    blocks = samples[: samples.size // length * length].reshape(-1, length)
    level = np.sqrt((blocks**2).mean(axis=1))
    return merge_spans(
        Span(i * LOUD_S, (i + 1) * LOUD_S) for i in np.flatnonzero(level > level.max() / 5)
    )


@pytest.fixture(scope="module")
def network():
    return SpeechNetwork(read_weights())


@pytest.fixture(scope="module")
def five_minutes():
    """Readings with pauses of different lengths and levels between them."""
    parts = []
    for i in range(7):
        parts.append(two_cities() * np.float32(0.5 + i / 10))
        parts.append(np.zeros(SAMPLE_RATE_HZ * i, np.float32))
        parts.append(read_sample(MONO_16K[i % len(MONO_16K)]))
    return np.concatenate(parts)


def test_probabilities_are_those_of_the_library(network):
    samples = two_cities()
    file = distribution(PACKAGE).locate_file("silero_vad/data/silero_vad.jit")
    theirs = torch.jit.load(str(file))
    whole = np.pad(samples, (0, -samples.size % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)

    with torch.no_grad():
        expected = [theirs(torch.tensor(row[None]), SAMPLE_RATE_HZ).item() for row in whole]
    found = network.probabilities(samples)

    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_lanes_find_what_one_pass_finds(network, five_minutes):
    duration_s = five_minutes.size / SAMPLE_RATE_HZ
    frames = -(-five_minutes.size // FRAME_SAMPLES)

    one_pass = network.probabilities(five_minutes, lane_frames=frames)
    by_lanes = network.probabilities(five_minutes)

    # Measured on 1.2 hours of many kinds of speech: 0.0017 and 0.6%.
    assert np.abs(by_lanes - one_pass).mean() < 0.005
    assert (np.abs(by_lanes - one_pass) > 0.05).mean() < 0.01
    expected = pad_spans(spans_of(one_pass), PAD_S, duration_s)
    spans = pad_spans(spans_of(by_lanes), PAD_S, duration_s)
    assert total_s(subtract_spans(expected, spans)) < 0.001 * duration_s
    assert total_s(subtract_spans(spans, expected)) < 0.001 * duration_s


def test_lanes_of_the_second_group_remember_the_first(network, five_minutes):
    frames = -(-five_minutes.size // FRAME_SAMPLES)
    lane_frames = frames // (2 * LANES_AT_ONCE)  # three groups, the last a small one
    one_pass = network.probabilities(five_minutes, lane_frames=frames)

    by_lanes = network.probabilities(five_minutes, lane_frames=lane_frames)

    # Measured with so short lanes: 0.007.
    assert by_lanes.size == one_pass.size
    assert np.abs(by_lanes - one_pass).mean() < 0.02


def test_the_same_recording_has_the_same_speech_on_every_call(five_minutes):
    first, second = find_speech(five_minutes), find_speech(five_minutes)

    assert first.spans == second.spans
    assert first.probabilities.tobytes() == second.probabilities.tobytes()


@pytest.mark.parametrize("gain", [1.0, 0.03, 0.001])
@pytest.mark.parametrize("name", MONO_16K)
def test_no_speech_is_lost_however_quiet(name, gain):
    samples = read_sample(name)

    found = find_speech(samples * np.float32(gain))

    assert subtract_spans(loud_spans(samples), found.spans) == ()


def test_speech_under_noise_is_kept():
    samples = two_cities()
    noise = np.random.default_rng(1).normal(size=samples.size).astype(np.float32)
    noise *= samples.std() / noise.std() / np.float32(10 ** (5 / 20))  # 5 dB below the speech

    found = find_speech(samples + noise)

    lost = subtract_spans(loud_spans(samples), found.spans)
    assert total_s(lost) < 0.01 * total_s(loud_spans(samples))


def test_pauses_are_left_out(five_minutes):
    found = find_speech(five_minutes)

    pauses = subtract_spans((Span(0, found.duration_s),), found.spans)
    assert sum(pause.length_s > 2 for pause in pauses) >= 4
    assert found.probabilities.size == -(-five_minutes.size // FRAME_SAMPLES)


@pytest.mark.parametrize("kind", ["zeros", "hiss", "rumble", "hum"])
def test_there_is_no_speech_where_nobody_speaks(kind):
    count = 30 * SAMPLE_RATE_HZ
    hiss = 0.01 * np.random.default_rng(2).normal(size=count)
    samples = {
        "zeros": np.zeros(count),
        "hiss": hiss,
        "rumble": np.cumsum(hiss) / 100,
        "hum": 0.1 * np.sin(2 * np.pi * 50 * np.arange(count) / SAMPLE_RATE_HZ),
    }[kind]

    found = find_speech(samples.astype(np.float32))

    assert found.spans == ()


@pytest.mark.parametrize("size", [0, 1, 160, 511, 512, 513, BLOCK_FRAMES * FRAME_SAMPLES + 1])
def test_recordings_of_every_length_work(size):
    samples = two_cities()[:size]

    found = find_speech(samples)

    assert found.probabilities.size == -(-size // FRAME_SAMPLES)
    assert found.duration_s == size / SAMPLE_RATE_HZ
    assert all(0 <= span.start_s < span.end_s <= found.duration_s for span in found.spans)


def test_the_search_in_hours_can_be_ended(network, five_minutes):
    asked = []

    def end_at_the_third_group():
        asked.append(True)
        if len(asked) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        network.probabilities(
            np.tile(five_minutes, 4), lane_frames=8, before_group=end_at_the_third_group
        )

    assert len(asked) == 3


def test_memory_does_not_grow_with_the_recording(network, five_minutes):
    def peak_bytes(samples):
        tracemalloc.start()
        network.probabilities(samples, lane_frames=16)  # groups of 16 s
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    short = peak_bytes(five_minutes[: 60 * SAMPLE_RATE_HZ])
    long = peak_bytes(five_minutes)

    assert long < 1.2 * short


def test_nothing_heavy_is_imported():
    script = (
        "import sys, numpy; from audio.speech import find_speech;"
        "find_speech(numpy.full(9999, 0.5, numpy.float32)); print(*sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert {"torch", "onnxruntime", "silero_vad"}.isdisjoint(done.stdout.split())
