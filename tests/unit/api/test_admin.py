"""The door of /admin, and what it refuses before it asks a service."""

import pytest

from tests.unit.api.conftest import ADMIN_KEY

ROUTES = [
    ("GET", "/admin/health"),
    ("GET", "/admin/storage"),
    ("GET", "/admin/errors"),
    ("GET", "/admin/errors/1"),
    ("POST", "/admin/errors/1/retry"),
    ("POST", "/admin/errors/1/resolve"),
    ("POST", "/admin/errors/1/expire"),
    ("POST", "/admin/errors/retry"),
    ("POST", "/admin/errors/resolve"),
    ("POST", "/admin/errors/expire"),
]


@pytest.mark.parametrize(("method", "address"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": ADMIN_KEY + "x"},
        {"X-API-Key": "ключ".encode().decode("latin-1")},
        {"Authorization": f"Basic {ADMIN_KEY}"},
        {"Authorization": "Bearer"},
    ],
)
def test_nobody_enters_without_the_key(client, method, address, headers):
    answer = client.open(address, method=method, headers=headers, data=b"{not json")

    assert answer.status_code == 401
    assert answer.json["code"] == "api_key_invalid"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_route_that_is_tried_here_exists(app):
    guarded = {(method, address.replace("/1", "/<string:error_id>")) for method, address in ROUTES}

    known = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/admin")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    assert known >= guarded  # that the others want the scope is in test_auth.py


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": ADMIN_KEY}, {"Authorization": f"bearer {ADMIN_KEY}"}]
)
def test_the_key_opens_by_either_header(client, headers):
    answer = client.get("/admin/errors/no-number", headers=headers)

    assert answer.status_code == 404
    assert answer.json["code"] == "error_log_not_found"


@pytest.mark.parametrize("error_id", ["0x1", "-1", "²", "9" * 19, "9" * 5000])
def test_an_id_that_no_dead_letter_can_have_is_404(client, error_id):
    answer = client.get(f"/admin/errors/{error_id}", headers={"X-API-Key": ADMIN_KEY})

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "option_invalid"),
        ({"ids": [1], "type": "x"}, 422, "option_invalid"),
        ({"idz": [1]}, 422, "option_invalid"),
        ({"ids": []}, 422, "validation_error"),
        ({"ids": ["1"]}, 422, "validation_error"),
        ({"ids": [0]}, 422, "validation_error"),
        ({"ids": [2**63]}, 422, "validation_error"),
        ({"ids": list(range(1, 1002))}, 422, "validation_error"),
        ({"type": "a\0"}, 422, "validation_error"),
        ({"type": "a\ud800"}, 422, "validation_error"),
        ([1], 422, "validation_error"),
    ],
)
@pytest.mark.parametrize("action", ["retry", "resolve", "expire"])
def test_a_bulk_request_must_say_which(client, action, body, status, code):
    answer = client.post(f"/admin/errors/{action}", json=body, headers={"X-API-Key": ADMIN_KEY})

    assert answer.status_code == status
    assert answer.json["code"] == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"older_than_days": 0}, "validation_error"),
        ({"older_than_days": "7"}, "validation_error"),
        ({"older_than_days": 10**9}, "validation_error"),
        ({"older_than_days": 7, "type": "worker_lost"}, "option_invalid"),
    ],
)
def test_an_age_to_expire_is_a_number_of_days_and_stands_alone(client, body, code):
    answer = client.post("/admin/errors/expire", json=body, headers={"X-API-Key": ADMIN_KEY})

    assert (answer.status_code, answer.json["code"]) == (422, code)


def test_only_expiring_goes_by_age(client):
    answer = client.post(
        "/admin/errors/retry", json={"older_than_days": 7}, headers={"X-API-Key": ADMIN_KEY}
    )

    assert (answer.status_code, answer.json["code"]) == (422, "option_invalid")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"options": {"modle_size": "tiny"}}, "option_invalid"),
        ({"options": {"model_size": "gigantic"}}, "option_invalid"),
        ({"options": {"model_size": None}}, "validation_error"),
        ({"options": {"language": "klingon"}}, "option_invalid"),
        ({"options": {"priority": "high"}}, "option_invalid"),
        ({"options": {"beam_size": 11}}, "validation_error"),
        ({"options": {"beam_size": 5, "temperature": 0.5}}, "option_invalid"),
        ({"options": {"initial_prompt": "a\0"}}, "validation_error"),
        ({"options": {"initial_prompt": "\ud800"}}, "validation_error"),
        ({"options": ["tiny"]}, "validation_error"),
        ({"priority": "urgent"}, "option_invalid"),
        ({"model_size": "tiny"}, "option_invalid"),
    ],
)
@pytest.mark.parametrize("address", ["/admin/errors/1/retry", "/admin/errors/retry"])
def test_changes_that_no_job_can_have_are_refused(client, address, change, code):
    body = change if "1" in address else {"ids": [1], **change}

    answer = client.post(address, json=body, headers={"X-API-Key": ADMIN_KEY})

    assert (answer.status_code, answer.json["code"]) == (422, code)


def test_a_body_that_is_not_json_is_400(client):
    answer = client.post(
        "/admin/errors/retry",
        data=b"{not json",
        content_type="application/json",
        headers={"X-API-Key": ADMIN_KEY},
    )

    assert answer.status_code == 400
    assert answer.json["code"] == "request_invalid"


def test_a_body_that_does_not_call_itself_json_is_415(client):
    answer = client.post(
        "/admin/errors/1/resolve",
        data={"note": "fixed"},
        headers={"X-API-Key": ADMIN_KEY},
    )

    assert answer.status_code == 415


def test_a_plain_body_is_bounded(client):
    answer = client.post(
        "/admin/errors/retry",
        data=b" " * (1024 * 1024 + 1),
        content_type="application/json",
        headers={"X-API-Key": ADMIN_KEY},
    )

    assert answer.status_code == 413
