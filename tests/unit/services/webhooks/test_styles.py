"""What our own messages say, and what they never say."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.errors import OptionInvalid
from services.webhooks.events import ENDS, EVENTS, EVENTS_OF_LINE, check_events, type_of
from services.webhooks.styles import STANDARD, STYLES, Notice
from tests.unit.api.fake_jobs import make_view

AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
JOB = make_view(
    status="completed",
    name="Interview 7",
    labels={"project": "archive"},
    batch_id=uuid4(),
    attempt=2,
    progress=0.5,
    duration=61.5,
    language="en",
    model_used="base",
    word_count=120,
    transcription="what was said",
    filename="secret name.wav",
)
FACTS = {"error_type": "audio_unreadable", "message": "cannot be decoded", "reason": "permanent"}


def body_of(event, **changes):
    given = {"job": JOB, "transcript": None, "facts": FACTS, "data": {}, **changes}
    return STYLES[STANDARD].render(Notice(event=event, at=AT, **given))


def test_a_completed_job_is_told_with_what_leads_to_its_result():
    body = body_of("completed")

    assert body == {
        "type": "job.completed",
        "timestamp": "2026-01-31T12:00:00.250000Z",
        "data": {
            "job_id": str(JOB.job_id),
            "status": "completed",
            "name": "Interview 7",
            "labels": {"project": "archive"},
            "batch_id": str(JOB.batch_id),
            "attempt": 2,
            "result": f"/transcribe/{JOB.job_id}/result",
            "duration": 61.5,
            "language": "en",
            "model_used": "base",
            "word_count": 120,
        },
    }


@pytest.mark.parametrize("event", ["failed", "dead_lettered"])
def test_a_job_that_was_given_up_is_told_with_the_reason(event):
    data = body_of(event)["data"]

    assert (data["error_type"], data["error_message"]) == ("audio_unreadable", "cannot be decoded")
    assert data["reason"] == "permanent"


def test_progress_is_a_share():
    assert body_of("progress")["data"]["progress"] == 0.5


@pytest.mark.parametrize("event", EVENTS)
def test_no_message_of_ours_holds_a_transcript_or_a_file_name(event):
    text = json.dumps(body_of(event))

    assert "what was said" not in text
    assert "secret name" not in text


@pytest.mark.parametrize("event", EVENTS)
def test_types_are_words_between_full_stops_as_the_specification_has_them(event):
    words = body_of(event)["type"].split(".")

    assert words == ["job", event]


def test_what_a_door_wants_repeated_is_repeated():
    assert body_of("completed", data={"order": 7})["data"]["metadata"] == {"order": 7}


def test_every_event_but_progress_comes_from_a_line_of_the_history():
    told = {event for events in EVENTS_OF_LINE.values() for event in events}

    assert told == set(EVENTS) - {"progress"}


def test_events_may_be_named_as_messages_name_them_and_come_in_order():
    assert check_events(["job.failed", " Queued", "failed"], option="events") == [
        "queued",
        "failed",
    ]


@pytest.mark.parametrize("names", [["finished"], [], ["webhook.test"]])
def test_an_unknown_event_or_none_is_refused_with_those_there_are(names):
    with pytest.raises(OptionInvalid) as refused:
        check_events(names, option="events")

    assert refused.value.details["option"] == "events"
    assert refused.value.details["allowed"] == list(EVENTS)


def test_by_default_the_ends_of_a_job_are_told():
    assert ENDS == ("completed", "failed", "cancelled")
    assert type_of("test") == "webhook.test"
