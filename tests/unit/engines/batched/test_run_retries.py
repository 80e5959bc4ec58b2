import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.options import TranscriptionOptions
from tests.unit.engines.batched.heard_out import (
    REFUSED,
    four_talks,
    hear_out,
    one_window,
)
from tests.unit.engines.batched.scripted import (
    ScriptedListener,
    make_run,
    said,
    said_throughout,
    span_of,
)


def take_all(run):
    return list(iter(run.next_request, None))


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_only_a_failed_window_is_drawn_again_at_the_next_temperature(refused):
    listener = ScriptedListener()
    run = make_run(four_talks(), listener=listener)
    (bad, request), (good, other), *_ = take_all(run)

    run.accept(bad, refused(span_of(request)))
    run.accept(good, said_throughout(span_of(other)))

    [(again, hotter)] = take_all(run)
    assert (again, hotter.temperature) == (bad, 0.2)
    assert hotter.features is request.features
    assert len(listener.encoded) == 4


def test_when_no_temperature_helps_the_text_of_the_last_is_taken():
    run = make_run(one_window())

    requests = hear_out(run, REFUSED["repetitive"])

    assert [request.temperature for request in requests] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert len(run.segments) == 1


def test_a_chosen_temperature_stands_alone():
    run = make_run(one_window(), TranscriptionOptions("tiny", temperature=0.4))

    requests = hear_out(run, REFUSED["unlikely"])

    assert [request.temperature for request in requests] == [0.4]
    assert len(run.segments) == 1


def test_a_window_without_speech_gives_nothing_and_is_not_drawn_again():
    run = make_run(one_window())

    requests = hear_out(
        run, lambda _: said((0.0, "Thank you.", 18.0), avg_logprob=-1.5, no_speech_prob=0.7)
    )

    assert [request.temperature for request in requests] == [0.0]
    assert run.segments == []
    assert run.is_done


def test_a_confident_text_outweighs_the_no_speech_token():
    run = make_run(one_window())

    hear_out(run, lambda _: said((0.0, "Really.", 18.0), avg_logprob=-0.5, no_speech_prob=0.9))

    assert [segment.text for segment in run.segments] == [" Really."]


def test_text_of_blanks_is_no_segment():
    run = make_run(one_window())

    hear_out(run, lambda span: said((0.0, " ", span.length_s)))

    assert run.segments == []


def test_every_draw_has_a_seed_of_its_own():
    run = make_run(four_talks())

    requests = hear_out(run, REFUSED["unlikely"])

    assert len({request.seed for request in requests}) == len(requests) == 4 * 6


@given(st.integers(0, 1000))
def test_a_seed_depends_on_the_place_and_the_try_alone(seed):
    rng = np.random.default_rng(seed)
    alone = hear_out(make_run(four_talks()), REFUSED["unlikely"])

    together = hear_out(make_run(four_talks()), REFUSED["unlikely"], company=4, rng=rng)

    def seeds(requests):
        return {(span_of(r), r.temperature): r.seed for r in requests}

    assert seeds(together) == seeds(alone)
