"""What gunicorn refuses, answered in the shape of every other failure."""

import json

import pytest
from gunicorn.http.errors import (
    InvalidChunkSize,
    InvalidHeader,
    InvalidRequestLine,
    InvalidResponseHeader,
    LimitRequestHeaders,
    LimitRequestLine,
    UnsupportedTransferCoding,
)

from api.refused_heads import answer_to


def told(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequestLine("GET"), 400, "request_invalid"),
        (LimitRequestLine(9000, 8190), 414, "address_too_long"),
        (LimitRequestHeaders("too many"), 431, "headers_too_large"),
        (UnsupportedTransferCoding("br"), 501, "transfer_coding_unsupported"),
        (InvalidResponseHeader("X-Ours"), 500, "internal_error"),
        (RuntimeError("/srv/path"), 500, "internal_error"),
    ],
)
def test_each_refusal_has_its_code(error, status, code):
    shown, body = told(answer_to(error, is_head_read=False))

    assert (shown, body["code"]) == (status, code)
    assert body["message"]
    assert "/srv/path" not in body["message"]


def test_the_length_is_that_of_the_body():
    head, _, body = answer_to(InvalidRequestLine("GET"), is_head_read=False).partition(b"\r\n\r\n")

    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")


def test_neither_the_answer_nor_the_log_repeats_what_was_sent(caplog):
    answer = answer_to(InvalidHeader("X-API-Key: secret"), is_head_read=False)

    (record,) = caplog.records
    assert b"secret" not in answer
    assert "secret" not in str(vars(record))
    assert (record.getMessage(), record.reason) == ("request_refused", "InvalidHeader")


def test_a_crash_is_logged_with_its_stack(caplog):
    answer_to(RuntimeError("broken"), is_head_read=True)

    (record,) = caplog.records
    assert record.getMessage() == "request_crashed"
    assert "broken" in str(record.exc_info)


def test_what_follows_an_answer_gets_none():
    assert answer_to(InvalidChunkSize(b"zz"), is_head_read=True) is None
