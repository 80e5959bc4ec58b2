"""Windows whose texts are forked where the model hesitates, on real weights and real speech."""

from functools import cache

import pytest
import torch

from engines.batched.kernels import FORBIDDEN
from engines.batched.rules import RuleState, TokenRules
from tests.integration.engines.fused import (
    PROMPT,
    SLOTS,
    TOKENIZER,
    as_values,
    decode_together,
    decoder,
    network,
    request,
    tiny,
    windows,
)

FLOAT = torch.float32
HYPOTHESES = 3


def forking(slots=SLOTS):
    return decoder(FLOAT, slots, hypotheses=HYPOTHESES)


@cache
def together():
    return decode_together(forking(), [request(n, FLOAT) for n in range(len(windows()))])


@cache
def greedily():
    return decode_together(decoder(FLOAT), [request(n, FLOAT) for n in range(len(windows()))])


def rescored(number, tokens):
    """The log probability of a text and its end, by openai-whisper's own network."""
    written = [*tokens, TOKENIZER.eot]
    with torch.inference_mode():
        features = tiny().encoder(windows()[number][None])
        everything = torch.tensor([[*PROMPT, *written]])
        logits = tiny().decoder(everything, features)[0, len(PROMPT) - 1 : -1].float()
    rules = TokenRules(TOKENIZER, network(FLOAT).dims.n_vocab, torch.device("cpu"))
    state = RuleState.fresh(1, torch.device("cpu"))
    total = 0.0
    for row, token in zip(logits, written, strict=True):
        total += float(rules.apply(row[None], state).log_softmax(dim=-1)[0, token])
        rules.advance(state, torch.tensor([token]))
    return total


def test_a_forked_text_is_as_likely_as_it_says():
    # A hypothesis with another's keys and values would have numbers that are not its own.
    forked = [
        number
        for number, (text, greedy) in enumerate(zip(together(), greedily(), strict=True))
        if text.tokens != greedy.tokens
    ]

    assert forked
    for number in forked:
        text = together()[number]
        assert text.sum_logprob == pytest.approx(rescored(number, text.tokens), abs=2e-3)


def test_a_window_is_bit_equal_alone_and_in_any_company():
    numbers = (9, 2, 5, 0)

    several = decode_together(forking(3), [request(number, FLOAT) for number in numbers])
    alone = [decode_together(forking(1), [request(number, FLOAT)])[0] for number in numbers]

    written = [as_values(together()[number]) for number in numbers]
    assert list(map(as_values, several)) == written
    assert list(map(as_values, alone)) == written


def test_a_slot_whose_window_was_forked_is_as_good_as_new():
    slots = forking()
    for number in (6, 7, 8, 9):
        slots.admit(request(number, FLOAT))
    for _ in range(20):
        slots.step()
    for slot in range(SLOTS):
        slots.release(slot)

    ended = decode_together(slots, [request(number, FLOAT) for number in (5, 0)])

    assert list(map(as_values, ended)) == [as_values(together()[number]) for number in (5, 0)]


def test_a_decoder_of_another_size_forks_as_before():
    slots = forking()
    slots.resize(2)

    ended = decode_together(slots, [request(number, FLOAT) for number in (9, 8, 7)])

    assert list(map(as_values, ended)) == [as_values(together()[number]) for number in (9, 8, 7)]


def test_what_is_drawn_is_drawn_as_without_hypotheses():
    requests = [request(n, FLOAT, temperature=0.8, seed=n) for n in (0, 5)]
    with_company = [request(9, FLOAT), *requests]

    ours = decode_together(forking(), with_company)[1:]

    assert list(map(as_values, ours)) == list(
        map(as_values, decode_together(decoder(FLOAT), requests))
    )


def test_texts_without_an_end_stop_where_the_text_context_does():
    slots = forking()
    slots._rules._never_numbers[TOKENIZER.eot] = FORBIDDEN

    ended = decode_together(slots, [request(9, FLOAT), request(0, FLOAT)])

    assert [len(window.tokens) for window in ended] == [224, 224]
