from datetime import UTC, datetime
from uuid import UUID

import pytest
from assemblyai import types

from domain.lifecycle import JobStatus
from domain.transcript import Warning_, Word
from formats.doors import assemblyai_fields as fields
from formats.doors.assemblyai import (
    TranscriptJob,
    render_item,
    render_matches,
    render_notice,
    render_paragraphs,
    render_sentences,
    render_transcript,
)
from tests.unit.formats.transcripts import evenly, make_segment, make_transcript

JOB_ID = UUID("0197a000-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ASKED = {"audio_url": "https://example.org/talk.mp3"}


def make_job(status=JobStatus.PENDING, **changes):
    values = {
        "job_id": JOB_ID,
        "status": status,
        "created_at": NOW,
        "completed_at": NOW if status == JobStatus.COMPLETED else None,
        "language": None,
        "duration_s": 3.6,
        "error": None,
        "asked": ASKED,
    }
    return TranscriptJob(**{**values, **changes})


def spoken(text=" Hello, Bob. And you?"):
    return make_transcript(make_segment(text, 0.0, 4.0, *evenly(text, 0.0, 1.0)))


def completed(**asked):
    return render_transcript(make_job(JobStatus.COMPLETED, asked={**ASKED, **asked}), spoken())


def test_a_transcript_has_every_key_that_the_official_client_knows():
    body = completed()

    assert set(types.TranscriptResponse.model_fields) <= set(body)
    assert types.TranscriptResponse.model_validate(body).audio_duration == 4


def test_every_option_of_the_official_client_is_known():
    assert set(types.RawTranscriptionConfig.model_fields) <= fields.OPTIONS


def test_words_have_times_in_milliseconds():
    body = completed()

    assert body["text"] == "Hello, Bob. And you?"
    assert body["words"][1] == {
        "text": "Bob.",
        "start": 1000,
        "end": 2000,
        "confidence": 0.0,
        "speaker": None,
        "channel": None,
    }


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"punctuate": False}, "Hello Bob And you"),
        ({"format_text": False}, "hello, bob. and you?"),
        ({"punctuate": False, "format_text": False}, "hello bob and you"),
    ],
)
def test_text_is_written_as_asked(asked, text):
    body = completed(**asked)

    assert body["text"] == text
    assert " ".join(word["text"] for word in body["words"]) == text


@pytest.mark.parametrize(
    ("status", "expected", "error"),
    [
        (JobStatus.PENDING, "queued", None),
        (JobStatus.PROCESSING, "processing", None),
        (JobStatus.FAILED, "error", "cannot be decoded"),
        (JobStatus.CANCELLED, "error", "the job was cancelled"),
    ],
)
def test_a_job_without_a_result_says_where_it_stands(status, expected, error):
    # A job that will be tried again has had an error, but is not in error.
    body = render_transcript(make_job(status, error="cannot be decoded"), None)

    read = types.TranscriptResponse.model_validate(body)
    assert (read.status.value, read.error, read.text, read.words) == (expected, error, None, None)


def test_what_was_asked_is_shown_but_no_secret():
    body = completed(
        webhook_url="https://example.org/hook",
        webhook_auth_header_name="X-Secret",
        word_boost=["Bob"],
    )

    assert (body["webhook_auth"], body["webhook_auth_header_value"]) == (True, None)
    assert body["word_boost"] == ["Bob"]


@pytest.mark.parametrize(("asked", "shown"), [("best", "best"), ("tiny", None)])
def test_a_model_that_their_client_would_refuse_is_not_shown_as_theirs(asked, shown):
    body = completed(speech_model=asked)

    assert (body["speech_model"], body["speech_model_used"]) == (shown, "base")


def test_warnings_are_in_the_metadata():
    transcript = make_transcript(warnings=(Warning_("audio_repaired", "the file was damaged"),))

    body = render_transcript(make_job(JobStatus.COMPLETED), transcript)

    read = types.TranscriptResponse.model_validate(body)
    assert [warning.message for warning in read.metadata.warnings] == ["the file was damaged"]


def test_sentences_and_paragraphs_are_what_the_official_client_reads():
    sentences = render_sentences(JOB_ID, spoken(), ASKED)
    paragraphs = render_paragraphs(JOB_ID, spoken(), ASKED)

    read = types.SentencesResponse.model_validate(sentences)
    assert [(found.text, found.start, found.end) for found in read.sentences] == [
        ("Hello, Bob.", 0, 2000),
        ("And you?", 2000, 4000),
    ]
    found = types.ParagraphsResponse.model_validate(paragraphs).paragraphs
    assert [(each.text, len(each.words)) for each in found] == [("Hello, Bob. And you?", 4)]


def test_words_and_phrases_are_found_whatever_their_marks_and_case():
    words = (Word(" Hello,", 0.0, 1.0), Word(" you.", 1.0, 2.0), Word(" Hello", 2.0, 3.0))
    transcript = make_transcript(make_segment(" Hello, you. Hello", 0.0, 3.0, *words))

    body = render_matches(JOB_ID, transcript, ASKED, ["hello", "HELLO you", "nobody"])

    found = types.WordSearchMatchResponse.model_validate(body)
    assert found.total_count == 3
    assert [match.indexes for match in found.matches] == [[0, 2], [0], []]
    assert found.matches[1].timestamps == [(0, 2000)]


def test_an_item_of_a_list_says_where_the_whole_is():
    body = render_item(make_job(JobStatus.COMPLETED), "https://example.org/v2/transcript/1")

    read = types.TranscriptItem.model_validate(body)
    assert read.resource_url == "https://example.org/v2/transcript/1"
    assert read.completed == "2026-01-31T12:00:00.000000+00:00"


def test_a_webhook_says_which_transcript_ended_and_how():
    notice = render_notice(JOB_ID, JobStatus.FAILED)

    assert notice == {"transcript_id": str(JOB_ID), "status": "error"}
