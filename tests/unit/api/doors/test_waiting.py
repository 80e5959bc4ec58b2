"""Requests that hold their connection open until their job has ended."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from flask import g

import api.doors.waiting
from api.admission import PLACES
from api.doors.waiting import await_job, is_job_kept, waiting_place
from domain.access import ANYBODY
from domain.errors import JobTimedOut, OptionInvalid, TooManyStreams

JOB_ID = uuid4()


@pytest.fixture
def request_of(app, hub):
    """A request with these headers, within its context."""

    def begin(**headers):
        context = app.test_request_context("/v1/listen", method="POST", headers=headers)
        context.push()
        g.principal = ANYBODY
        contexts.append(context)

    contexts = []
    yield begin
    for context in contexts:
        context.pop()


@pytest.fixture
def watched(monkeypatch):
    """What the wait was told, and a look at the client as it does."""
    seen = SimpleNamespace(is_gone=[])

    def await_transcript(_services, job_id, **asked):
        seen.asked = asked
        seen.is_gone.append(asked["is_gone"]())
        return job_id

    monkeypatch.setattr(api.doors.waiting, "await_transcript", await_transcript)
    return seen


@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [
        ({}, False),
        ({"X-Keep-Job": "false"}, False),
        ({"X-Keep-Job": "True"}, True),
        ({"Idempotency-Key": "again"}, True),
        ({"Idempotency-Key": "again", "X-Keep-Job": "false"}, False),
    ],
)
def test_a_job_is_kept_only_for_a_client_that_says_so(request_of, watched, headers, is_kept):
    request_of(**headers)

    await_job(JOB_ID)

    assert is_job_kept() is is_kept
    assert watched.asked["keep_if_gone"] is is_kept
    assert watched.is_gone == [False]


def test_a_job_of_an_earlier_request_is_always_kept(request_of, watched):
    request_of()

    await_job(JOB_ID, keep=True)

    assert watched.asked["keep_if_gone"] is True


def test_a_header_that_is_neither_yes_nor_no_is_refused(request_of):
    request_of(**{"X-Keep-Job": "perhaps"})

    with pytest.raises(OptionInvalid) as refused:
        is_job_kept()

    assert refused.value.details["option"] == "X-Keep-Job"


def test_a_server_that_stops_answers_who_waits_and_lets_the_job_go_on(request_of, watched, hub):
    request_of()
    hub.close()

    with pytest.raises(JobTimedOut) as stopped:
        await_job(JOB_ID)

    assert stopped.value.details["job_id"] == str(JOB_ID)


def test_whoever_waits_leaves_the_place_at_work_to_others(request_of, watched, monkeypatch):
    request_of()
    moves = []
    places = SimpleNamespace(
        release=lambda: moves.append("left"), acquire=lambda: moves.append("came back")
    )
    environ = api.doors.waiting.request.environ
    monkeypatch.setitem(environ, PLACES, places)

    await_job(JOB_ID)

    assert moves == ["left", "came back"]


def test_those_who_wait_are_counted_and_bounded(request_of, hub, settings):
    request_of()
    for _ in range(settings.max_event_streams - 1):
        hub.reserve()

    with waiting_place():
        with pytest.raises(TooManyStreams), waiting_place():
            pytest.fail("there was no place left")
        assert hub.count == settings.max_event_streams

    assert hub.count == settings.max_event_streams - 1
