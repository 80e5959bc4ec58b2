import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper.timing import dtw_cpu

from engines.batched.dtw import warp_texts

TALL, LONG = 9, 30


def warp(costs, rows, places):
    starts = np.full(costs.shape[:2], -1, np.int64)
    warp_texts(costs, np.asarray(rows), np.asarray(places), starts)
    return starts


def whispers_starts(costs):
    """Where openai-whisper's path comes to each row."""
    rows, places = dtw_cpu(costs.astype(np.float64))
    return places[np.diff(rows, prepend=-1) > 0]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_every_window_is_warped_as_whisper_does(seed, has_ties):
    rng = np.random.default_rng(seed)
    costs = rng.normal(size=(4, TALL, LONG)).astype(np.float32)
    costs = np.round(costs) if has_ties else costs
    rows, places = rng.integers(1, TALL + 1, 4), rng.integers(1, LONG + 1, 4)

    starts = warp(costs, rows, places)

    for own, cost, height, length in zip(starts, costs, rows, places, strict=True):
        assert own[:height].tolist() == whispers_starts(cost[:height, :length]).tolist()
        assert (own[height:] == -1).all()


def test_a_path_follows_what_costs_nothing():
    costs = np.ones((1, 3, 6), np.float32)
    costs[0, 0, :2] = costs[0, 1, 2:5] = costs[0, 2, 5:] = 0

    assert warp(costs, [3], [6]).tolist() == [[0, 2, 5]]


def test_more_tokens_than_places_share_them():
    starts = warp(np.zeros((1, 5, 2), np.float32), [5], [2])

    assert starts[0, 0] == 0
    assert sorted(starts[0]) == list(starts[0])
    assert set(starts[0].tolist()) <= {0, 1}


@pytest.mark.parametrize("damage", [np.nan, np.inf, -np.inf])
def test_costs_that_are_no_numbers_lead_to_an_end_within_the_window(damage):
    starts = warp(np.full((1, 4, 7), damage, np.float32), [4], [7])

    assert ((starts >= 0) & (starts < 7)).all()
