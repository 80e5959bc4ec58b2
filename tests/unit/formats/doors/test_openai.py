"""Transcripts in the shapes of OpenAI's audio API."""

import json
import math
from dataclasses import replace

import pytest

from domain.transcript import Word
from formats.doors.openai import delta_event, done_event, error_body, render_answer
from tests.unit.formats.transcripts import make_segment, make_transcript

WORDS = (Word(" Hello", 0.0, 0.5), Word(" there.", 0.5, 1.0))


@pytest.fixture
def transcript():
    first = make_segment(" Hello there.", 0.0, 1.0, *WORDS)
    second = make_segment(" General <b>.", 1.0, 2.25, number=1)
    segments = (replace(first, tokens=(1, 2, 3)), replace(second, tokens=(4,)))
    return make_transcript(*segments)


def render(transcript, name, **asked):
    return render_answer(transcript, {"response_format": name, "model": "whisper-1", **asked})


def test_json_is_the_text_and_the_seconds_that_were_heard(transcript):
    answer = render(transcript, "json")

    assert answer.media_type == "application/json"
    assert json.loads(answer.body) == {
        "text": "Hello there. General <b>.",
        "usage": {"type": "duration", "seconds": 3},
    }


def test_the_one_model_that_names_languages_names_them(transcript):
    asked = {"response_format": "json", "model": "gpt-transcribe"}

    assert json.loads(render_answer(transcript, asked).body)["languages"] == [{"code": "en"}]
    assert done_event(transcript, asked)["languages"] == [{"code": "en"}]


def test_text_is_one_line(transcript):
    answer = render(transcript, "text")

    assert (answer.body, answer.media_type) == ("Hello there. General <b>.\n", "text/plain")


@pytest.mark.parametrize(
    ("name", "start", "media_type"),
    [("srt", "1\n00:00:00,000 -->", "application/x-subrip"), ("vtt", "WEBVTT\n", "text/vtt")],
)
def test_subtitles_are_those_of_every_door(transcript, name, start, media_type):
    answer = render(transcript, name)

    assert answer.body.startswith(start)
    assert answer.media_type == media_type


@pytest.mark.parametrize(
    ("granularities", "parts"),
    [
        (None, {"segments"}),
        (["segment"], {"segments"}),
        (["word"], {"words"}),
        (["word", "segment"], {"words", "segments"}),
    ],
)
def test_verbose_json_has_the_parts_that_were_asked_for(transcript, granularities, parts):
    answer = render(transcript, "verbose_json", timestamp_granularities=granularities)

    body = json.loads(answer.body)
    assert parts == set(body) & {"segments", "words"}
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "english", 2.25)


def test_a_segment_has_what_openais_client_reads(transcript):
    (first, _) = json.loads(render(transcript, "verbose_json").body)["segments"]

    assert set(first) == {
        *("id", "seek", "start", "end", "text", "tokens", "temperature"),
        *("avg_logprob", "compression_ratio", "no_speech_prob"),
    }


def test_a_translation_is_in_english_whatever_was_spoken(transcript):
    spoken_in_german = replace(transcript, language="de", task="translate")

    assert json.loads(render(spoken_in_german, "verbose_json").body)["language"] == "english"


def test_a_number_that_json_does_not_know_is_null(transcript):
    odd = replace(transcript.segments[0], avg_logprob=math.nan)

    body = json.loads(render(replace(transcript, segments=(odd,)), "verbose_json").body)

    assert body["segments"][0]["avg_logprob"] is None


def test_a_recording_without_speech_has_an_empty_text():
    silent = make_transcript()

    assert json.loads(render(silent, "json").body)["text"] == ""
    assert render(silent, "text").body == "\n"
    assert render(silent, "srt").body == ""


def test_the_events_of_a_stream_have_their_documented_shapes(transcript):
    assert delta_event("Hello") == {"type": "transcript.text.delta", "delta": "Hello"}
    assert done_event(transcript, {"model": "gpt-4o-transcribe"}) == {
        "type": "transcript.text.done",
        "text": "Hello there. General <b>.",
        "usage": {
            "type": "tokens",
            "input_tokens": 113,
            "input_token_details": {"audio_tokens": 113},
            "output_tokens": 4,
            "total_tokens": 117,
        },
    }


def test_an_error_has_its_four_parts():
    assert error_body("no", "server_error", None, "internal_error") == {
        "error": {
            "message": "no",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }
    }
