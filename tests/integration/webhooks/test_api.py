"""Webhooks as their tenants manage them: over HTTP, with keys."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, update

from api.current import EXTENSION
from app import create_app
from models import TranscriptionJob, WebhookDelivery
from services.api_keys import NewKey, make_key
from services.transcription import run_job
from services.webhooks.cleaning import remove_messages_of_gone_jobs, remove_old_messages
from services.webhooks.endpoints import MAX_ENDPOINTS
from services.webhooks.outcome import Answer
from tests.integration.webhooks.conftest import OTHER

EVERYTHING = ["queued", "started", "progress", "completed", "failed", "dead_lettered", "cancelled"]


def refuse(*_):
    return Answer(500, None, 0.01)


@pytest.fixture(scope="module")
def shared_app(session_settings):
    return create_app(session_settings, services=object())


@pytest.fixture
def app(shared_app, services):
    # Making the specification takes a while; the services are all that differs.
    shared_app.extensions[EXTENSION] = services
    return shared_app


@pytest.fixture
def client_of(app, services):
    """A client with a key of this tenant."""

    def make(tenant="default", **wanted):
        client = app.test_client()
        key = make_key(services, NewKey(name="test", tenant=tenant, **wanted)).key
        client.environ_base["HTTP_X_API_KEY"] = key
        return client

    return make


@pytest.fixture
def client(client_of):
    return client_of()


@pytest.fixture
def stranger(client_of):
    return client_of(OTHER)


@pytest.fixture
def make(client, receiver):
    """Make an endpoint over HTTP."""

    def make(path="/hook", **given):
        answer = client.post("/webhooks/", json={"url": receiver.url + path, **given})
        assert answer.status_code == 201, answer.json
        return answer.json

    return make


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


def test_the_log_comes_in_pages_and_by_what_is_asked(client, make, finish, outbox, deliver):
    made = make(events=EVERYTHING)
    first = finish()
    finish()
    outbox()
    deliver()
    path = f"/webhooks/{made['id']}/deliveries"

    page = client.get(path, query_string={"limit": 4}).json
    rest = client.get(path, query_string={"limit": 4, "cursor": page["next_cursor"]}).json
    of_first = client.get(path, query_string={"job_id": str(first), "event": "completed"}).json
    failed = client.get(path, query_string={"status": "failed"}).json

    assert (len(page["deliveries"]), page["has_more"]) == (4, True)
    assert (len(rest["deliveries"]), rest["has_more"]) == (2, False)
    times = [entry["created_at"] for entry in page["deliveries"] + rest["deliveries"]]
    assert times == sorted(times, reverse=True)
    assert [(d["job_id"], d["status"]) for d in of_first["deliveries"]] == [
        (str(first), "delivered")
    ]
    assert failed["deliveries"] == []


def test_one_message_shows_what_was_sent_and_how_each_attempt_went(
    client, make, finish, outbox, deliver, receiver
):
    made = make(events=["completed"])
    finish()
    outbox()
    deliver()
    [listed] = client.get(f"/webhooks/{made['id']}/deliveries").json["deliveries"]

    shown = client.get(f"/webhooks/deliveries/{listed['id']}").json

    assert shown["body"].encode() == receiver.received[0].body
    assert shown["message_id"] == receiver.received[0].message_id
    assert [(line["status"], line["reason"]) for line in shown["log"]] == [(200, None)]
    assert "body" not in listed


def test_messages_to_addresses_of_jobs_are_in_the_tenants_log(client, finish, own_address, outbox):
    job_id = finish(webhook=own_address())
    outbox()

    [listed] = client.get("/webhooks/deliveries").json["deliveries"]

    assert (listed["job_id"], listed["webhook_id"]) == (str(job_id), None)


def test_a_test_message_is_sent_and_can_be_looked_at(client, make, deliver, receiver):
    made = make()

    sent = client.post(f"/webhooks/{made['id']}/test")
    deliver()

    shown = client.get(f"/webhooks/deliveries/{sent.json['id']}").json
    assert sent.status_code == 202
    assert (sent.json["event"], sent.json["job_id"]) == ("test", None)
    assert shown["status"] == "delivered"
    assert receiver.received[0].verify(made["secret"])["type"] == "webhook.test"


def test_a_message_is_sent_again_under_its_id(client, make, finish, outbox, deliver, receiver):
    make(events=["completed"])
    finish()
    outbox()
    deliver()
    [listed] = client.get("/webhooks/deliveries").json["deliveries"]

    answer = client.post(f"/webhooks/deliveries/{listed['id']}/retry")
    deliver()

    assert (answer.status_code, answer.json["status"]) == (202, "waiting")
    assert [received.message_id for received in receiver.received] == [listed["message_id"]] * 2
    shown = client.get(f"/webhooks/deliveries/{listed['id']}").json
    assert (shown["status"], len(shown["log"])) == ("delivered", 2)


@pytest.fixture
def three_hours(services, make, finish, outbox, deliver, messages):
    """An endpoint with a message of each of the last three hours: failed, failed, delivered."""
    made = make(events=["completed"])
    now = datetime.now(UTC)
    for hours, send in [(3, refuse), (2, refuse), (1, None)]:
        job_id = finish()
        outbox()
        deliver(send)
        status = "failed" if send else "delivered"
        with services.open_session() as session:
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.job_id == job_id)
                .values(
                    created_at=now - timedelta(hours=hours), status=status, next_attempt_at=None
                )
            )
    return made["id"], now


@pytest.mark.parametrize(
    ("since_h", "until_h", "status", "expected"),
    [
        (4, 0, None, 2),  # what failed, when nothing else is asked for
        (4, 0, "any", 3),
        (4, 0, "delivered", 1),
        (2.5, 0, "any", 2),
        (4, 2.5, "any", 1),
        (2, 1, "any", 1),  # from is inside the range and to is not
        (9, 8, "any", 0),
    ],
)
def test_messages_of_a_time_range_are_sent_again(
    client, three_hours, deliver, receiver, since_h, until_h, status, expected
):
    webhook_id, now = three_hours
    before = len(receiver.received)
    asked = {
        "from": (now - timedelta(hours=since_h)).isoformat(),
        "to": (now - timedelta(hours=until_h)).isoformat(),
        **({"status": status} if status else {}),
    }

    answer = client.post(f"/webhooks/{webhook_id}/replay", json=asked)
    sent = deliver()

    assert (answer.status_code, answer.json) == (202, {"count": expected})
    assert sent == len(receiver.received) - before == expected


def test_a_replay_is_oldest_first_and_waits_for_a_paused_endpoint(
    client, three_hours, deliver, receiver, messages
):
    webhook_id, now = three_hours
    receiver.received.clear()
    client.patch(f"/webhooks/{webhook_id}", json={"is_paused": True})
    client.post(
        f"/webhooks/{webhook_id}/replay",
        json={"from": (now - timedelta(hours=4)).isoformat(), "status": "any"},
    )
    while_paused = deliver()

    client.post(f"/webhooks/{webhook_id}/resume")
    deliver()

    order = [received.data["job_id"] for received in receiver.received[-3:]]
    assert while_paused == 0
    assert order == [str(row.job_id) for row in messages()]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"to": "2026-01-01"},
        {"from": "yesterday"},
        {"from": "2026-01-02", "to": "2026-01-01"},
        {"from": "2026-01-01", "status": "waiting"},
    ],
)
def test_a_replay_of_no_range_is_refused(client, make, asked):
    answer = client.post(f"/webhooks/{make()['id']}/replay", json=asked)

    assert answer.status_code == 422


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


def submit_form(client, **fields):
    file = (BytesIO(b"recording"), "talk.wav")
    return client.post("/transcribe/", data={"file": file, **fields})


def test_a_submission_brings_its_address_along(client, receiver, worker, outbox, deliver):
    secret = client.post("/webhooks/rotate-secret").json["secret"]

    answer = submit_form(client, webhook_url=receiver.url, webhook_events="started, completed")
    run_job(worker)
    outbox()
    deliver()

    assert answer.status_code == 202
    assert receiver.types() == ["job.started", "job.completed"]
    for received in receiver.received:
        assert received.verify(secret)["data"]["job_id"] == answer.json["job_id"]


@pytest.mark.parametrize(
    ("fields", "code", "option"),
    [
        ({"webhook_url": "https://10.0.0.7/"}, "webhook_url_refused", "webhook_url"),
        ({"webhook_url": "{}", "webhook_events": "done"}, "option_invalid", "webhook_events"),
        ({"webhook_events": "completed"}, "option_invalid", "webhook_events"),
    ],
)
def test_a_submission_with_an_address_that_cannot_be_keeps_nothing(
    client, services, receiver, fields, code, option
):
    given = {name: value.format(receiver.url) for name, value in fields.items()}

    answer = submit_form(client, **given)

    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert answer.json["details"]["option"] == option
    assert client.get("/jobs/").json["jobs"] == []
    assert [path for path in services.storage.root.rglob("*") if path.is_file()] == []


def test_messages_go_with_age_and_with_their_job(services, client, make, finish, outbox, messages):
    made = make(events=["completed"])
    purged, old, young = finish(), finish(), finish()
    client.post(f"/webhooks/{made['id']}/test")
    outbox()
    with services.open_session() as session:  # as if its messages had been written a moment later
        session.execute(delete(TranscriptionJob).where(TranscriptionJob.id == purged))
    days = timedelta(days=services.settings.keep_webhooks_days)
    with services.open_session() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.job_id == old)
            .values(created_at=func.now() - days)
        )

    gone = remove_messages_of_gone_jobs(services)
    aged = remove_old_messages(services)

    assert (gone, aged) == (1, 1)
    assert [row.event for row in messages() if row.job_id != young] == ["test"]
    assert len(messages()) == 2
