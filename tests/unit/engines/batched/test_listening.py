from types import SimpleNamespace

import numpy as np
import pytest
import torch

from domain.options import TranscriptionOptions
from domain.speech import Span
from engines.base import SAMPLE_RATE_HZ
from engines.batched.listening import PLAN_VERSION, TAIL_FRAMES, WhisperListener
from engines.batched.network import SILENT_MEL

PLAN = [Span(1.0, 9.0), Span(12.0, 20.0), Span(22.0, 29.0), Span(31.0, 33.0)]
CPU = torch.device("cpu")


class Network:
    """An encoder whose features are the number of its call."""

    dims = SimpleNamespace(n_mels=80)
    device = CPU

    def __init__(self):
        self.mels = []

    def encode(self, mel):
        self.mels.append(mel[0])
        return torch.tensor([[[float(len(self.mels))]]])


class Detector:
    """Hears in each window, one after the other, what it is told to."""

    def __init__(self, *heard):
        self._heard = list(heard)

    def detect_language(self, _features):
        return self._heard.pop(0)


def make_listener(*heard, multilingual=True, length_s=40, **options):
    model = SimpleNamespace(is_multilingual=multilingual, num_languages=99)
    audio = np.random.default_rng(0).normal(0, 0.1, length_s * SAMPLE_RATE_HZ).astype(np.float32)
    network = Network()
    options = TranscriptionOptions("tiny", **options)
    listener = WhisperListener(model, network, Detector(*heard), audio, options)
    listener.prepare()
    return listener, network


def test_a_window_that_is_sure_settles_the_language_alone():
    listener, network = make_listener({"en": 0.2, "de": 0.8})

    tokenizer = listener.settle_language(PLAN)

    assert tokenizer.language == "de"
    assert listener.language_probability == 0.8
    assert len(network.mels) == 1


def test_three_windows_vote_when_none_is_sure():
    listener, network = make_listener(
        {"en": 0.45, "de": 0.3, "nl": 0.25},
        {"en": 0.2, "de": 0.4, "nl": 0.4},
        {"en": 0.3, "de": 0.45, "nl": 0.25},
    )

    tokenizer = listener.settle_language(PLAN)

    assert tokenizer.language == "de"
    assert listener.language_probability == pytest.approx(1.15 / 3)
    assert len(network.mels) == 3


def test_who_was_heard_for_the_language_is_not_encoded_again():
    listener, network = make_listener({"en": 0.3, "de": 0.3}, {"en": 0.9, "de": 0.1})
    listener.settle_language(PLAN)

    features = [float(listener.encode(span)) for span in PLAN]

    assert features == [1.0, 2.0, 3.0, 4.0]
    assert len(network.mels) == 4


def test_a_chosen_language_is_not_listened_for():
    listener, network = make_listener(language="cy", task="translate")

    tokenizer = listener.settle_language(PLAN)

    assert (tokenizer.language, tokenizer.task) == ("cy", "translate")
    assert listener.language_probability is None
    assert network.mels == []


def test_a_model_of_english_alone_hears_english():
    listener, _ = make_listener(multilingual=False, language="de")

    listener.settle_language(PLAN)

    assert (listener.language, listener.language_probability) == ("en", None)


def test_what_a_later_attempt_must_know_is_carried():
    listener, _ = make_listener({"en": 0.1, "de": 0.9})
    listener.settle_language(PLAN)
    later, network = make_listener()

    later.go_on(listener.carried())
    tokenizer = later.settle_language(PLAN)

    assert listener.carried()["plan"] == PLAN_VERSION
    assert later.carried() == listener.carried()
    assert tokenizer.language == "de"
    assert network.mels == []


@pytest.mark.parametrize(
    ("span", "recorded", "frames"),
    [
        (Span(1.0, 9.0), 800, 800 + TAIL_FRAMES),
        (Span(1.0, 9.01), 801, 802 + TAIL_FRAMES),  # the network takes an even number
        (Span(0.0, 29.5), 2950, 3000),
        (Span(0.0, 30.0), 3000, 3000),
    ],
)
def test_a_window_is_followed_by_silence_within_half_a_minute(span, recorded, frames):
    listener, network = make_listener()

    listener.encode(span)

    [mel] = network.mels
    assert mel.shape == (80, frames)
    assert (mel[:, recorded:] == SILENT_MEL).all()
    assert not (mel[:, :recorded] == SILENT_MEL).all(dim=0).any()


def test_the_sound_behind_a_window_is_not_in_it():
    listener, network = make_listener()

    listener.encode(Span(5.0, 6.0))
    listener.encode(Span(5.0, 7.0))

    short, longer = network.mels
    assert torch.equal(short[:, :100], longer[:, :100])
    assert (short[:, 100:] == SILENT_MEL).all()
