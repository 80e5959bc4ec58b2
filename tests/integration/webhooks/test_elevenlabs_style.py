"""Jobs of ElevenLabs' door, told at the tenant's own endpoints in its words."""

import json
from uuid import uuid4

import pytest
from elevenlabs import ElevenLabs

from domain.errors import OptionInvalid
from services.webhooks.told_at_endpoints import tell_endpoints
from tests.integration.webhooks.conftest import OTHER


@pytest.fixture
def told(services):
    """What a submission says of its webhook."""

    def make(tenant="default", **options):
        data = {"metadata": {"order": 7}}
        return tell_endpoints(services, tenant, style="elevenlabs", data=data, **options)

    return make


def test_every_endpoint_hears_of_the_end_in_these_words(finish, outbox, endpoint, told, messages):
    endpoint("/one")
    endpoint("/two", events=["completed"])

    job_id = finish(webhook=told(), door="elevenlabs")
    outbox()

    ends = [json.loads(row.body) for row in messages(event="completed")]
    others = [json.loads(row.body) for row in messages() if row.event != "completed"]
    assert [body["type"] for body in ends] == ["speech_to_text_transcription"] * 2
    for body in ends:
        assert body["data"]["webhook_metadata"] == {"order": 7}
        assert body["data"]["transcription"]["transcription_id"] == str(job_id)
        assert body["data"]["transcription"]["text"] == "Hello there."
    assert [body["type"] for body in others] == ["job.queued", "job.started"]


def test_one_that_is_named_hears_it_alone_in_these_words(finish, outbox, endpoint, told, messages):
    chosen, other = endpoint("/one"), endpoint("/two")

    finish(webhook=told(endpoint_id=chosen.id), door="elevenlabs")
    outbox()

    (mine,), (theirs,) = (
        [json.loads(row.body) for row in messages(event="completed", endpoint_id=found.id)]
        for found in (chosen, other)
    )
    assert mine["type"] == "speech_to_text_transcription"
    assert theirs["type"] == "job.completed"


def test_what_arrives_is_signed_as_the_official_client_checks_it(
    finish, outbox, endpoint, told, deliver, receiver
):
    made = endpoint(events=["completed"])

    finish(webhook=told(), door="elevenlabs")
    outbox()
    deliver()

    (request,) = receiver.received
    event = ElevenLabs(api_key="none").webhooks.construct_event(
        request.body.decode(), request.headers["elevenlabs-signature"], made.secret
    )
    assert event["data"]["transcription"]["text"] == "Hello there."


def test_who_has_no_endpoint_is_told_so_at_once(finish, outbox, endpoint, told, own_address):
    endpoint(tenant=OTHER)
    finish(webhook=own_address())
    outbox()  # makes the identity that signs for addresses of jobs, which is no endpoint

    with pytest.raises(OptionInvalid) as caught:
        told()

    assert caught.value.details["option"] == "webhook"


def test_an_endpoint_of_somebody_else_is_not_there(endpoint, told):
    endpoint()
    theirs = endpoint(tenant=OTHER)

    for endpoint_id in (theirs.id, uuid4()):
        with pytest.raises(OptionInvalid) as caught:
            told(endpoint_id=endpoint_id)
        assert caught.value.details["option"] == "webhook_id"
