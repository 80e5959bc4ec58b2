import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.speech import Span
from tests.unit.engines.batched.heard_out import (
    four_talks,
    hear_out,
    let_out_all,
    one_window,
)
from tests.unit.engines.batched.scripted import (
    STAMPS_FROM,
    ScriptedListener,
    make_run,
    said,
    said_throughout,
    span_of,
    speech_map,
)


def take_all(run):
    return list(iter(run.next_request, None))


def test_windows_leave_in_order_of_time_in_whatever_order_they_come_back():
    run = make_run(four_talks())
    first, second, third, fourth = take_all(run)

    shares = []
    for part, request in (fourth, second, first, third):
        run.accept(part, said_throughout(span_of(request)))
        shares.append(let_out_all(run))

    assert shares[:2] == [[], []]
    assert len(shares[2]) == 2
    assert shares[3][-1] == 1.0
    assert [segment.start for segment in run.segments] == [0.0, 19.0, 40.0, 110.0]


@given(st.integers(0, 1000), st.integers(1, 5))
def test_the_order_of_decoding_changes_nothing(seed, company):
    alone, together = make_run(four_talks()), make_run(four_talks())
    hear_out(alone)

    hear_out(together, company=company, rng=np.random.default_rng(seed))

    assert together.segments == alone.segments


def test_silence_leaves_at_once_and_is_not_encoded():
    listener = ScriptedListener()
    run = make_run(speech_map(duration_s=70.0), listener=listener)

    shares = let_out_all(run)

    assert shares == [30.0 / 70.0, 1.0]
    assert run.next_request() is None
    assert listener.encoded == []


def test_an_empty_recording_is_done_after_one_window():
    run = make_run(speech_map(duration_s=0.0))

    assert let_out_all(run) == [1.0]
    assert run.is_done


def test_segments_are_numbered_and_say_where_their_window_starts():
    run = make_run(four_talks())

    hear_out(run)

    assert [segment.id for segment in run.segments] == [0, 1, 2, 3]
    assert [segment.seek for segment in run.segments] == [0, 1900, 4000, 11000]
    assert [segment.end for segment in run.segments] == [18.0, 38.0, 55.0, 129.0]


def test_a_segment_carries_what_the_decoder_said_of_its_window():
    run = make_run(one_window())

    hear_out(run, lambda _: said((0.0, "Call me", 9.0), (9.0, "Ishmael.", 18.0), avg_logprob=-0.3))

    first, second = run.segments
    assert (first.text, second.text) == (" Call me", " Ishmael.")
    assert first.tokens[0] == STAMPS_FROM
    assert (first.start, first.end, second.start, second.end) == (0.0, 9.0, 9.0, 18.0)
    assert first.avg_logprob == pytest.approx(-0.3)
    assert (first.temperature, first.no_speech_prob, first.words) == (0.0, 0.0, None)
    assert first.compression_ratio == second.compression_ratio > 0


def test_an_unfinished_last_segment_is_kept_up_to_the_end_of_its_window():
    run = make_run(one_window())

    hear_out(run, lambda _: said((0.0, "First.", 9.0), (9.5, "and", None)))

    assert [(s.text, s.start, s.end) for s in run.segments] == [
        (" First.", 0.0, 9.0),
        (" and", 9.5, 18.0),
    ]


def test_a_text_that_reaches_beyond_its_window_ends_with_it():
    run = make_run(one_window())

    hear_out(run, lambda _: said((0.0, "Long.", 29.0)))

    assert [(segment.start, segment.end) for segment in run.segments] == [(0.0, 18.0)]


def test_text_behind_the_end_of_its_window_is_no_segment():
    run = make_run(one_window())

    hear_out(run, lambda _: said((0.0, "All.", 18.0), (20.0, "Thanks for watching!", 22.0)))

    assert [segment.text for segment in run.segments] == [" All."]


def test_the_language_is_settled_once_on_the_windows_with_speech():
    listener = ScriptedListener()
    run = make_run(speech_map((40.0, 55.0), (110.0, 112.0), duration_s=140.0), listener=listener)

    hear_out(run)

    assert listener.asked_plan == [Span(40.0, 55.0), Span(110.0, 112.0)]


def test_features_of_a_window_that_is_done_are_let_go():
    run = make_run(one_window())
    part, request = run.next_request()

    run.accept(part, said_throughout(span_of(request)))

    assert part.features is None
