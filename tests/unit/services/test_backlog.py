import pytest

from services.backlog import LONGEST_RETRY_S, bounded_retry_s, first_free_s


@pytest.mark.parametrize(
    ("busy_s", "waiting_s", "wait_s"),
    [
        ([0.0], [], 0.0),  # a child is idle
        ([30.0, 7.0], [], 7.0),  # all are busy: the first to end
        ([0.0], [10.0, 5.0], 15.0),  # one after the other
        ([0.0, 0.0], [10.0], 0.0),  # one takes the waiting job, the other is left
        ([4.0, 1.0], [10.0], 4.0),  # the waiting job goes to whoever is free first
        ([4.0, 1.0], [10.0, 2.0, 3.0], 9.0),
    ],
)
def test_a_job_starts_when_a_child_is_free_after_those_before_it(busy_s, waiting_s, wait_s):
    assert first_free_s(busy_s, waiting_s) == wait_s


@pytest.mark.parametrize(
    ("seconds", "retry_s"), [(0.0, 1), (0.2, 1), (12.1, 13), (1e9, LONGEST_RETRY_S)]
)
def test_a_retry_is_announced_in_whole_seconds_within_an_hour(seconds, retry_s):
    assert bounded_retry_s(seconds) == retry_s
