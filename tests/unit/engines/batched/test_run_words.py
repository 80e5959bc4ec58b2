import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.speech import Span
from tests.unit.engines.batched.heard_out import four_talks, hear_out, let_out_all, one_window
from tests.unit.engines.batched.scripted import (
    OPTIONS,
    WITH_WORDS,
    ScriptedListener,
    make_run,
    said,
    said_throughout,
    span_of,
)


def run_with_words(speech, words_at_a_time=1, **options):
    listener = ScriptedListener(words_at_a_time=words_at_a_time)
    return make_run(speech, WITH_WORDS, listener=listener, **options), listener


def groups(listener):
    """Where the windows begin for which words were found at a time, in seconds."""
    return [[part.span.start_s for part in parts] for parts in listener.asked_words]


def accept(run, *taken):
    for part, request in taken:
        run.accept(part, said_throughout(span_of(request)))


def test_words_are_found_once_in_each_window_with_text():
    run, listener = run_with_words(four_talks())
    texts = {19.0: said((0.0, "", 19.0))}

    hear_out(run, lambda span: texts.get(span.start_s) or said_throughout(span))

    parts = [part for parts in listener.asked_words for part in parts]
    assert [part.span for part in parts] == [Span(0.0, 18.0), Span(40.0, 55.0), Span(110.0, 129.0)]
    assert all(part.features[0, 0] == part.span.start_s for part in parts)
    assert all(len(segment.words) == 1 for segment in run.segments)


def test_words_that_nobody_asked_for_are_not_looked_for():
    listener = ScriptedListener()
    run = make_run(four_talks(), OPTIONS, listener=listener)

    hear_out(run)

    assert listener.asked_words == []
    assert all(segment.words is None for segment in run.segments)


def test_a_group_that_is_full_is_not_kept_waiting():
    run, listener = run_with_words(four_talks(), words_at_a_time=2)
    first, second, third, _ = iter(run.next_request, None)

    accept(run, third)
    waiting = groups(listener)
    accept(run, second)

    assert waiting == []
    assert groups(listener) == [[19.0, 40.0]]
    accept(run, first)
    assert groups(listener) == [[19.0, 40.0]]


def test_a_window_that_leaves_takes_others_along_into_its_group():
    run, listener = run_with_words(four_talks(), words_at_a_time=8)
    first, second, third, fourth = iter(run.next_request, None)

    accept(run, fourth, second)
    held = let_out_all(run)
    accept(run, first)
    left = let_out_all(run)

    assert (held, len(left)) == ([], 2)
    assert groups(listener) == [[0.0, 19.0, 110.0]]
    accept(run, third)
    let_out_all(run)
    assert groups(listener) == [[0.0, 19.0, 110.0], [40.0]]
    assert run.is_done


def test_a_window_in_many_parts_has_all_its_words_when_it_leaves():
    texts = {0.0: said((0.0, "The end.", 2.0), (15.0, "Fin.", 18.0))}
    run, listener = run_with_words(one_window(), words_at_a_time=8)

    hear_out(run, lambda span: texts.get(span.start_s) or said_throughout(span))

    assert [len(parts) for parts in listener.asked_words] == [2]
    assert [segment.text for segment in run.segments] == [" The end.", " from 2.1", " Fin."]
    assert all(segment.words for segment in run.segments)


def test_what_is_heard_again_does_not_depend_on_words():
    def answer(span):
        return said((0.0, "Half of it.", span.length_s * 0.6))

    plain = make_run(four_talks())
    plainly = [span_of(request) for request in hear_out(plain, answer)]

    run, _ = run_with_words(four_talks())
    with_words = [span_of(request) for request in hear_out(run, answer)]

    assert with_words == plainly
    assert [s.text for s in run.segments] == [s.text for s in plain.segments]


@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from([1, 2, 3, 8]))
def test_neither_the_order_of_decoding_nor_the_groups_change_anything(seed, company, at_a_time):
    alone, _ = run_with_words(four_talks())
    hear_out(alone)

    together, _ = run_with_words(four_talks(), at_a_time)
    hear_out(together, company=company, rng=np.random.default_rng(seed))

    assert together.segments == alone.segments


@pytest.mark.parametrize("kept", range(5))
def test_after_some_windows_the_rest_has_the_words_of_an_undisturbed_run(kept):
    windows = []
    undisturbed, _ = run_with_words(four_talks(), words_at_a_time=8, on_window=windows.append)
    hear_out(undisturbed, company=4)

    resumed, _ = run_with_words(four_talks(), words_at_a_time=8, resume=windows[:kept])
    hear_out(resumed)

    assert resumed.segments == undisturbed.segments
