"""A job belongs to a tenant, and to all others it does not exist."""

from contextlib import closing
from io import BytesIO
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from models import JobEvent, TranscriptionJob, TranscriptionResult
from services.transcription import run_job
from tests.routes import address_of

# What doors and routes call the id of a job.
JOB_ARGUMENTS = {"job_id", "transcription_id", "transcript_id", "request_id"}
# What stands in addresses beside them. None of these names a job.
OTHER_ARGUMENTS = {
    *("batch_id", "delivery_id", "error_id", "format_name", "key_id", "model_id", "name"),
    *("subtitle_format", "token_type", "upload_id", "webhook_id"),
}
# What the owner could send, where an empty object is refused.
BODIES = {
    "/jobs/<string:job_id>": {"priority": "high"},
    "/v1/audio/transcriptions/<string:job_id>": {"name": "mine now"},
}
QUERIES = {"/v2/transcript/<string:transcript_id>/word-search": "?words=hello"}
STREAMS = {"/jobs/events"}  # they do not end


@pytest.fixture
def client_of(app, admin):
    """A client with a key of its own tenant that may do everything but /admin."""

    def client_of(tenant):
        admin.post("/admin/tenants", json={"name": tenant})
        made = admin.post("/admin/keys", json={"name": tenant, "tenant": tenant})
        client = app.test_client()
        client.environ_base["HTTP_X_API_KEY"] = made.json["key"]
        return client

    return client_of


@pytest.fixture
def owner(client_of):
    return client_of("owner")


@pytest.fixture
def stranger(client_of):
    return client_of("stranger")


@pytest.fixture
def jobs(owner, worker):
    """Ids of a job that is completed and of one that waits."""
    done = submit(owner)
    run_job(worker)
    waiting = submit(owner)
    assert owner.get(f"/transcribe/{done}").json["status"] == "completed"
    assert owner.get(f"/transcribe/{waiting}").json["status"] == "pending"
    return done, waiting


def submit(client):
    answer = client.post("/transcribe/", data={"file": (BytesIO(b"recording"), "secret.mp3")})
    assert answer.status_code == 202, answer.text
    return answer.json["job_id"]


def state_of(services, job_id):
    """All that the database says of a job."""
    with services.open_session() as session:
        job = session.get(TranscriptionJob, UUID(job_id))
        events = session.scalar(
            select(func.count()).select_from(JobEvent).where(JobEvent.job_id == job.id)
        )
        result = session.get(TranscriptionResult, job.id)
        columns = TranscriptionJob.__table__.columns
        return {c.name: getattr(job, c.name) for c in columns}, events, result is not None


def routes_of_jobs(app):
    """Every method of every route with the id of a job in its address."""
    for rule in app.url_map.iter_rules():
        named = JOB_ARGUMENTS & rule.arguments
        for method in sorted(rule.methods - {"OPTIONS"}) if named else ():
            yield method, rule, named


def ask(client, method, rule, named, job_id):
    address = address_of(rule, format_name="srt", **dict.fromkeys(named, job_id))
    address += QUERIES.get(rule.rule, "")
    body = BODIES.get(rule.rule, {}) if method in ("POST", "PUT", "PATCH") else None
    # A stream that is open would not end.
    with closing(client.open(address, method=method, json=body, buffered=False)) as answer:
        return answer.status_code, answer.text if answer.status_code >= 400 else ""


def test_to_another_tenant_a_job_is_as_one_that_never_was(app, services, stranger, jobs):
    asked = 0
    for job_id in jobs:
        before = state_of(services, job_id)
        for method, rule, named in routes_of_jobs(app):
            missing = str(uuid4())

            status, text = ask(stranger, method, rule, named, job_id)
            status_of_none, text_of_none = ask(stranger, method, rule, named, missing)

            asked += 1
            assert status == status_of_none == 404, (method, rule.rule, status)
            assert shape(text, job_id) == shape(text_of_none, missing), (method, rule.rule)
            assert state_of(services, job_id) == before, (method, rule.rule)
    assert asked >= 2 * 9


def shape(text, job_id):
    """A refusal without what differs from request to request."""
    lines = text.replace(job_id, "ID").splitlines()
    return [line for line in lines if "request_id" not in line and "dg-request" not in line]


def test_every_argument_of_an_address_is_known_to_name_a_job_or_not(app):
    named = {name for rule in app.url_map.iter_rules() for name in rule.arguments}

    assert named - JOB_ARGUMENTS - OTHER_ARGUMENTS == set()


def test_the_owner_finds_what_the_stranger_did_not(app, owner, jobs):
    done, _ = jobs

    found = {
        rule.rule
        for method, rule, named in routes_of_jobs(app)
        if method == "GET" and ask(owner, method, rule, named, done)[0] == 200
    }

    assert found >= {
        "/transcribe/<string:job_id>",
        "/transcribe/<string:job_id>/result",
        "/transcribe/<string:job_id>/audio",
        "/transcribe/<string:job_id>/history",
        "/transcribe/<string:job_id>/events",
    }


def test_nothing_that_a_stranger_can_list_names_the_job(app, stranger, jobs):
    lists = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if not rule.arguments and "GET" in rule.methods and rule.rule not in STREAMS
    ]

    said = {address: stranger.get(address).text for address in lists}

    assert "/jobs/" in said
    for address, text in said.items():
        assert not any(job_id in text for job_id in jobs), address
        assert "secret.mp3" not in text, address


def test_the_same_client_id_of_another_tenant_is_another_client(owner, stranger):
    same = {"X-Client-ID": "laptop"}
    owner.put("/transcribe/", data=b"recording", headers=same)

    with closing(stranger.get("/jobs/events", headers=same, buffered=False)) as stream:
        mine = stranger.put("/transcribe/", data=b"recording", headers=same).json["job_id"]
        first = ""
        while "submitted" not in first:
            first += next(stream.response).decode()

    assert mine in first


def test_the_admin_key_works_in_the_default_tenant(admin, jobs):
    answer = admin.get(f"/transcribe/{jobs[0]}")

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
    assert admin.get("/jobs/").json["jobs"] == []
