"""What every answer has in common: the error shape, the request id, the headers, the log."""

import logging

import pytest

import api.transcriptions
from api.errors import STATUS_OF_CODE
from domain.errors import DatabaseUnavailable, ScriptoriumError


def all_errors(error=ScriptoriumError):
    yield error
    for below in error.__subclasses__():
        yield from all_errors(below)


def test_every_error_code_has_a_status():
    missing = sorted({error.code for error in all_errors()} - STATUS_OF_CODE.keys())

    assert missing == []


@pytest.mark.parametrize(
    ("method", "address", "status", "code"),
    [
        ("GET", "/nowhere", 404, "route_not_found"),
        ("PATCH", "/jobs/", 405, "method_not_allowed"),
        ("GET", "/jobs/?limit=0", 422, "validation_error"),
        ("GET", "/jobs/?limit=101", 422, "validation_error"),
        ("GET", "/jobs/?limit=x", 422, "validation_error"),
        ("GET", "/jobs/?created_from=yesterday", 422, "validation_error"),
        ("GET", "/jobs/?created_from=0001-01-01T00:00:00%2B23:59", 422, "validation_error"),
        ("GET", "/jobs/?created_to=9999-12-31T23:59:59-23:59", 422, "validation_error"),
        ("GET", "/jobs/?status=done", 422, "option_invalid"),
        ("GET", "/jobs/?model_size=huge", 422, "option_invalid"),
        ("GET", "/jobs/?lmit=5", 422, "option_invalid"),
        ("GET", "/jobs/?limit=5&limit=6", 422, "option_invalid"),
        ("GET", "/jobs/?filename=%00", 422, "option_invalid"),
        ("GET", "/admin/health", 401, "api_key_invalid"),
        ("POST", "/admin/errors/retry", 401, "api_key_invalid"),
    ],
)
def test_every_refusal_has_the_one_shape(client, method, address, status, code):
    answer = client.open(address, method=method, headers={"X-Request-ID": "abc"})

    assert answer.status_code == status
    assert set(answer.json) == {"code", "message", "details", "request_id"}
    assert answer.json["code"] == code
    assert answer.json["request_id"] == answer.headers["X-Request-ID"] == "abc"


def test_what_is_allowed_instead_is_said(client):
    answer = client.patch("/jobs/")

    assert "GET" in answer.headers["Allow"]


def test_a_bug_is_a_500_that_tells_nothing_but_the_request_id(app, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("secret /srv/path")

    monkeypatch.setattr(api.transcriptions, "get_job", fail)

    answer = app.test_client().get("/transcribe/00000000-0000-0000-0000-000000000000")

    (record,) = [r for r in caplog.records if r.getMessage() == "request_crashed"]
    assert answer.status_code == 500
    assert answer.json["code"] == "internal_error"
    assert "secret" not in answer.text
    assert "secret" in str(record.exc_info)


def test_a_database_that_is_away_is_503_with_a_time_to_come_back(app, monkeypatch):
    def fail(*_, **__):
        raise DatabaseUnavailable("the database does not answer")

    monkeypatch.setattr(api.transcriptions, "get_job", fail)

    answer = app.test_client().get("/transcribe/00000000-0000-0000-0000-000000000000")

    assert answer.status_code == 503
    assert answer.json["code"] == "database_unavailable"
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\tb", "é", "<script>"])
def test_a_request_id_that_is_not_sane_is_replaced(client, given):
    answer = client.get("/health", headers={"X-Request-ID": given})

    made = answer.headers["X-Request-ID"]
    assert made != given
    assert len(made) == 32


def test_each_request_without_an_id_gets_its_own(client):
    first, second = (client.get("/health").headers["X-Request-ID"] for _ in range(2))

    assert first != second


def test_answers_are_neither_kept_nor_guessed_at(client, jobs):
    job = jobs.add()

    for answer in (client.get(f"/transcribe/{job.job_id}"), client.get("/nowhere")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_an_answer_without_a_body_says_nothing_of_its_type(client, jobs):
    job = jobs.add(status="completed")

    removed = client.delete(f"/transcribe/{job.job_id}?purge=true")
    capable = client.options("/uploads")

    for answer in (removed, capable):
        assert answer.status_code == 204
        assert "Content-Type" not in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_each_request_is_one_log_line_without_its_parameters(client, jobs, caplog):
    caplog.set_level(logging.INFO)
    job = jobs.add()

    client.get(f"/transcribe/{job.job_id}?wait=1", headers={"X-Request-ID": "abc"})

    (record,) = [r for r in caplog.records if r.getMessage() == "http_request"]
    assert (record.method, record.status, record.request_id) == ("GET", 200, "abc")
    assert record.route == "/transcribe/<string:job_id>"
    assert record.ms >= 0
    assert "wait" not in str(vars(record))


def test_a_slash_at_the_end_makes_no_difference(client):
    assert client.get("/health/").status_code == 200
    assert client.put("/transcribe", data=b"sound").status_code == 202
