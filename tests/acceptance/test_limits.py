"""A running server keeps its tenants to their limits, and says what it cannot take."""

import signal

import pytest

from tests.acceptance.conftest import await_value

LIMITS = "/admin/tenants/default/limits"
STEP = "fake: rtfx=20"  # 11 seconds of speech take half a second
HOLD = "fake: rtfx=0.5"  # and 22 seconds
WEB_WORKERS = 2


@pytest.fixture(scope="module")
def limited(make_server):
    return make_server(
        WHISPER_ENGINE="fake",
        CELERY_CONCURRENCY="2",
        WEB_WORKERS=str(WEB_WORKERS),
        SYNC_MAX_WAIT_S="5",
    )


@pytest.fixture
def limit(limited):
    """Set limits of the only tenant, for one test."""

    def limit(**overrides):
        answer = limited.client.put(LIMITS, json=overrides)
        assert answer.status_code == 200, answer.text

    yield limit
    limit()


@pytest.fixture
def valkey(limited):
    """The process of Valkey, which goes on in the end."""
    (process,) = limited.find_processes("valkey-server")
    yield process
    process.send_signal(signal.SIGCONT)


def holds(answer, *, to):
    """Whether a process that answered goes by this limit already."""
    return answer.headers.get("RateLimit-Limit") == str(to)


def test_a_request_that_would_wait_too_long_is_told_when_to_come_again(limited, short_speech):
    holding = [limited.submit(short_speech, initial_prompt=HOLD) for _ in range(2)]
    limited.await_start(*holding)

    with short_speech.open("rb") as stream:
        answer = limited.client.post(
            "/v1/audio/transcriptions", data={"model": "tiny"}, files={"file": stream}
        )
    for job_id in holding:
        limited.client.delete(f"/transcribe/{job_id}")
        limited.await_job(job_id)

    assert answer.status_code == 503
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.json()["error"]["code"] == "server_busy"


def test_no_more_jobs_of_a_tenant_run_at_once_than_may(limited, limit, short_speech):
    limit(running_jobs=1)
    # The workers read the limits every five seconds.
    await_value(lambda: is_alone(limited, short_speech), 60, "the workers to know the limit")
    jobs = [limited.submit(short_speech, initial_prompt=STEP) for _ in range(4)]

    for job_id in jobs:
        limited.await_job(job_id, "completed")

    assert most_at_once(limited, jobs) == 1


def is_alone(server, speech):
    jobs = [server.submit(speech, initial_prompt=STEP) for _ in range(2)]
    for job_id in jobs:
        server.await_job(job_id, "completed")
    return most_at_once(server, jobs) == 1


def most_at_once(server, jobs):
    """How many of these jobs ran at the same time at most."""
    rows = server.query(
        "SELECT event FROM job_events WHERE job_id = ANY(%s::uuid[])"
        " AND event IN ('started', 'completed') ORDER BY at, id",
        jobs,
    )
    running, most = 0, 0
    for (event,) in rows:
        running += 1 if event == "started" else -1
        most = max(most, running)
    return most


def test_requests_are_limited_while_valkey_does_not_answer(limited, limit, valkey):
    limit(requests_per_minute=7)
    await_value(
        lambda: all(holds(limited.client.get("/jobs/?limit=1"), to=7) for _ in range(8)),
        30,
        "every process to know the limit",
    )
    valkey.send_signal(signal.SIGSTOP)

    statuses = [limited.client.get("/jobs/?limit=1").status_code for _ in range(7 * 4)]

    assert set(statuses) <= {200, 429}
    assert 429 in statuses
    assert statuses.count(200) <= 7 * WEB_WORKERS
    assert limited.log_text().count("requests_counted_alone") <= WEB_WORKERS


def test_a_repeated_submission_is_one_job_and_an_equal_one_is_answered_at_once(
    limited, short_speech
):
    def submit(query="", **headers):
        with short_speech.open("rb") as stream:
            return limited.client.post(
                f"/transcribe/?{query}", files={"file": stream}, headers=headers
            )

    first = submit(**{"Idempotency-Key": "order-17"})
    again = submit(**{"Idempotency-Key": "order-17"})
    done = limited.await_job(first.json()["job_id"], "completed")
    reused = submit("reuse_result=true").json()
    copy = limited.job(reused["job_id"])

    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (reused["status"], copy["status"]) == ("completed", "completed")
    assert copy["transcription"] == done["transcription"]
    assert done["job_id"] in copy["warnings"][-1]["message"]
