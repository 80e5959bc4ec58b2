from itertools import permutations

import pytest
import torch
from whisper.timing import median_filter

from engines.batched.token_costs import FILTER_WIDTH, filter_median, token_costs

HEADS = 3
ROWS = torch.tensor([12, 5, 2, 7, 1])
PLACES = torch.tensor([40, 23, 3, 4, 1])


def some_scores(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(ROWS), HEADS, 12, 40, generator=generator) * 5


def whispers_costs(scores):
    """The steps of `whisper.timing.find_alignment`, of one window."""
    weights = scores.softmax(dim=-1)
    std, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    return -median_filter((weights - mean) / std, FILTER_WIDTH).mean(dim=0)


def test_of_windows_of_any_length_costs_are_those_of_whisper():
    costs = token_costs(some_scores(), ROWS, PLACES)

    for scores, found, rows, places in zip(
        some_scores(), costs, ROWS[:4], PLACES[:4], strict=False
    ):
        expected = whispers_costs(scores[:, :rows, :places])
        torch.testing.assert_close(found[:rows, :places], expected, rtol=1e-4, atol=1e-4)


def test_where_nothing_is_to_be_told_costs_are_numbers():
    costs = token_costs(some_scores(), ROWS, PLACES)

    assert costs[4, 0, 0] == 0
    assert costs[:, 0, 0].isfinite().all()


def test_places_that_nobody_looks_at_cost_numbers():
    scores = some_scores()
    scores[..., 10:20] = -200.0

    costs = token_costs(scores, ROWS, PLACES)

    assert costs[0].isfinite().all()
    assert costs[0].abs().max() < 12**0.5  # as far as one of twelve can be from their mean


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_a_window_alone_costs_what_it_costs_in_company(number):
    alone = slice(number, number + 1)
    rows, places = int(ROWS[number]), int(PLACES[number])

    found = token_costs(some_scores()[alone, :, :rows, :places], ROWS[alone], PLACES[alone])[0]

    expected = token_costs(some_scores(), ROWS, PLACES)[number, :rows, :places]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_middle_of_seven_is_found_in_whatever_order_they_come():
    orders = torch.tensor(list(permutations(range(FILTER_WIDTH))), dtype=torch.float32)
    places = torch.full((1,), FILTER_WIDTH)

    medians = filter_median(orders[None, None], places)[0, 0, :, FILTER_WIDTH // 2]

    assert (medians == FILTER_WIDTH // 2).all()
