from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.speech import FRAME_S, PAD_S, SpeechMap, spans_of
from domain.speech import Span, intersect_spans, merge_spans, pad_spans, subtract_spans, total_s
from engines.batched.plan import (
    GAP_PAD_S,
    GAP_S,
    MAX_WINDOW_S,
    TOLERANCE_S,
    PlannedWindow,
    pack_spans,
    plan_repairs,
    plan_windows,
)
from tests.unit.engines.batched.scripted import speech_map

HOUR_S = 3600.0
A_SAMPLE_S = 1 / 16_000


@st.composite
def recordings(draw, longest_s=150):
    """Speech as `find_speech` finds it, in recordings of up to a few minutes."""
    frames = draw(st.integers(0, int(longest_s / FRAME_S)))
    probabilities = np.zeros(frames, np.float32)
    runs = st.tuples(st.integers(0, max(frames - 1, 0)), st.integers(1, 1500))
    for first, length in draw(st.lists(runs, max_size=12)):
        probabilities[first : first + length] = draw(st.sampled_from([0.15, 0.3, 0.9]))
    ragged = draw(st.floats(0, 1, exclude_min=True)) * FRAME_S
    duration_s = max(0, frames - 1) * FRAME_S + (ragged if frames else 0.0)
    spans = pad_spans(spans_of(probabilities), PAD_S, duration_s)
    return SpeechMap(spans, probabilities, duration_s)


def heard(plan):
    return [window.speech for window in plan if window.speech is not None]


@given(recordings())
def test_all_speech_is_in_exactly_one_window(speech):
    windows = heard(plan_windows(speech))

    in_windows = [intersect_spans([window], speech.spans) for window in windows]
    assert sum(total_s(spans) for spans in in_windows) == pytest.approx(total_s(speech.spans))
    assert subtract_spans(speech.spans, merge_spans(windows)) == ()


@given(recordings())
def test_windows_are_in_order_and_none_is_longer_than_the_longest(speech):
    windows = heard(plan_windows(speech))

    assert all(0 < window.length_s <= MAX_WINDOW_S + 1e-9 for window in windows)
    assert all(a.end_s <= b.start_s for a, b in pairwise(windows))


@given(recordings())
def test_every_window_takes_over_where_the_one_before_ends_up_to_the_end_of_the_recording(speech):
    plan = plan_windows(speech)

    ends = [window.end_s for window in plan]
    assert ends == sorted(set(ends))
    assert ends[-1] == speech.duration_s
    for window, end_s in zip(plan, ends, strict=True):
        assert window.speech is None or window.speech.end_s <= end_s


@given(recordings())
def test_no_window_and_the_silence_around_it_reach_over_more_than_80_seconds(speech):
    ends = [0.0, *(window.end_s for window in plan_windows(speech))]

    assert all(b - a < 30.0 + MAX_WINDOW_S + 30.0 for a, b in pairwise(ends))


def test_a_long_speech_is_cut_in_the_middle_of_its_clearest_pause():
    speech = speech_map((0.0, 35.0), duration_s=35.0)
    pause = slice(round(16.0 / FRAME_S), round(17.0 / FRAME_S))
    speech.probabilities[pause] = 0.1
    speech.probabilities[round(19.0 / FRAME_S)] = 0.0  # deeper and shorter

    first, second = heard(plan_windows(speech))

    assert 16.0 < first.end_s < 17.0
    assert (second.start_s, second.end_s) == (first.end_s, 35.0)


def test_where_nobody_pauses_windows_are_as_long_as_they_may_be():
    speech = speech_map((0.0, 50.0), duration_s=50.0)

    windows = heard(plan_windows(speech))

    assert [round(window.length_s) for window in windows] == [20, 20, 10]


def test_short_utterances_share_a_window_while_they_fit():
    speech = speech_map((1.0, 4.0), (6.0, 12.0), (18.0, 20.5), (22.0, 25.0), duration_s=25.0)

    windows = heard(plan_windows(speech))

    assert windows == [Span(1.0, 20.5), Span(22.0, 25.0)]


def test_spans_that_touch_the_bound_exactly_are_packed():
    assert pack_spans([Span(0, 5), Span(6, 10), Span(10.5, 11)], 10.0) == (
        Span(0, 10),
        Span(10.5, 11),
    )


def test_silence_is_cut_every_half_minute():
    plan = plan_windows(speech_map((100.0, 103.0), duration_s=170.0))

    assert plan == (
        PlannedWindow(None, 30.0),
        PlannedWindow(None, 60.0),
        PlannedWindow(None, 90.0),
        PlannedWindow(Span(100.0, 103.0), 103.0),
        PlannedWindow(None, 133.0),
        PlannedWindow(None, 170.0),
    )


@pytest.mark.parametrize("duration_s", [0.0, A_SAMPLE_S, 12.0])
def test_a_short_recording_without_speech_is_one_window(duration_s):
    plan = plan_windows(speech_map(duration_s=duration_s))

    assert plan == (PlannedWindow(None, duration_s),)


def test_four_hours_are_planned_without_a_gap():
    spans = [(start_s, start_s + 24.0) for start_s in np.arange(0, 4 * HOUR_S, 25.0).tolist()]

    plan = plan_windows(speech_map(*spans, duration_s=4 * HOUR_S))

    assert sum(window.length_s for window in heard(plan)) == pytest.approx(24.0 * len(spans))
    assert len(plan) == 2 * len(spans)
    assert plan[-1].end_s == 4 * HOUR_S


def test_speech_behind_the_last_word_of_a_window_is_heard_again():
    speech = speech_map((0.0, 18.0), duration_s=18.0)

    repairs = plan_repairs(speech, Span(0.0, 18.0), [Span(0.0, 9.0)])

    assert repairs == (Span(9.0 + TOLERANCE_S - GAP_PAD_S, 18.0),)


def test_every_gap_of_a_window_is_heard_by_itself():
    speech = speech_map((0.0, 6.0), (7.0, 18.0), duration_s=18.0)

    repairs = plan_repairs(speech, Span(0.0, 18.0), [Span(2.0, 5.5), Span(9.0, 12.0)])

    assert [(round(span.start_s, 3), round(span.end_s, 3)) for span in repairs] == [
        (0.0, 1.9),
        (6.8, 8.9),
        (12.1, 18.0),
    ]


def test_gaps_of_less_than_a_second_are_let_be():
    speech = speech_map((0.0, 18.0), duration_s=18.0)

    repairs = plan_repairs(speech, Span(0.0, 18.0), [Span(1.2, 8.0), Span(9.5, 18.0)])

    assert repairs == ()


def test_a_repair_stays_inside_its_window():
    speech = speech_map((0.0, 30.0), duration_s=30.0)

    repairs = plan_repairs(speech, Span(10.0, 20.0), [])

    assert repairs == (Span(10.0, 20.0),)


def test_a_gap_that_is_too_long_is_cut_at_a_pause():
    speech = speech_map((0.0, 18.0), duration_s=18.0)
    speech.probabilities[round(9.0 / FRAME_S) : round(9.5 / FRAME_S)] = 0.0

    first, second = plan_repairs(speech, Span(0.0, 18.0), [], max_s=10.0)

    assert 9.0 < first.end_s == second.start_s < 9.5


@given(recordings(), st.lists(st.tuples(st.floats(0, 150), st.floats(0, 20)), max_size=6))
def test_repairs_hold_all_that_is_missing_and_lie_inside_their_window(speech, texts):
    said = merge_spans(Span(start_s, start_s + length_s) for start_s, length_s in texts)

    for window in heard(plan_windows(speech)):
        repairs = plan_repairs(speech, window, said)

        covered = pad_spans(said, TOLERANCE_S, speech.duration_s)
        missing = subtract_spans(intersect_spans(speech.spans, [window]), covered)
        left_out = subtract_spans(missing, merge_spans(repairs))
        assert all(gap.length_s < GAP_S for gap in left_out)
        assert all(window.start_s <= r.start_s < r.end_s <= window.end_s for r in repairs)
        assert list(repairs) == sorted(repairs, key=lambda span: span.start_s)
