"""The batched decoder's network and its parts, on real weights and real speech."""

import wave
from functools import cache

import numpy as np
import torch
import whisper
from whisper.audio import N_FRAMES
from whisper.tokenizer import get_tokenizer

from engines.base import SAMPLE_RATE_HZ
from engines.batched.network import FusedWhisper
from engines.batched.requests import WindowRequest
from engines.batched.slots import SlotDecoder
from scripts.samples import SAMPLES, sample_path
from tests.real_models import MODEL_DIR, real_weights, two_cities

SLOTS = 4
TOKENIZER = get_tokenizer(multilingual=True, language="en", task="transcribe")
PROMPT = tuple(TOKENIZER.sot_sequence)


@cache
def tiny():
    real_weights("tiny")
    return whisper.load_model(str(MODEL_DIR / "tiny.pt"), device="cpu")


@cache
def network(dtype):
    return FusedWhisper(tiny(), dtype=dtype, rows=SLOTS)


def decoder(dtype, slots=SLOTS, **options):
    return SlotDecoder(network(dtype), TOKENIZER, slots=slots, **options)


@cache
def windows():
    """Spectrograms (bins, 3000) of the project's recordings, the long one in several windows."""
    short = [name for name in SAMPLES if name.endswith(".wav") and name != "two_cities.wav"]
    recordings = [samples_of(name) for name in short]
    recordings += [two_cities()[start_s * SAMPLE_RATE_HZ :] for start_s in (0, 3, 9, 21)]
    return [spectrogram(audio) for audio in recordings]


def samples_of(name):
    with wave.open(str(sample_path(name))) as recording:
        assert (recording.getframerate(), recording.getnchannels()) == (SAMPLE_RATE_HZ, 1)
        pcm = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
    return (pcm / 32768).astype(np.float32)


def spectrogram(audio):
    mel = whisper.log_mel_spectrogram(torch.from_numpy(audio.copy()), padding=30 * SAMPLE_RATE_HZ)
    return whisper.pad_or_trim(mel, N_FRAMES)


@cache
def features(number, dtype):
    """Of a window, (1500, width)."""
    with torch.inference_mode():
        return network(dtype).encode(windows()[number][None])[0]


def request(number, dtype, *, prompt=PROMPT, **options):
    return WindowRequest(features(number, dtype), prompt, prompt.index(TOKENIZER.sot), **options)


def decode_together(decoder, requests):
    """What is written for these requests, admitted as slots become free."""
    waiting, numbers, texts = list(enumerate(requests)), {}, {}
    while len(texts) < len(requests):
        while waiting and decoder.free:
            number, each = waiting.pop(0)
            numbers[decoder.admit(each)] = number
        texts |= {numbers[slot]: window for slot, window in decoder.step()}
    return [texts[number] for number in range(len(requests))]


def as_values(window):
    """Everything that was written, to the last bit."""
    return window.tokens, window.sum_logprob, window.no_speech_prob
