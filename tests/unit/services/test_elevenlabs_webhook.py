"""Webhooks in ElevenLabs' words, read and checked by its own client."""

import json
import time
from datetime import UTC, datetime

import pytest
from elevenlabs import ElevenLabs
from elevenlabs.errors import BadRequestError

from services.webhooks.signing import Envelope
from services.webhooks.styles import STYLES, Notice
from services.webhooks.told_at_endpoints import endpoint_style
from tests.unit.api.fake_jobs import make_transcript, make_view

SECRET, OLD_SECRET = "whsec_bmV3", "whsec_b2xk"
STYLE = STYLES["elevenlabs"]


def render(event, transcript, **facts):
    job = make_view(
        request_id="req-1", status=event, door_fields={"timestamps_granularity": "none"}
    )
    data = {"metadata": {"order": 7}}
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    return job, STYLE.render(Notice(event, at, job, transcript, facts, data))


def signed(body, *secrets):
    envelope = Envelope("msg", int(time.time()), body.encode(), secrets)
    return STYLE.headers(envelope)["ElevenLabs-Signature"]


def test_a_finished_job_is_told_with_its_transcript():
    job, body = render("completed", make_transcript())

    data = body["data"]
    assert (body["type"], body["event_timestamp"]) == (
        "speech_to_text_transcription",
        1_700_000_000,
    )
    assert (data["request_id"], data["webhook_metadata"]) == ("req-1", {"order": 7})
    assert data["transcription"]["text"] == "Hello there."
    assert data["transcription"]["transcription_id"] == str(job.job_id)
    assert STYLE.needs_transcript


@pytest.mark.parametrize(
    ("event", "facts", "error"),
    [
        (
            "failed",
            {"error_type": "audio_unreadable", "message": "no samples"},
            {"code": "audio_unreadable", "message": "no samples"},
        ),
        (
            "cancelled",
            {},
            {"code": "job_cancelled", "message": "the transcription was cancelled"},
        ),
    ],
)
def test_a_job_without_a_result_is_told_with_the_reason(event, facts, error):
    job, body = render(event, None, **facts)

    assert body["data"]["transcription"] is None
    assert body["data"]["transcription_id"] == str(job.job_id)
    assert body["data"]["error"] == error


@pytest.mark.parametrize("secrets", [(SECRET,), (SECRET, OLD_SECRET)])
def test_the_official_client_accepts_the_signature(secrets):
    body = json.dumps({"type": "speech_to_text_transcription"})
    client = ElevenLabs(api_key="none")

    event = client.webhooks.construct_event(body, signed(body, *secrets), SECRET)

    assert event == {"type": "speech_to_text_transcription"}


def test_the_official_client_refuses_a_changed_body():
    client = ElevenLabs(api_key="none")

    with pytest.raises(BadRequestError):
        client.webhooks.construct_event("{ }", signed("{}", SECRET), SECRET)


def test_the_older_secret_signs_as_long_as_it_overlaps():
    both, old = signed("{}", SECRET, OLD_SECRET), signed("{}", OLD_SECRET)

    assert old.partition(",")[2] in both


def test_endpoints_hear_of_a_job_in_the_words_of_its_door():
    everybody = {"url": None, "endpoint_id": None, "style": "elevenlabs"}
    an_id = "0198c5a0-0000-7000-8000-000000000000"

    assert endpoint_style(everybody, an_id) == "elevenlabs"
    assert endpoint_style({**everybody, "endpoint_id": an_id}, an_id) == "elevenlabs"
    assert endpoint_style({**everybody, "endpoint_id": "another"}, an_id) is None
    assert endpoint_style({**everybody, "url": "https://example.org"}, an_id) is None
    assert endpoint_style(None, an_id) is None
