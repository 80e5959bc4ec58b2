"""What crosses the socket arrives as it was."""

import json
import math
from dataclasses import asdict

import pytest

from domain.errors import AudioTooLong, EngineError, OutOfMemory
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
from domain.windows import Window
from hosting.wire import error_of, plain_error, transcript_of, window_of

SEGMENT = Segment(
    id=3,
    seek=3000,
    start=30.1,
    end=31.7 + 1e-15,
    text=" Grüße, 世界.",
    tokens=(50364, 7, 50400),
    temperature=0.2,
    avg_logprob=-0.123456789012345,
    compression_ratio=math.nan,
    no_speech_prob=None,
    words=(Word(" Grüße,", 30.1, 30.9, 0.75), Word(" 世界.", 30.9, 31.7)),
)


def cross(value):
    return json.loads(json.dumps(value))


def test_a_window_arrives_as_it_was():
    window = Window(2, 6000, "fake", "base", (SEGMENT,), {"language": "de", "plan": 1})

    arrived = window_of(cross(asdict(window)))

    assert repr(arrived) == repr(window)  # nan is not equal to itself


@pytest.mark.parametrize(
    "coverage",
    [
        None,
        Coverage(9.5, 8.0, 0.84, (Gap(1.0, 2.5),), (Suspicion("hallucination", "x", 1, 2, (3,)),)),
    ],
)
def test_a_transcript_arrives_as_it_was(coverage):
    transcript = Transcript(
        segments=(SEGMENT,),
        language="de",
        language_probability=0.5,
        task="transcribe",
        duration_s=31.7,
        model_requested="small",
        model_used="base",
        engine="fake",
        device="cuda:1",
        fallbacks=(Fallback("smaller_model", "decode", "small", "base", "no room"),),
        warnings=(Warning_("audio_silent", "nothing to hear"),),
        timings_s={"decode_s": 0.1},
        coverage=coverage,
    )

    arrived = transcript_of(cross(asdict(transcript)))

    assert repr(arrived) == repr(transcript)


def raised(error):
    try:
        raise error  # noqa: TRY301 - for its traceback
    except Exception as caught:  # noqa: BLE001 - any of them
        return caught


@pytest.mark.parametrize(
    "error",
    [OutOfMemory("no room", device="cuda:0", needed_mb=3), AudioTooLong("long", maximum_s=5)],
)
def test_an_error_of_ours_keeps_its_class_its_message_and_its_details(error):
    arrived = error_of(cross(plain_error(raised(error))))

    assert type(arrived) is type(error)
    assert (arrived.message, dict(arrived.details)) == (error.message, dict(error.details))


def test_an_unknown_error_is_an_engine_error_that_shows_where_it_was_raised():
    arrived = error_of(cross(plain_error(raised(ZeroDivisionError("division by zero")))))

    assert type(arrived) is EngineError
    assert arrived.message == "ZeroDivisionError: division by zero"
    assert "in raised" in arrived.__notes__[0]


def test_details_that_are_no_plain_values_do_not_hinder_the_error():
    error = raised(OutOfMemory("no room", device=object()))

    arrived = error_of(json.loads(json.dumps(plain_error(error), default=str)))

    assert "object" in arrived.details["device"]
