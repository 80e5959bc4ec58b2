"""Fused weights compute what openai-whisper's modules do, on real weights and real speech."""

import pytest
import torch

from engines.batched.int8 import has_int8
from engines.batched.network import SILENT_MEL, FusedWhisper
from tests.integration.engines import fused
from tests.integration.engines.fused import PROMPT, TOKENIZER, decoder, network, tiny, windows

FRAMES = 3000
PLACES, WIDTH = 1500, 384


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(autouse=True)
def without_gradients():
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("number", [0, 6])
def test_a_full_window_is_encoded_as_whisper_does(number):
    mel = windows()[number][None]

    found = network(torch.float32).encode(mel)

    assert found.shape == (1, PLACES, WIDTH)
    assert relative_error(found, tiny().encoder(mel)) < 1e-5


# A hundredth and five, here; the limits leave room for other processors.
@pytest.mark.parametrize(
    ("weights", "limit"),
    [(torch.bfloat16, 0.03), *([(torch.int8, 0.1)] if has_int8() else [])],
    ids=str,
)
def test_rounded_weights_move_the_features_a_little(weights, limit):
    rounded = FusedWhisper(tiny(), dtype=torch.bfloat16, weights=weights, rows=fused.SLOTS)
    mel = windows()[6][None]

    found = rounded.encode(mel)

    assert found.dtype == torch.bfloat16
    assert relative_error(found.float(), tiny().encoder(mel)) < limit


def test_windows_are_encoded_together_as_they_are_alone():
    mels = torch.stack([windows()[number][:, :700] for number in (0, 6)])

    together = network(torch.float32).encode(mels)

    alone = [network(torch.float32).encode(mel[None]) for mel in mels]
    assert relative_error(together, torch.cat(alone)) < 1e-5


@pytest.mark.parametrize("frames", [2, 640, 2998])
def test_behind_a_shorter_window_stands_the_kept_silence(frames):
    mel = windows()[6][None, :, :frames]
    silent = torch.full((1, len(windows()[6]), FRAMES), SILENT_MEL)

    found = network(torch.float32).encode(mel)

    assert found.shape == (1, PLACES, WIDTH)
    behind = found[:, frames // 2 :]
    assert relative_error(behind, tiny().encoder(silent)[:, frames // 2 :]) < 1e-5


def test_a_shorter_silence_is_encoded_as_a_full_one():
    silent = torch.full((1, len(windows()[6]), FRAMES), SILENT_MEL)

    found = network(torch.float32).encode(silent[:, :, :800])

    # The convolution sees the edge of the recorded part: its last place differs.
    assert relative_error(found[:, :390], tiny().encoder(silent)[:, :390]) < 1e-2


def test_the_decoder_scores_a_text_as_whisper_does():
    features = fused.features(6, torch.float32)
    tokens = [*PROMPT, TOKENIZER.timestamp_begin, *TOKENIZER.encode(" It was the best of times")]
    slots = decoder(torch.float32)

    where = torch.tensor([slots._place(features)])
    at_once = slots._forward(torch.tensor([tokens]), where, slice(None))[0]
    slots._position[where] = 0
    one_by_one = []
    for token in tokens:
        one_by_one.append(slots._forward(torch.tensor([[token]]), where)[0, 0])
        slots._position[where] += 1

    expected = tiny().logits(torch.tensor([tokens]), features[None])[0]
    assert relative_error(at_once, expected) < 1e-5
    assert relative_error(torch.stack(one_by_one), expected) < 1e-5


def test_the_language_is_as_probable_as_whisper_finds_it():
    features = fused.features(6, torch.float32)

    found = decoder(torch.float32).detect_language(features)

    _, expected = tiny().detect_language(features)
    assert found == pytest.approx(expected, abs=1e-5)
    assert max(found, key=found.__getitem__) == "en"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_window_is_bit_equal_whatever_number_of_threads_the_load_allows(dtype):
    own = FusedWhisper(tiny(), dtype=dtype, rows=fused.SLOTS, threads=2)
    mels = [
        spectrogram[None, :, :frames] for spectrogram in windows()[:2] for frames in (1010, 3000)
    ]

    def computed():
        features = [own.encode(mel) for mel in mels]
        return features + [pair for each in features for pair in own.cross_keys_values(each)]

    torch.set_num_threads(2)
    alone = computed()
    torch.set_num_threads(1)
    beside_others = computed()

    assert torch.get_num_threads() == 1
    assert all(map(torch.equal, alone, beside_others))
