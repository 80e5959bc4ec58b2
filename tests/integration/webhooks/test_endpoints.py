"""Addresses of a tenant as he manages them: over HTTP, with keys."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.webhooks.endpoints import MAX_ENDPOINTS

EVERYTHING = ["queued", "started", "progress", "completed", "failed", "dead_lettered", "cancelled"]


def test_an_endpoint_is_made_and_its_secret_is_shown_once(client, make):
    made = make(events=["completed", "job.queued"], description="the archive")

    shown = client.get(f"/webhooks/{made['id']}").json
    listed = client.get("/webhooks/").json["webhooks"]

    assert made["secret"].startswith("whsec_")
    assert made["events"] == ["queued", "completed"]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert listed == [shown]
    assert made["secret"] not in client.get("/webhooks/").text


def test_the_answer_to_a_new_endpoint_says_where_it_is(client, receiver):
    answer = client.post("/webhooks/", json={"url": receiver.url})

    assert client.get(answer.headers["Location"]).json["id"] == answer.json["id"]
    assert answer.json["events"] == ["completed", "failed", "cancelled"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.org/hook", "scheme_refused"),
        ("ftp://example.org/hook", "scheme_refused"),
        ("https://127.0.0.1/hook", "address_not_public"),
        ("https://10.0.0.7/hook", "address_not_public"),
        ("https://169.254.169.254/latest", "address_not_public"),
        ("https://[::1]/hook", "address_not_public"),
        ("https://user:word@example.org/", "userinfo_refused"),
        ("https://localhost/hook", "host_refused"),
        ("https://2130706433/hook", "host_refused"),
    ],
)
def test_an_address_that_may_not_be_told_is_refused_with_the_rule(client, make, url, reason):
    made = make()

    answers = [
        client.post("/webhooks/", json={"url": url}),
        client.patch(f"/webhooks/{made['id']}", json={"url": url}),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json["code"]) == (422, "webhook_url_refused")
        assert answer.json["details"] == {"option": "url", "reason": reason}
    assert [endpoint["url"] for endpoint in client.get("/webhooks/").json["webhooks"]] == [
        made["url"]
    ]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"events": ["finished"]}, "events"),
        ({"events": []}, "events"),
        ({"event": ["completed"]}, "event"),
        ({"description": "x" * 201}, "description"),
        ({"description": "\0"}, "description"),
        ({"url": "https://example.org/" + "x" * 2048}, "url"),
        ({"is_paused": True}, "is_paused"),
    ],
)
def test_a_field_that_cannot_be_is_named(client, receiver, given, field):
    answer = client.post("/webhooks/", json={"url": receiver.url, **given})

    assert answer.status_code == 422
    assert field in answer.json["message"] or field in answer.json["details"]
    assert client.get("/webhooks/").json["webhooks"] == []


def test_a_tenant_has_a_bounded_number_of_endpoints(client, receiver, make):
    for number in range(MAX_ENDPOINTS):
        make(f"/{number}")

    answer = client.post("/webhooks/", json={"url": receiver.url})

    assert (answer.status_code, answer.json["code"]) == (409, "too_many_webhooks")
    assert len(client.get("/webhooks/").json["webhooks"]) == MAX_ENDPOINTS


def test_an_endpoint_is_changed_in_what_is_named(client, make, receiver):
    made = make(description="old", events=["failed"])

    answer = client.patch(f"/webhooks/{made['id']}", json={"url": receiver.url + "/new"})

    changed = answer.json
    assert (changed["url"], changed["description"]) == (receiver.url + "/new", "old")
    assert changed["events"] == ["failed"]


def test_a_removed_endpoint_is_gone_with_its_messages(client, make, finish, outbox, messages):
    made = make(events=EVERYTHING)
    finish()
    outbox()

    answer = client.delete(f"/webhooks/{made['id']}")

    assert answer.status_code == 204
    assert client.get(f"/webhooks/{made['id']}").json["code"] == "webhook_not_found"
    assert messages() == []


def test_an_endpoint_is_paused_and_resumed_by_hand(client, make):
    made = make()

    paused = client.patch(f"/webhooks/{made['id']}", json={"is_paused": True}).json
    resumed = client.post(f"/webhooks/{made['id']}/resume").json

    assert (paused["is_paused"], paused["pause_reason"]) == (True, "asked")
    assert (resumed["is_paused"], resumed["pause_reason"], resumed["paused_at"]) == (
        False,
        None,
        None,
    )


def test_a_rotation_shows_the_new_secret_and_how_long_the_old_one_signs(client, make):
    made = make()

    rotated = client.post(f"/webhooks/{made['id']}/rotate-secret", json={"overlap_h": 2}).json
    without = client.post(f"/webhooks/{made['id']}/rotate-secret", json={"overlap_h": 0}).json

    assert len({made["secret"], rotated["secret"], without["secret"]}) == 3
    until = datetime.fromisoformat(rotated["old_secret_until"])
    assert timedelta(hours=1) < until - datetime.now(UTC) <= timedelta(hours=2)
    assert without["old_secret_until"] is None


@pytest.mark.parametrize("path", ["/webhooks/rotate-secret", "/webhooks/{id}/rotate-secret"])
@pytest.mark.parametrize("overlap_h", [-1, 1000, "NaN", None])
def test_an_overlap_that_cannot_be_is_refused(client, make, path, overlap_h):
    made = make()

    answer = client.post(path.format(id=made["id"]), json={"overlap_h": overlap_h})

    assert (answer.status_code, answer.json["code"]) == (422, "validation_error")


def test_the_tenants_own_secret_is_no_endpoint(client, stranger):
    mine = client.post("/webhooks/rotate-secret").json
    theirs = stranger.post("/webhooks/rotate-secret", json={}).json

    assert mine["secret"] != theirs["secret"]
    assert client.get("/webhooks/").json["webhooks"] == []


def test_another_tenant_sees_nothing_of_it(
    client, stranger, make, finish, outbox, deliver, messages
):
    made = make(events=["completed"])
    finish()
    outbox()
    deliver()
    [listed] = client.get("/webhooks/deliveries").json["deliveries"]
    of_endpoint = f"/webhooks/{made['id']}"
    of_message = f"/webhooks/deliveries/{listed['id']}"
    since = {"from": "2020-01-01", "status": "any"}

    answers = [
        stranger.get(of_endpoint),
        stranger.patch(of_endpoint, json={"events": ["failed"]}),
        stranger.delete(of_endpoint),
        stranger.post(f"{of_endpoint}/rotate-secret"),
        stranger.post(f"{of_endpoint}/test"),
        stranger.post(f"{of_endpoint}/resume"),
        stranger.post(f"{of_endpoint}/replay", json=since),
        stranger.get(f"{of_endpoint}/deliveries"),
        stranger.get(of_message),
        stranger.post(f"{of_message}/retry"),
    ]

    codes = {(answer.status_code, answer.json["code"]) for answer in answers}
    assert codes == {(404, "webhook_not_found"), (404, "delivery_not_found")}
    assert stranger.get("/webhooks/").json["webhooks"] == []
    assert stranger.get("/webhooks/deliveries").json["deliveries"] == []
    assert client.get(of_endpoint).json["events"] == ["completed"]
    assert [row.status for row in messages()] == ["delivered"]


@pytest.mark.parametrize("path", ["/webhooks/{}", "/webhooks/deliveries/{}"])
@pytest.mark.parametrize("value", [str(uuid4()), "none", "0" * 300])
def test_an_id_that_nothing_has_is_404(client, path, value):
    assert client.get(path.format(value)).status_code == 404


def test_a_key_that_may_only_read_changes_nothing(client_of, make, receiver):
    reader = client_of(scopes=("read",))
    made = make()

    answers = [
        reader.post("/webhooks/", json={"url": receiver.url}),
        reader.delete(f"/webhooks/{made['id']}"),
        reader.post("/webhooks/rotate-secret"),
    ]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(403, "scope_missing")}
    assert reader.get(f"/webhooks/{made['id']}").status_code == 200
