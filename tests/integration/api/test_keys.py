"""Keys, tenants and tokens over HTTP."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest

from tests.integration.api.conftest import API_KEY_OF

NOBODYS = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def make(admin):
    def make(**wanted):
        answer = admin.post("/admin/keys", json={"name": "phone", **wanted})
        assert answer.status_code == 201, answer.text
        return answer.json

    return make


@pytest.fixture
def ask(app):
    """A request with another key than the admin's."""

    def ask(key, address="/jobs/", method="GET", **options):
        headers = {**options.pop("headers", {}), "X-API-Key": key}
        return app.test_client().open(address, method=method, headers=headers, **options)

    return ask


@pytest.fixture
def visit(app):
    """A request without any key."""

    def visit(address, method="GET", **options):
        client = app.test_client()
        client.environ_base.pop(API_KEY_OF)
        return client.open(address, method=method, **options)

    return visit


def recording():
    return {"file": (BytesIO(b"recording"), "talk.mp3")}


def test_a_key_that_was_made_opens_what_it_may(make, ask):
    made = make(scopes=["read"])

    assert ask(made["key"]).status_code == 200
    refused = ask(made["key"], "/transcribe/", "POST", data=recording())
    assert (refused.status_code, refused.json["details"]) == (403, {"scope": "submit"})


def test_a_key_is_shown_once(make, admin):
    made = make()

    listed, shown = admin.get("/admin/keys"), admin.get(f"/admin/keys/{made['id']}")

    assert made["key"] not in listed.text + shown.text
    assert listed.json["keys"] == [shown.json]
    assert shown.json["prefix"] == made["key"][:9]
    assert (shown.json["state"], shown.json["scopes"]) == ("active", ["submit", "read", "realtime"])


def test_a_revoked_key_is_refused_as_if_it_had_never_been(make, ask, admin):
    made = make()
    assert ask(made["key"]).status_code == 200

    revoked = admin.delete(f"/admin/keys/{made['id']}")

    after, never = ask(made["key"]), ask("sk_" + "a" * 43)
    assert revoked.json["state"] == "revoked"
    assert after.status_code == never.status_code == 401
    assert {**after.json, "request_id": ""} == {**never.json, "request_id": ""}


def test_a_rotated_key_gives_way_to_the_next(make, ask, admin):
    made = make(scopes=["read"])

    after = admin.post(f"/admin/keys/{made['id']}/rotate", json={"overlap_hours": 1}).json

    until = datetime.fromisoformat(after["replaces"]["expires_at"])
    assert after["replaces"]["id"] == made["id"] != after["id"]
    assert timedelta(0) < until - datetime.now(UTC) <= timedelta(hours=1)
    assert (ask(made["key"]).status_code, ask(after["key"]).status_code) == (200, 200)


def test_a_rotation_overlaps_by_a_day_unless_asked_otherwise(make, ask, admin):
    made = make()

    gentle = admin.post(f"/admin/keys/{made['id']}/rotate").json
    hard = admin.post(f"/admin/keys/{gentle['id']}/rotate", json={"overlap_hours": 0}).json

    until = datetime.fromisoformat(gentle["replaces"]["expires_at"])
    assert timedelta(hours=23) < until - datetime.now(UTC) <= timedelta(hours=24)
    assert ask(made["key"]).status_code == 200
    assert ask(gentle["key"]).status_code == 401
    assert ask(hard["key"]).status_code == 200


def test_tenants_are_made_and_have_keys_of_their_own(make, admin):
    made = admin.post("/admin/tenants", json={"name": "acme"})
    key = make(tenant="acme")

    listed = admin.get("/admin/tenants").json["tenants"]

    assert (made.status_code, made.json["name"]) == (201, "acme")
    assert [(tenant["name"], tenant["active_keys"]) for tenant in listed] == [
        ("acme", 1),
        ("default", 0),
    ]
    assert [k["id"] for k in admin.get("/admin/keys?tenant=acme").json["keys"]] == [key["id"]]
    assert admin.post("/admin/tenants", json={"name": "acme"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_error"),
        ({"name": "x", "scopes": []}, 422, "validation_error"),
        ({"name": "x", "scopes": ["write"]}, 422, "option_invalid"),
        ({"name": "x", "scope": ["read"]}, 422, "option_invalid"),
        ({"name": "x\0"}, 422, "option_invalid"),
        ({"name": "x\ud800"}, 422, "option_invalid"),
        ({"name": "x", "tenant": "nobody"}, 404, "tenant_not_found"),
        ({"name": "x", "tenant": "\ud800\0"}, 404, "tenant_not_found"),
        ({"name": "x", "expires_at": "2020-01-01"}, 422, "option_invalid"),
        ({"name": "x", "expires_at": "soon"}, 422, "validation_error"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_by_name(admin, body, status, code):
    answer = admin.post("/admin/keys", json=body)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert admin.get("/admin/keys").json["keys"] == []


@pytest.mark.parametrize("key_id", [NOBODYS, "x", "%00", "9" * 300])
@pytest.mark.parametrize(("method", "end"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_a_key_that_was_never_made_is_not_found(admin, method, end, key_id):
    answer = admin.open(f"/admin/keys/{key_id}{end}", method=method)

    assert (answer.status_code, answer.json["code"]) == (404, "api_key_not_found")


def test_what_was_done_to_keys_stands_in_the_audit_log(make, admin):
    made = make()
    admin.delete(f"/admin/keys/{made['id']}")

    entries = admin.get("/admin/audit").json["entries"]

    assert [(entry["action"], entry["target"]) for entry in entries] == [
        ("DELETE /admin/keys/<string:key_id>", made["id"]),
        ("POST /admin/keys", made["id"]),
    ]
    assert made["key"] not in str(entries)


def test_a_browser_submits_with_a_token_and_cannot_come_back(make, ask, visit):
    made = make()
    token = ask(made["key"], "/tokens", "POST", json={"scopes": ["submit"], "ttl_s": 30}).json

    first = visit(f"/transcribe/?token={token['token']}", "POST", data=recording())
    second = visit(f"/transcribe/?token={token['token']}", "POST", data=recording())

    assert (first.status_code, second.status_code) == (202, 401)
    assert token["scopes"] == ["submit"]
    assert ask(made["key"], f"/transcribe/{first.json['job_id']}").status_code == 200


def test_a_token_is_for_what_it_was_made_for(make, ask, visit):
    made = make()
    token = ask(made["key"], "/tokens", "POST", json={"scopes": ["submit"]}).json["token"]

    assert visit(f"/jobs/?token={token}").status_code == 403


def test_a_token_has_all_that_its_key_has_unless_asked_otherwise(make, ask):
    reader, operator = make(scopes=["read"])["key"], make(scopes=["admin"])["key"]

    assert ask(reader, "/tokens", "POST").json["scopes"] == ["read"]
    assert ask(operator, "/tokens", "POST").json["scopes"] == ["submit", "read", "realtime"]


def test_a_scope_that_is_named_twice_counts_once(make, ask):
    token = ask(make()["key"], "/tokens", "POST", json={"scopes": ["read", "submit", "read"]})

    assert (token.status_code, token.json["scopes"]) == (201, ["read", "submit"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"ttl_s": 901}, 422, "validation_error"),
        ({"ttl_s": 0}, 422, "validation_error"),
        ({"ttl_s": 1.5}, 422, "validation_error"),
        ({"scopes": []}, 422, "validation_error"),
        ({"scopes": ["admin"]}, 422, "option_invalid"),
        ({"scopes": ["submit"]}, 403, "scope_missing"),
    ],
)
def test_a_token_that_would_be_too_much_is_refused(make, ask, body, status, code):
    answer = ask(make(scopes=["read"])["key"], "/tokens", "POST", json=body)

    assert (answer.status_code, answer.json["code"]) == (status, code)
