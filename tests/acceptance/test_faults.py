"""What is killed, cut off or told to stop loses no job and does none twice."""

import signal

import psutil
import pytest

from hosting.folder import open_folder
from tests.acceptance.conftest import await_value


@pytest.fixture(scope="module")
def frail(make_server):
    """A server of its own, since these tests hurt it."""
    return make_server()


def postmaster(server):
    [found] = [
        process
        for process in server.find_processes("postgres", "-D")
        if process.parent().pid == server.launcher_pid
    ]
    return found


def model_host(server):
    """The process that holds the models."""
    folder = open_folder(server.folder / "run")
    return psutil.Process(await_value(lambda: folder.holder(0), 60, "the model host"))


def busy_child(server, job_id):
    """The prefork child that holds the lease of this job."""
    [(owner,)] = server.query("SELECT lease_owner FROM transcription_jobs WHERE id = %s", job_id)
    return psutil.Process(int(owner.rpartition("/")[2]))


def assert_done_once(server, job_id):
    job = server.await_job(job_id)
    assert job["status"] == "completed", job
    [(results,)] = server.query(
        "SELECT count(*) FROM transcription_results WHERE job_id = %s", job_id
    )
    assert results == 1
    return job


def history(server, job_id):
    """What happened to the job, oldest first: what a failed assertion shows."""
    return server.query(
        "SELECT event, attempt, detail FROM job_events WHERE job_id = %s ORDER BY id", job_id
    )


def test_a_killed_child_costs_one_attempt_and_no_job(frail, long_speech):
    job_id = frail.submit(long_speech, decode_mode="sequential")
    frail.await_decoding(job_id)

    busy_child(frail, job_id).kill()

    job = assert_done_once(frail, job_id)
    assert job["attempt"] == 2, history(frail, job_id)


def test_a_killed_worker_costs_one_attempt_and_no_job(frail, long_speech):
    job_id = frail.submit(long_speech, decode_mode="sequential")
    frail.await_decoding(job_id)

    frail.worker_parent().kill()

    job = assert_done_once(frail, job_id)
    assert job["attempt"] == 2, history(frail, job_id)


def test_a_killed_model_host_costs_one_attempt_and_no_job(frail, long_speech):
    job_id = frail.submit(long_speech, decode_mode="sequential")
    frail.await_decoding(job_id)
    killed = model_host(frail)

    killed.kill()

    job = assert_done_once(frail, job_id)
    events = history(frail, job_id)
    assert job["attempt"] == 2, events
    [retry] = [detail for event, _, detail in events if event == "retry"]
    assert retry["error_type"] == "model_host_lost"
    assert model_host(frail).pid != killed.pid


def test_a_killed_worker_leaves_the_model_host_to_its_successor(frail, short_speech):
    frail.await_job(frail.submit(short_speech))
    host = model_host(frail)

    frail.worker_parent().kill()

    assert_done_once(frail, frail.submit(short_speech))
    assert model_host(frail).pid == host.pid


def test_a_worker_told_to_stop_hands_its_job_back(frail, long_speech):
    job_id = frail.submit(long_speech, decode_mode="sequential")
    frail.await_decoding(job_id)

    frail.worker_parent().send_signal(signal.SIGTERM)

    job = assert_done_once(frail, job_id)
    events = history(frail, job_id)
    assert job["attempt"] == 1, events
    assert "released" in [event for event, _, _ in events]


def test_a_frozen_child_that_wakes_again_writes_nothing(frail, long_speech):
    job_id = frail.submit(long_speech, decode_mode="sequential")
    frail.await_decoding(job_id)
    child = busy_child(frail, job_id)

    child.suspend()
    await_value(lambda: frail.job(job_id)["attempt"] == 2, 60, "a second attempt")
    child.resume()

    job = assert_done_once(frail, job_id)
    [(attempt, token)] = frail.query(
        "SELECT attempt, lease_token FROM transcription_results WHERE job_id = %s", job_id
    )
    first_token = 1
    assert attempt == job["attempt"] > 1
    # The claim of the frozen child, and its being taken back.
    assert token > first_token + 1, history(frail, job_id)


def test_a_job_submitted_while_the_broker_is_away_runs_when_it_is_back(frail, short_speech):
    [valkey] = frail.find_processes("valkey-server")

    valkey.kill()
    jobs = [frail.submit(short_speech) for _ in range(3)]

    for job_id in jobs:
        assert_done_once(frail, job_id)


def test_a_killed_database_loses_nothing(frail, long_speech, short_speech):
    job_id = frail.submit(long_speech, decode_mode="sequential")
    frail.await_decoding(job_id)

    postmaster(frail).kill()

    assert_done_once(frail, job_id)
    assert_done_once(frail, frail.submit(short_speech))


def test_without_the_database_the_answer_is_503_and_when_to_come_back(frail, short_speech):
    parent = postmaster(frail)
    before = {path for path in (frail.folder / "uploads").rglob("*") if path.is_file()}

    parent.suspend()
    try:
        for backend in parent.children():
            backend.kill()
        answers = [frail.client.get("/jobs/")]
        with short_speech.open("rb") as stream:
            answers.append(frail.client.post("/transcribe/", files={"file": stream}))
    finally:
        parent.resume()

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    await_value(lambda: frail.client.get("/health/ready").status_code == 200, 60, "readiness")
    assert_done_once(frail, frail.submit(short_speech))
    after = {path for path in (frail.folder / "uploads").rglob("*") if path.is_file()}
    # The refused upload may stay until the sweep for orphans: nobody knows whether it committed.
    assert len(after - before) <= 2


def test_a_killed_launcher_leaves_no_process(make_server):
    doomed = make_server()
    processes = doomed.processes()
    assert len(processes) >= 8

    psutil.Process(doomed.launcher_pid).kill()

    _, alive = psutil.wait_procs(processes, timeout=20)
    assert alive == []
