import json
from dataclasses import replace

from domain.transcript import (
    Coverage,
    Fallback,
    Gap,
    Segment,
    Suspicion,
    Transcript,
    Warning_,
    Word,
)
from models import TranscriptionResult
from services.results import result_values, transcript_of


def make_transcript(text=" one two"):
    words = (Word(" one", 0.0, 0.5, 0.9), Word(" two", 0.5, 1.0, None))
    return Transcript(
        segments=(
            Segment(id=0, seek=0, start=0.0, end=1.0, text=text, tokens=(5, 6), words=words),
            Segment(id=1, seek=0, start=1.0, end=2.0, text=" three", avg_logprob=-0.5),
        ),
        language="en",
        language_probability=None,
        task="transcribe",
        duration_s=2.0,
        model_requested="small",
        model_used="base",
        engine="fake",
        device="cpu",
        fallbacks=(Fallback("smaller_model", "load", "small", "base", "no room"),),
        warnings=(Warning_("audio_damaged", "half of it is gone"),),
        timings_s={"transcribe_s": 1.5},
        coverage=Coverage(
            speech_s=2.0,
            transcribed_s=1.0,
            share=0.5,
            gaps=(Gap(1.0, 2.0),),
            suspicions=(Suspicion("hallucination", "no_speech_found", 0.0, 1.0, (0,)),),
        ),
    )


def test_a_transcript_comes_back_from_the_database_as_it_was():
    transcript = make_transcript()

    columns = json.loads(json.dumps(result_values(transcript)))

    assert transcript_of(TranscriptionResult(**columns)) == transcript


def test_a_result_from_before_coverage_was_measured_is_still_read():
    columns = result_values(make_transcript())
    del columns["coverage"]

    transcript = transcript_of(TranscriptionResult(**columns))

    assert transcript.coverage is None
    assert transcript.text == "one two three"


def test_a_character_that_postgres_refuses_does_not_lose_the_result():
    columns = result_values(make_transcript(text=" one\x00 two"))

    assert columns["transcription_text"] == "one two three"
    assert columns["segments"][0]["text"] == " one two"


def test_a_number_that_json_does_not_know_does_not_lose_the_result():
    segment = Segment(id=0, seek=0, start=0.0, end=1.0, text=" one", avg_logprob=float("nan"))

    columns = result_values(replace(make_transcript(), segments=(segment,)))

    assert columns["segments"][0]["avg_logprob"] is None
    assert columns["segments"][0]["end"] == 1.0
