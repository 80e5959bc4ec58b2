"""Noise that belongs to a window's seed: repeatable, independent, and of the right shape."""

import torch

from engines.batched.device_noise import gumbel

EULER_GAMMA = 0.5772  # the mean of a standard Gumbel distribution
DEVIATION = 1.2825  # its standard deviation, pi / sqrt(6)


def numbers(*each):
    return torch.tensor(each)


def test_a_window_gets_the_same_noise_in_any_company():
    alone = gumbel(numbers(7), numbers(3), 1000)

    in_company = gumbel(numbers(1, 7, 2**40), numbers(3, 3, 0), 1000)

    assert torch.equal(in_company[1], alone[0])


def test_seeds_and_tokens_have_noise_of_their_own():
    seeds, counts = numbers(0, 0, 1, 2**32), numbers(0, 1, 0, 0)

    noise = gumbel(seeds, counts, 50_000)

    assert torch.corrcoef(noise).fill_diagonal_(0).abs().max() < 0.02
    assert noise.isfinite().all()


def test_noise_is_spread_as_gumbels():
    noise = gumbel(torch.arange(20), torch.zeros(20, dtype=torch.long), 50_000)

    assert abs(float(noise.mean()) - EULER_GAMMA) < 0.01
    assert abs(float(noise.std()) - DEVIATION) < 0.01


def test_the_highest_of_logits_and_noise_is_drawn_as_often_as_softmax_says():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    draws = 40_000

    noise = gumbel(torch.arange(draws), torch.full((draws,), 5), 4)
    drawn = (logits + noise).argmax(dim=-1)

    shares = torch.bincount(drawn, minlength=4) / draws
    torch.testing.assert_close(shares, logits.softmax(dim=-1), atol=0.01, rtol=0)
