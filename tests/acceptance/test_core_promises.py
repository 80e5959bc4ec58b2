"""What the job core promises, on the whole server with an engine that does as it is told."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.retry import RetryPolicy, backoff
from tests.acceptance.conftest import await_value

MANY_WINDOWS = "fake: rtfx=8"  # the three minutes of `long_speech` take 22 s


@pytest.fixture(scope="module")
def core(make_server):
    """Every broker timeout is shorter than the jobs; what hangs is noticed within seconds."""
    return make_server(
        WHISPER_ENGINE="fake",
        VISIBILITY_TIMEOUT_S="2",
        REDISPATCH_AFTER_S="1",
        MAX_ATTEMPTS="3",
        STALL_AFTER_S="4",
        KILL_STUCK_AFTER_S="2",
    )


def results_of(server, job_id):
    [(count,)] = server.query(
        "SELECT count(*) FROM transcription_results WHERE job_id = %s", job_id
    )
    return count


def test_a_job_longer_than_every_broker_timeout_starts_once(core, long_speech):
    job_id = core.submit(long_speech, initial_prompt=MANY_WINDOWS)

    job = core.await_job(job_id)

    assert (job["status"], job["attempt"]) == ("completed", 1)
    assert core.events(job_id) == ["submitted", "started", "completed"]


def test_a_running_job_obeys_a_cancel_and_leaves_no_result(core, long_speech):
    job_id = core.submit(long_speech, initial_prompt=MANY_WINDOWS)
    core.await_decoding(job_id)

    answer = core.client.delete(f"/transcribe/{job_id}")
    job = core.await_job(job_id)

    assert (answer.status_code, job["status"]) == (202, "cancelled")
    assert results_of(core, job_id) == 0
    assert core.client.delete(f"/transcribe/{job_id}?purge=true").status_code == 204
    [(rows,)] = core.query("SELECT count(*) FROM transcription_jobs WHERE id = %s", job_id)
    assert rows == 0


def test_what_is_cancelled_while_no_worker_is_up_never_runs_and_its_file_goes(
    core, long_speech, short_speech
):
    running = core.submit(long_speech, initial_prompt=MANY_WINDOWS)
    core.await_decoding(running)
    workers = core.worker_processes()
    for process in workers:
        process.suspend()
    try:
        waiting = core.submit(short_speech)
        answers = [core.client.delete(f"/transcribe/{job}") for job in (waiting, running)]
        # Nobody is there to obey: the reconciler does it when the lease has run out.
        core.await_job(running)
    finally:
        for process in workers:
            process.resume()
    after = core.submit(short_speech)
    core.await_job(after)

    assert [answer.status_code for answer in answers] == [200, 202]
    for job_id in (waiting, running):
        assert core.job(job_id)["status"] == "cancelled"
        assert results_of(core, job_id) == 0
    assert "started" not in core.events(waiting)
    files = {path for path in (core.folder / "uploads").rglob("*") if path.is_file()}
    assert core.client.delete(f"/transcribe/{waiting}?purge=true").status_code == 204
    left = {path for path in (core.folder / "uploads").rglob("*") if path.is_file()}
    assert len(files - left) == 1


def test_retries_wait_exactly_as_long_as_the_function_says_and_keep_options_over_restarts(
    core, short_speech
):
    job_id = core.submit(
        short_speech, initial_prompt="fake: fails", language="de", beam_size="3", priority="high"
    )
    await_value(lambda: "retry" in core.events(job_id), 60, "the first attempt to fail")
    core.worker_parent().kill()

    job = core.await_job(job_id, "failed")

    rows = core.query(
        "SELECT event, attempt, at, detail FROM job_events WHERE job_id = %s ORDER BY id", job_id
    )
    assert [event for event, *_ in rows] == [
        *("submitted", "started", "retry", "started", "retry", "started", "dead_lettered"),
    ]
    assert [attempt for _, attempt, *_ in rows[1:]] == [1, 1, 2, 2, 3, 3]
    policy = RetryPolicy(max_attempts=3, base=timedelta(seconds=0.5))
    for (_, attempt, failed_at, detail), (_, _, started_at, _) in zip(
        rows[2:6:2], rows[3:7:2], strict=True
    ):
        after = backoff(attempt, UUID(job_id), policy)
        assert detail["after_s"] == round(after.total_seconds(), 3)
        assert started_at - failed_at >= after
    asked = job["options"]
    assert (asked["language"], asked["beam_size"], job["priority"]) == ("de", 3, "high")


@pytest.mark.parametrize("how", ["hangs", "hangs_hard"])
def test_a_decode_that_hangs_is_noticed_and_ends_in_the_dead_letters(core, short_speech, how):
    stuck = core.submit(short_speech, initial_prompt=f"fake: {how}")
    core.await_start(stuck)
    others = [core.submit(short_speech) for _ in range(4)]

    job = core.await_job(stuck)

    assert (job["status"], job["error_type"], job["attempt"]) == ("failed", "decode_stalled", 3)
    for other in others:
        assert core.await_job(other)["status"] == "completed"


def test_a_recording_that_kills_its_model_host_ends_in_the_dead_letters(core, short_speech):
    poison = core.submit(short_speech, initial_prompt="fake: dies")
    others = [core.submit(short_speech, initial_prompt="fake: rtfx=20") for _ in range(8)]

    job = core.await_job(poison)

    assert (job["status"], job["error_type"], job["attempt"]) == ("failed", "model_host_lost", 3)
    for other in others:
        done = core.await_job(other)
        # Who shared the first host with it begins again; its later attempts are made alone.
        assert (done["status"], done["attempt"] <= 2) == ("completed", True)
    letters = core.client.get("/admin/errors?type=model_host_lost", headers=core.admin).json()
    assert poison in [letter["job_id"] for letter in letters["errors"]]


def test_a_dead_letter_is_replayed_with_other_options(core, short_speech):
    job_id = core.submit(short_speech, initial_prompt="fake: fails")
    core.await_job(job_id, "failed")
    [(letter,)] = core.query("SELECT id FROM error_logs WHERE job_id = %s", job_id)

    answer = core.client.post(
        f"/admin/errors/{letter}/retry",
        headers=core.admin,
        json={"options": {"initial_prompt": "fake: rtfx=100"}, "priority": "high"},
    )
    job = core.await_job(job_id, "completed")

    assert answer.status_code == 200, answer.text
    assert (job["options"]["initial_prompt"], job["priority"]) == ("fake: rtfx=100", "high")
    assert core.events(job_id)[-3:] == ["requeued", "started", "completed"]


def test_a_job_whose_result_finds_the_database_full_waits_and_is_not_done_again(core, short_speech):
    core.query("""
        CREATE FUNCTION refuse_results() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON transcription_results
        FOR EACH ROW EXECUTE FUNCTION refuse_results();
        SELECT 1
    """)
    try:
        job_id = core.submit(short_speech)
        await_value(lambda: "attempt_waits_for_database" in core.log_text(), 60, "the full disk")
        status = core.job(job_id)["status"]
    finally:
        core.query("DROP TRIGGER full_disk ON transcription_results; SELECT 1")

    job = core.await_job(job_id)
    assert status == "processing"
    assert (job["status"], job["attempt"]) == ("completed", 1)


def test_a_database_without_room_refuses_a_submission_and_says_so(core, short_speech):
    core.query("""
        CREATE FUNCTION refuse_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON transcription_jobs
        FOR EACH ROW EXECUTE FUNCTION refuse_jobs();
        SELECT 1
    """)
    try:
        with short_speech.open("rb") as stream:
            answer = core.client.post("/transcribe/", files={"file": stream})
    finally:
        core.query("DROP TRIGGER full_disk ON transcription_jobs; SELECT 1")

    assert (answer.status_code, answer.json()["code"]) == (507, "database_full")
    assert "retry-after" in answer.headers
