import json

import pytest

from services.webhooks.styles import STYLES, Notice
from tests.unit.api.fake_jobs import NOW, make_transcript, make_view


def notice(event="completed", *, transcript=None, facts=None, **fields):
    job = make_view(status=event, door_fields={}, **fields)
    return Notice(event=event, at=NOW, job=job, transcript=transcript, facts=facts or {}, data={})


def body_of(style, told):
    return json.loads(json.dumps(STYLES[style].render(told)))


def test_a_deepgram_callback_says_what_the_request_would_have_been_answered():
    told = notice(transcript=make_transcript())

    body = body_of("deepgram", told)

    assert body["metadata"]["request_id"] == str(told.job.job_id)
    assert body["results"]["channels"][0]["alternatives"][0]["transcript"] == "Hello there."
    assert STYLES["deepgram"].needs_transcript


def test_a_deepgram_callback_tells_of_a_failure_in_its_error_shape():
    told = notice(
        "failed", facts={"error_type": "audio_unreadable", "message": "cannot be decoded"}
    )

    body = body_of("deepgram", told)

    assert body == {
        "err_code": "Bad Request",
        "err_msg": "cannot be decoded",
        "request_id": str(told.job.job_id),
    }


def test_a_deepgram_callback_tells_of_a_cancelled_job():
    body = body_of("deepgram", notice("cancelled"))

    assert body["err_msg"] == "the job was cancelled"


@pytest.mark.parametrize(
    ("event", "status"), [("completed", "completed"), ("failed", "error"), ("cancelled", "error")]
)
def test_an_assemblyai_webhook_names_the_transcript_and_its_status(event, status):
    told = notice(event)

    body = body_of("assemblyai", told)

    assert body == {"transcript_id": str(told.job.job_id), "status": status}
