from datetime import UTC, datetime
from uuid import UUID

import pytest
from deepgram.types.listen_v1response import ListenV1Response

from domain.transcript import Fallback, Warning_, Word
from formats.doors.deepgram import render_accepted, render_error, render_listen
from tests.unit.formats.transcripts import evenly, make_segment, make_transcript

REQUEST_ID = UUID("0197a000-0000-7000-8000-000000000001")
CREATED_AT = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


def spoken(text=" Hello, world. And you?", **changes):
    segment = make_segment(text, 0.0, 4.0, *evenly(text, 0.0, 1.0))
    return make_transcript(segment, **changes)


def render(transcript=None, **asked):
    return render_listen(
        transcript or spoken(),
        request_id=REQUEST_ID,
        sha256="ab" * 32,
        created_at=CREATED_AT,
        asked=asked,
    )


def alternative(answer):
    return answer["results"]["channels"][0]["alternatives"][0]


def test_an_answer_is_what_the_official_client_reads():
    body = render(paragraphs=True, utterances=True, tag=["a"], extra={"k": "v"})

    read = ListenV1Response.model_validate(body)

    assert str(REQUEST_ID) == read.metadata.request_id
    assert read.metadata.tags == ["a"]
    assert body["metadata"]["extra"] == {"k": "v"}
    assert body["metadata"]["created"] == "2026-01-31T12:00:00.123Z"
    assert read.results.utterances[0].words[0].punctuated_word == "Hello,"


def test_words_stand_bare_and_as_written():
    word = alternative(render())["words"][0]

    assert word == {
        "word": "hello",
        "start": 0.0,
        "end": 1.0,
        "confidence": 0.0,
        "punctuated_word": "Hello,",
    }


def test_without_punctuation_there_is_none_anywhere():
    found = alternative(render(punctuate=False))

    assert found["transcript"] == "hello world and you"
    assert all("punctuated_word" not in word for word in found["words"])


def test_paragraphs_and_utterances_are_there_only_when_asked_for():
    answer = render()

    assert "paragraphs" not in alternative(answer)
    assert "utterances" not in answer["results"]


def test_paragraphs_hold_sentences_with_their_times():
    found = alternative(render(paragraphs=True))["paragraphs"]

    assert found["transcript"] == "Hello, world. And you?"
    assert found["paragraphs"][0]["num_words"] == 4
    assert found["paragraphs"][0]["sentences"][1] == {"text": "And you?", "start": 2.0, "end": 4.0}


def test_utterances_split_at_the_pause_that_was_asked_for():
    words = (Word(" one", 0.0, 1.0, 0.5), Word(" two", 2.0, 3.0, 0.5))
    transcript = make_transcript(make_segment(" one two", 0.0, 3.0, *words))

    short = render(transcript, utterances=True)["results"]["utterances"]
    long = render(transcript, utterances=True, utt_split=1.5)["results"]["utterances"]

    assert [found["transcript"] for found in short] == ["one", "two"]
    assert [found["transcript"] for found in long] == ["one two"]
    assert short[0]["confidence"] == 0.5
    assert short == render(transcript, utterances=True)["results"]["utterances"]  # ids included


@pytest.mark.parametrize(("probability", "is_told"), [(0.9, True), (None, False)])
def test_the_language_is_told_when_it_was_found_out(probability, is_told):
    channel = render(spoken(language_probability=probability))["results"]["channels"][0]

    assert (channel.get("detected_language") == "en") is is_told


def test_nothing_that_a_reader_must_know_is_hidden():
    transcript = spoken(
        model_used="tiny",
        fallbacks=(Fallback("smaller_model", "load", "base", "tiny", "out of memory"),),
        warnings=(Warning_("audio_repaired", "the file was damaged"),),
    )

    metadata = render(transcript)["metadata"]

    assert metadata["models"] == ["tiny"]
    assert metadata["warnings"] == [
        {"type": "fallback_smaller_model", "message": "out of memory"},
        {"type": "audio_repaired", "message": "the file was damaged"},
    ]


def test_a_recording_without_speech_has_an_empty_transcript():
    found = alternative(render(make_transcript(), paragraphs=True, utterances=True))

    assert found == {
        "transcript": "",
        "confidence": 0.0,
        "words": [],
        "paragraphs": {"transcript": "", "paragraphs": []},
    }


def test_a_request_with_a_callback_gets_its_id():
    assert render_accepted(REQUEST_ID) == {"request_id": str(REQUEST_ID)}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "option_invalid", "INVALID_QUERY_PARAMETER"),
        (400, "source_unavailable", "REMOTE_CONTENT_ERROR"),
        (400, "audio_unreadable", "Bad Request"),
        (401, "api_key_invalid", "INVALID_AUTH"),
        (403, "scope_missing", "INSUFFICIENT_PERMISSIONS"),
        (413, "upload_too_large", "Payload Too Large"),
        (429, "rate_limited", "TOO_MANY_REQUESTS"),
        (503, "server_busy", "SERVICE_UNAVAILABLE"),
    ],
)
def test_errors_have_the_codes_that_clients_match_on(status, code, expected):
    error = render_error(status, code, "model: no", "request-1")

    assert error == {"err_code": expected, "err_msg": "model: no", "request_id": "request-1"}
