import math

import pytest

from domain.transcript import Fallback, Segment, Transcript, Warning_, confidence


def make_segment(index=0, text=" one two", avg_logprob=-0.5, tokens=(1, 2, 3)):
    return Segment(
        id=index, seek=0, start=0.0, end=1.0, text=text, tokens=tokens, avg_logprob=avg_logprob
    )


def make_transcript(*segments):
    return Transcript(
        segments=segments,
        language="en",
        language_probability=None,
        task="transcribe",
        duration_s=1.0,
        model_requested="small",
        model_used="base",
        engine="fake",
        device="cpu",
        fallbacks=(Fallback("smaller_model", "load", "small", "base", "no room"),),
        warnings=(Warning_("audio_damaged", "half of it is gone"),),
    )


def test_the_text_is_joined_as_whisper_joins_it():
    transcript = make_transcript(make_segment(0, " One two,"), make_segment(1, " three."))

    assert transcript.text == "One two, three."
    assert transcript.word_count == 3


def test_confidence_is_the_geometric_mean_probability_of_a_token():
    segments = [
        make_segment(avg_logprob=-0.2, tokens=(1,)),
        make_segment(avg_logprob=-0.8, tokens=(1, 2, 3)),
    ]

    assert confidence(segments) == pytest.approx(math.exp(-(0.2 + 3 * 0.8) / 4))


def test_confidence_is_null_when_nothing_is_known():
    assert confidence([]) is None
    assert confidence([make_segment(avg_logprob=None)]) is None
