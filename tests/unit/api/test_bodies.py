"""Bodies that no honest client sends: too large, too deep, with numbers that are none."""

import json

import pytest

DEEP = "[" * 100_000 + "]" * 100_000
JSON_ROUTES = (
    ("POST", "/batches"),
    ("POST", "/webhooks/"),
    ("POST", "/tokens"),
    ("POST", "/v2/transcript"),
    ("POST", "/admin/errors/retry"),
    ("PATCH", "/jobs/00000000-0000-0000-0000-000000000000"),
)


@pytest.fixture
def send(client, settings):
    def send(method, address, body):
        return client.open(
            address,
            method=method,
            data=body,
            headers={"X-API-Key": settings.admin_api_key, "Content-Type": "application/json"},
        )

    return send


@pytest.mark.parametrize(("method", "address"), JSON_ROUTES)
def test_a_json_body_beyond_a_mebibyte_is_413(send, method, address):
    answer = send(method, address, json.dumps({"name": "x" * 1_100_000}))

    assert answer.status_code == 413


@pytest.mark.parametrize(("method", "address"), JSON_ROUTES)
@pytest.mark.parametrize("body", [DEEP, '{"name":' * 5000 + "1" + "}" * 5000], ids=["[[", "{{"])
def test_json_nested_without_end_is_refused(send, method, address, body):
    answer = send(method, address, body)

    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(("method", "address"), JSON_ROUTES)
@pytest.mark.parametrize("body", [b"\xff\xfe", b"nonsense", b'{"a": 1', b"[1, 2", b'"text"', b"1"])
def test_what_is_no_json_object_is_refused(send, method, address, body):
    answer = send(method, address, body)

    assert answer.status_code in (400, 422)
