import json

import pytest
import torch
from whisper.decoding import GreedyDecoder

from engines.random_state import (
    SAMPLING_SEED,
    DrawingDecoder,
    make_generator,
    restore_random_state,
    save_random_state,
)

CPU = torch.device("cpu")
END = 3
VOCABULARY = 50


def draw(decoder, steps, *, texts=4):
    """What the decoder writes for texts that nothing is known about, and how likely it was."""
    tokens = torch.zeros(texts, 1, dtype=torch.long)
    sums = torch.zeros(texts)
    for step in range(steps):
        logits = torch.sin(torch.arange(texts * VOCABULARY).float() + step).view(texts, VOCABULARY)
        tokens, has_ended = decoder.update(tokens, logits, sums)
    return tokens.tolist(), sums.tolist(), bool(has_ended)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_it_draws_what_openai_whisper_draws_from_the_global_generator(temperature):
    torch.manual_seed(SAMPLING_SEED)
    theirs = draw(GreedyDecoder(temperature, END), 60)

    ours = draw(DrawingDecoder(temperature, END, make_generator(CPU)), 60)

    assert ours == theirs
    assert any(END in text for text in ours[0])


def test_it_leaves_the_global_generator_alone():
    before = torch.get_rng_state()

    draw(DrawingDecoder(1.0, END, make_generator(CPU)), 5)

    assert torch.equal(torch.get_rng_state(), before)


def test_two_recordings_that_take_turns_draw_as_each_alone():
    alone = draw(DrawingDecoder(1.0, END, make_generator(CPU)), 20)
    decoders = [DrawingDecoder(1.0, END, make_generator(CPU)) for _ in range(2)]
    texts = [torch.zeros(4, 1, dtype=torch.long) for _ in decoders]

    for step in range(20):
        logits = torch.sin(torch.arange(4 * VOCABULARY).float() + step).view(4, VOCABULARY)
        texts = [
            decoder.update(tokens, logits, torch.zeros(4))[0]
            for decoder, tokens in zip(decoders, texts, strict=True)
        ]

    assert [tokens.tolist() for tokens in texts] == [alone[0]] * 2


def test_its_state_survives_json():
    generator = make_generator(CPU)
    torch.rand(7, generator=generator)
    saved = json.loads(json.dumps(save_random_state(generator)))
    expected = torch.rand(5, generator=generator)

    another = make_generator(CPU)
    restore_random_state(another, saved)

    assert torch.equal(torch.rand(5, generator=another), expected)


def test_the_state_of_another_kind_of_device_is_refused():
    with pytest.raises(KeyError):
        restore_random_state(make_generator(CPU), {"cuda": ""})
