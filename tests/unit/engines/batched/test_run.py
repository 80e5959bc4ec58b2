import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.options import TranscriptionOptions
from domain.speech import Span
from engines.batched.plan import plan_windows
from engines.batched.run import MAX_PROMPT_TOKENS, MAX_REPAIRS
from tests.kept_windows import through_json
from tests.unit.engines.batched.scripted import (
    STAMPS_FROM,
    TOKENIZER,
    ScriptedListener,
    make_run,
    said,
    said_throughout,
    span_of,
    speech_map,
)

TALK = [(0.0, 18.0), (19.0, 38.0), (40.0, 55.0), (110.0, 112.0), (115.0, 129.0)]
REPEATED = "and then again " * 40
REFUSED = {  # what sends a window to the next temperature
    "unlikely": lambda span: said((0.0, "perhaps", span.length_s), avg_logprob=-1.1),
    "repetitive": lambda span: said_throughout(span, REPEATED),
    "repetitive over what may be silence": lambda span: said(
        (0.0, REPEATED, span.length_s), no_speech_prob=0.9
    ),
}


def four_talks():
    return speech_map(*TALK, duration_s=140.0)


def one_window(length_s=18.0):
    return speech_map((0.0, length_s), duration_s=length_s)


def let_out_all(run):
    shares = []
    while run.let_out_next():
        shares.append(run.share)
    return shares


def hear_out(run, answer=said_throughout, *, company=1, rng=None):
    """Decode everything, `company` windows at a time; `answer` has the text for each."""
    requests, in_slots = [], []
    while not run.is_done:
        while len(in_slots) < company and (taken := run.next_request()):
            in_slots.append(taken)
            requests.append(taken[1])
        if in_slots:
            part, request = in_slots.pop(rng.integers(len(in_slots)) if rng else 0)
            run.accept(part, answer(span_of(request)))
        let_out_all(run)
    return requests


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


def test_words_are_looked_for_once_in_each_window_with_text():
    listener = ScriptedListener()
    run = make_run(four_talks(), listener=listener)
    texts = {19.0: said((0.0, "", 19.0))}

    hear_out(run, lambda span: texts.get(span.start_s) or said_throughout(span))

    spans = [span for span, _ in listener.asked_words]
    assert spans == [Span(0.0, 18.0), Span(40.0, 55.0), Span(110.0, 129.0)]
    assert all(features[0, 0] == span.start_s for span, features in listener.asked_words)


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


@pytest.mark.parametrize("kept", range(5))
def test_after_some_windows_the_rest_is_that_of_an_undisturbed_run(kept):
    windows, added = [], []
    undisturbed = make_run(four_talks(), on_window=windows.append)
    hear_out(undisturbed)

    resumed = make_run(four_talks(), resume=through_json(windows[:kept]), on_window=added.append)
    requests = hear_out(resumed)

    assert resumed.segments == undisturbed.segments
    assert added == windows[kept:]
    assert len(requests) == sum(
        window.speech is not None for window in plan_windows(four_talks())[kept:]
    )


def test_kept_windows_hand_over_where_the_plan_does_and_carry_the_language():
    windows = []

    hear_out(make_run(four_talks(), on_window=windows.append))

    ends_s = [window.end_s for window in plan_windows(four_talks())]
    assert [window.next_seek for window in windows] == [round(s * 100) for s in ends_s[:-1]]
    assert [window.number for window in windows] == list(range(len(windows)))
    assert all(window.carried == {"language": "en"} for window in windows)


@pytest.mark.parametrize(
    "other",
    [
        speech_map((0.0, 17.0), *TALK[1:], duration_s=140.0),
        speech_map((0.0, 18.0), duration_s=18.0),
    ],
    ids=["cut elsewhere", "fewer windows than are kept"],
)
def test_kept_windows_that_were_cut_at_other_places_are_decoded_anew(other):
    windows, added = [], []
    hear_out(make_run(four_talks(), on_window=windows.append))

    resumed = make_run(other, resume=windows, on_window=added.append)
    hear_out(resumed)

    assert resumed.segments[0].end == other.spans[0].end_s
    assert [window.number for window in added] == list(range(len(added)))


def test_without_a_prompt_there_are_the_tokens_of_the_start_alone():
    _, request = make_run(one_window()).next_request()

    assert request.prompt == TOKENIZER.sot_sequence
    assert request.sot_index == 0


def test_an_initial_prompt_stands_before_the_start_of_every_window():
    options = TranscriptionOptions("tiny", initial_prompt="  Doctor Manette ")

    requests = hear_out(make_run(four_talks(), options))

    prompt = (TOKENIZER.sot_prev, *TOKENIZER.encode(" Doctor Manette"), *TOKENIZER.sot_sequence)
    assert {request.prompt for request in requests} == {prompt}
    assert {request.prompt[request.sot_index] for request in requests} == {TOKENIZER.sot}


def test_of_a_long_prompt_the_end_counts():
    text = " ".join(f"word{number}" for number in range(200))

    _, request = make_run(
        one_window(), TranscriptionOptions("tiny", initial_prompt=text)
    ).next_request()

    assert MAX_PROMPT_TOKENS == 223  # what openai-whisper keeps
    assert request.sot_index == 1 + 223
    assert TOKENIZER.decode(list(request.prompt[1:224])).endswith(" word199")


@pytest.mark.parametrize("prompt", [None, "", "   "])
def test_a_prompt_of_blanks_is_none(prompt):
    options = TranscriptionOptions("tiny", initial_prompt=prompt)

    _, request = make_run(one_window(), options).next_request()

    assert request.prompt == TOKENIZER.sot_sequence
