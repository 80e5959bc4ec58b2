"""Limits come before the body, and every answer says how much is left."""

from io import BytesIO

import pytest

import api.transcriptions
from api.idempotency import idempotency
from api.limits import SUBMISSIONS
from domain.errors import OptionInvalid, QuotaExceeded, ServerBusy
from domain.limits import TenantLimits
from services.request_rate import request_rate


@pytest.fixture
def limited(limits, settings):
    """Three requests a minute. Valkey is away here, so this process counts for itself."""
    limits.now = TenantLimits(requests_per_minute=3)
    request_rate(settings.redis_url)._alone.storage.reset()
    return limits


def test_answers_say_how_many_requests_are_left(client, limited):
    answers = [client.get("/jobs/?cursor=none") for _ in range(2)]

    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1"]
    assert answers[0].headers["RateLimit-Limit"] == "3"
    assert answers[0].headers["RateLimit-Policy"] == "3;w=60"
    assert 1 <= int(answers[0].headers["RateLimit-Reset"]) <= 60


def test_a_request_too_many_is_refused_with_the_time_to_come_again(client, limited):
    for _ in range(3):
        client.get("/jobs/?cursor=none")

    answer = client.get("/jobs/?cursor=none")

    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"]
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert answer.json["details"]["maximum"] == 3


def test_what_is_open_to_all_is_not_counted(client, limited):
    answers = [client.get("/health") for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit-Limit" not in answers[0].headers


def test_an_operator_is_not_locked_out_of_his_own_server(client, limited, settings):
    limited.now = TenantLimits(requests_per_minute=1)
    key = {"X-API-Key": settings.admin_api_key}

    answers = [client.get("/admin/errors/x", headers=key) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {404}


def test_without_a_limit_nothing_is_said_of_one(client):
    answer = client.get("/jobs/?cursor=none")

    assert "RateLimit-Limit" not in answer.headers


@pytest.mark.parametrize("method", ["post", "put"])
def test_a_submission_without_room_is_refused_before_its_body_is_read(
    client, limits, files_on_disk, jobs, method
):
    limits.no_room = QuotaExceeded("no more today", retry_after_s=77)
    unread = BytesIO(b"never to be read")

    answer = getattr(client, method)("/transcribe/", input_stream=unread, content_length=16)

    assert (answer.status_code, answer.json["code"]) == (429, "quota_exceeded")
    assert answer.headers["Retry-After"] == "77"
    assert (jobs.submitted, files_on_disk()) == ([], [])


def test_reading_needs_no_room(client, limits, jobs):
    limits.no_room = QuotaExceeded("no more today", retry_after_s=77)
    job = jobs.add()

    answer = client.get(f"/transcribe/{job.job_id}")

    assert answer.status_code == 200


@pytest.mark.parametrize("key", ["", "a b", "\u00e9", "x" * 256, "tab\there"])
def test_a_malformed_key_is_refused_before_the_body(client, jobs, key):
    answer = client.put("/transcribe/", data=b"audio", headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")
    assert answer.json["details"]["option"] == "Idempotency-Key"
    assert jobs.submitted == []


def test_the_key_reaches_the_submission(client, jobs):
    client.put("/transcribe/", data=b"audio", headers={"Idempotency-Key": "order-17"})
    client.put("/transcribe/", data=b"audio")

    assert [call["idempotency_key"] for call in jobs.submitted] == ["order-17", None]


def test_what_a_door_asks_beyond_the_options_is_part_of_the_fingerprint(app):
    def fingerprint(asked):
        with app.test_request_context(headers={"Idempotency-Key": "order-17"}):
            return idempotency(asked)["fingerprint"]

    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_two_keys_in_one_request_are_refused(app):
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    with app.test_request_context(headers=headers), pytest.raises(OptionInvalid):
        idempotency()


def test_the_result_of_an_equal_job_is_taken_only_where_it_was_asked_for(client, jobs):
    client.put("/transcribe/?reuse_result=true", data=b"audio")
    client.put("/transcribe/", data=b"audio")

    assert [call["reuse_result"] for call in jobs.submitted] == [True, False]


def test_every_address_where_recordings_come_in_is_one_of_this_server(app):
    routes = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods}

    assert routes >= SUBMISSIONS


def test_a_server_that_puts_off_work_says_until_when_and_logs_no_failure(
    client, jobs, monkeypatch, caplog
):
    def busy(*_, **__):
        raise ServerBusy("too much waits", retry_after_s=42)

    monkeypatch.setattr(api.transcriptions, "get_job", busy)

    answer = client.get(f"/transcribe/{jobs.add().job_id}")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "42")
    (record,) = [one for one in caplog.records if one.message == "request_put_off"]
    assert (record.levelname, record.exc_info) == ("WARNING", None)
