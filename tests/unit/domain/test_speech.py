import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.speech import (
    Span,
    intersect_spans,
    merge_spans,
    pad_spans,
    subtract_spans,
    total_s,
)


def spans(*pairs):
    return tuple(Span(float(start), float(end)) for start, end in pairs)


# Whole seconds, so that a second is in a list of spans or it is not.
ANY_SPANS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 10)).map(lambda p: Span(p[0], p[0] + p[1])),
    max_size=8,
)


def seconds(some):
    return {second for span in some for second in range(int(span.start_s), int(span.end_s))}


@pytest.mark.parametrize(
    ("given_spans", "merged"),
    [
        (spans(), spans()),
        (spans((0, 1), (2, 3)), spans((0, 1), (2, 3))),
        (spans((2, 3), (0, 1)), spans((0, 1), (2, 3))),
        (spans((0, 1), (1, 2)), spans((0, 2))),
        (spans((0, 9), (2, 3)), spans((0, 9))),
        (spans((0, 2), (1, 4), (3, 5)), spans((0, 5))),
    ],
)
def test_spans_that_meet_become_one(given_spans, merged):
    assert merge_spans(given_spans) == merged


def test_padding_stays_within_the_recording():
    padded = pad_spans(spans((0.1, 1), (4, 4.9)), 0.5, 5.0)

    assert padded == spans((0, 1.5), (3.5, 5))


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [
        (spans((0, 4)), spans((1, 2), (3, 9)), spans((1, 2), (3, 4))),
        (spans((0, 1)), spans((1, 2)), spans()),
        (spans(), spans((1, 2)), spans()),
    ],
)
def test_common_time_is_found(left, right, common):
    assert intersect_spans(left, right) == common


@pytest.mark.parametrize(
    ("whole", "taken", "rest"),
    [
        (spans((0, 4)), spans(), spans((0, 4))),
        (spans((0, 4)), spans((1, 2)), spans((0, 1), (2, 4))),
        (spans((0, 4), (5, 6)), spans((3, 5.5)), spans((0, 3), (5.5, 6))),
        (spans((0, 4)), spans((0, 4)), spans()),
    ],
)
def test_taken_time_is_left_out(whole, taken, rest):
    assert subtract_spans(whole, taken) == rest


@given(ANY_SPANS, ANY_SPANS)
def test_every_second_is_either_common_or_left(left, right):
    left_merged, right_merged = merge_spans(left), merge_spans(right)

    common = intersect_spans(left_merged, right_merged)
    rest = subtract_spans(left_merged, right_merged)

    assert seconds(common) == seconds(left) & seconds(right)
    assert seconds(rest) == seconds(left) - seconds(right)
    assert total_s(common) + total_s(rest) == total_s(left_merged)
