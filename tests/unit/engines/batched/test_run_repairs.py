import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.batched.run import MAX_REPAIRS
from tests.unit.engines.batched.heard_out import (
    REPEATED,
    four_talks,
    hear_out,
    one_window,
)
from tests.unit.engines.batched.scripted import (
    make_run,
    said,
    said_throughout,
    span_of,
)


def test_speech_that_a_text_leaves_out_is_heard_again_by_itself():
    texts = {0.0: said((0.0, "The end.", 2.0), (15.0, "Fin.", 18.0))}
    run = make_run(one_window())

    requests = hear_out(run, lambda span: texts.get(span.start_s) or said_throughout(span))

    repaired = span_of(requests[1])
    assert (round(repaired.start_s, 2), round(repaired.end_s, 2)) == (2.1, 14.9)
    assert [segment.text for segment in run.segments] == [" The end.", " from 2.1", " Fin."]
    assert [segment.id for segment in run.segments] == [0, 1, 2]


def test_a_repair_comes_before_the_windows_that_follow():
    run = make_run(four_talks())
    part, _ = run.next_request()

    run.accept(part, said((0.0, "Short.", 2.0)))

    _, request = run.next_request()
    assert span_of(request).start_s == pytest.approx(2.1)


def test_a_window_leaves_when_its_repairs_are_done():
    run = make_run(one_window())
    run.accept(run.next_request()[0], said((0.0, "Short.", 2.0)))

    assert not run.let_out_next()

    part, request = run.next_request()
    run.accept(part, said_throughout(span_of(request)))
    assert run.let_out_next()


def test_speech_in_which_nothing_was_heard_is_not_heard_again():
    run = make_run(one_window())

    requests = hear_out(run, lambda span: said((0.0, "", span.length_s)))

    assert len(requests) == 1


def test_what_is_left_out_again_and_again_is_let_be():
    run = make_run(one_window())

    requests = hear_out(run, lambda _: said((0.0, "Hm.", 0.5)))

    assert len(requests) == 1 + MAX_REPAIRS
    assert [segment.text for segment in run.segments] == [" Hm."] * 3


@given(st.integers(0, 1000), st.integers(1, 5))
def test_whatever_is_left_out_a_run_comes_to_its_end_in_order(seed, company):
    rng = np.random.default_rng(seed)

    def answer(span):
        start_s, end_s = sorted(rng.uniform(0, 30, 2))
        return said(
            (start_s, REPEATED if rng.random() < 0.1 else "So.", end_s),
            avg_logprob=-rng.uniform(0, 1.5),
            no_speech_prob=rng.random(),
        )

    run = make_run(four_talks())
    hear_out(run, answer, company=company, rng=rng)

    starts = [segment.start for segment in run.segments]
    assert starts == sorted(starts)
    assert [segment.id for segment in run.segments] == list(range(len(starts)))
    assert all(0 <= s.start < s.end <= 140.0 for s in run.segments)
