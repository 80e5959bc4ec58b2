import pytest

from benchmarks.percentile import percentile


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(1, 0.95, 1), (20, 0.95, 19), (21, 0.95, 20), (200, 0.95, 190), (4, 0.5, 2), (3, 0.0, 1)],
)
def test_the_nearest_rank_is_one_of_the_values(count: int, share: float, expected: int):
    values = [*range(count, 0, -1)]

    assert percentile(values, share) == expected


def test_no_values_have_no_percentile():
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
