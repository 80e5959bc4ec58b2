import pytest

from services.estimates import time_left_s


@pytest.mark.parametrize(
    ("share", "elapsed_s", "expected_s", "left_s"),
    [
        (0.0, 0.0, None, None),  # nothing is known
        (0.0, 2.0, 10.0, 8.0),  # only what was measured before
        (0.5, 10.0, None, 10.0),  # only this run's own pace
        (0.5, 10.0, 20.0, 10.0),  # both agree
        (1.0, 10.0, 5.0, 0.0),
        (0.0, 30.0, 10.0, 0.0),  # later than expected: never negative
    ],
)
def test_the_time_left_follows_what_is_known(share, elapsed_s, expected_s, left_s):
    assert time_left_s(share, elapsed_s, expected_s) == left_s
