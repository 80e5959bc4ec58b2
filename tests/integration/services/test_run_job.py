import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from domain.errors import AudioUnreadable, DatabaseUnavailable, OutOfMemory, Stopped
from domain.lifecycle import JobStatus
from models import ErrorLog, JobEvent, TranscriptionJob, TranscriptionResult
from services import lifecycle, sweeps, transcription
from services.dead_letter_views import get_error, list_errors
from services.dead_letters import retry_error
from services.jobs import cancel_job, get_job, get_transcript
from services.transcription import run_job


def stop_when_told(should_stop):
    """Work until told to stop, as a window loop does."""
    waiter = threading.Event()
    for _ in range(400):
        if should_stop():
            raise Stopped
        waiter.wait(0.01)
    pytest.fail("nobody asked the work to stop")


def count(services, table):
    with services.open_session() as session:
        return session.scalar(select(func.count()).select_from(table))


def events_of(services, job_id):
    with services.open_session() as session:
        query = select(JobEvent.event).where(JobEvent.job_id == job_id).order_by(JobEvent.id)
        return list(session.scalars(query))


def test_a_job_goes_from_submission_to_a_transcript(services, worker, submit):
    job_id = submit(language="en")

    run_job(worker)

    job, transcript = get_transcript(services, job_id)
    assert (job.status, job.progress, job.current_step) == ("completed", 1.0, "done")
    assert (job.transcription, job.word_count, job.duration) == ("Hello there.", 2, 1.0)
    assert transcript.text == "Hello there."
    assert events_of(services, job_id) == ["submitted", "started", "completed"]


def test_a_job_delivered_twice_is_transcribed_once(services, worker, model, submit):
    submit()

    run_job(worker)
    run_job(worker)

    assert model.calls == 1


def test_racing_deliveries_of_one_job_yield_one_result(services, worker, model, submit):
    submit()
    start = threading.Barrier(8)

    def deliver():
        start.wait()
        run_job(worker)

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert model.calls == 1
    assert count(services, TranscriptionResult) == 1


def test_a_doorbell_for_a_job_that_is_gone_is_ignored(worker, model):
    run_job(worker)

    assert model.calls == 0


def test_a_passing_fault_is_retried_with_the_same_options(services, worker, model, submit):
    job_id = submit(language="de", initial_prompt="Glossar")
    faults = [OutOfMemory("no room"), DatabaseUnavailable("away")]

    def fail_twice(should_stop):
        if faults:
            raise faults.pop()

    model.act = fail_twice
    for _ in range(3):
        with services.open_session() as session:
            session.execute(update(TranscriptionJob).values(next_attempt_at=None))
        run_job(worker)

    job = get_job(services, job_id)
    assert (job.status, job.attempt) == ("completed", 3)
    assert (job.options["language"], job.options["initial_prompt"]) == ("de", "Glossar")
    assert events_of(services, job_id).count("retry") == 2


def test_a_retry_is_not_started_before_its_time_even_when_the_bell_rings(
    services, worker, model, submit
):
    job_id = submit()
    slow = replace(
        worker,
        base=replace(
            services,
            settings=services.settings.model_copy(
                update={"retry_base_s": 60.0, "retry_cap_s": 60.0}
            ),
        ),
    )
    model.act = lambda should_stop: (_ for _ in ()).throw(OutOfMemory("no room"))

    run_job(slow)
    run_job(slow)

    job = get_job(services, job_id)
    assert (job.status, job.attempt, model.calls) == ("pending", 1, 1)
    assert job.current_step == "waiting_for_retry"
    assert job.next_attempt_at is not None


def test_a_damaged_recording_fails_at_once_and_is_a_dead_letter(
    services, worker, model, submit, dead_letters
):
    job_id = submit()
    model.act = lambda should_stop: (_ for _ in ()).throw(AudioUnreadable("no frames"))

    run_job(worker)

    job = get_job(services, job_id)
    assert (job.status, job.error_type, job.attempt) == ("failed", "audio_unreadable", 1)
    assert dead_letters == [job_id]
    [letter] = list_errors(services).errors
    whole = get_error(services, letter.id)
    assert (whole.type, whole.error_class, whole.message) == (
        "audio_unreadable",
        "AudioUnreadable",
        "no frames",
    )
    assert "AudioUnreadable" in whole.stack_trace
    assert whole.options["model_size"] == "base"
    assert whole.worker_id == "host:1/2"
    assert whole.memory_mb > 0
    assert [attempt["event"] for attempt in whole.attempts] == [
        "submitted",
        "started",
        "dead_lettered",
    ]


def test_a_fault_that_does_not_pass_uses_up_the_attempts(services, worker, model, submit):
    job_id = submit()
    model.act = lambda should_stop: (_ for _ in ()).throw(RuntimeError("again"))

    for _ in range(7):
        with services.open_session() as session:
            session.execute(update(TranscriptionJob).values(next_attempt_at=None))
        run_job(worker)

    job = get_job(services, job_id)
    assert (job.status, job.attempt, model.calls) == ("failed", 5, 5)
    assert count(services, ErrorLog) == 1


def test_a_dead_letter_put_back_runs_again_from_its_first_attempt(
    services, worker, model, submit, published
):
    job_id = submit()
    model.act = lambda should_stop: (_ for _ in ()).throw(AudioUnreadable("no frames"))
    run_job(worker)
    model.act = lambda should_stop: None
    published.clear()

    letter = retry_error(services, list_errors(services).errors[0].id)
    run_job(worker)

    assert (letter.resolved, letter.resolution) == (True, "retried")
    assert published == [(job_id, "transcription.normal")]
    assert (get_job(services, job_id).status, get_job(services, job_id).attempt) == ("completed", 1)


def test_a_cancel_stops_the_work_and_the_job_never_completes(services, worker, model, submit):
    job_id = submit()

    def cancel_midway(should_stop):
        cancel_job(services, job_id)
        stop_when_told(should_stop)

    model.act = cancel_midway

    run_job(worker)

    assert get_job(services, job_id).status == "cancelled"
    assert count(services, TranscriptionResult) == 0


def test_a_cancel_that_comes_after_the_last_window_still_wins(services, worker, model, submit):
    job_id = submit()
    model.act = lambda should_stop: cancel_job(services, job_id)

    run_job(worker)

    assert get_job(services, job_id).status == "cancelled"
    assert count(services, TranscriptionResult) == 0


def test_a_worker_that_stops_gives_its_job_back_without_costing_an_attempt(
    services, worker, model, submit
):
    job_id = submit()
    model.act = stop_when_told

    run_job(replace(worker, is_draining=lambda: True))

    job = get_job(services, job_id)
    assert (job.status, job.attempt) == ("pending", 0)


def test_a_late_twin_of_a_reaped_attempt_writes_nothing(services, worker, model, submit):
    job_id = submit()

    def be_taken_for_dead(should_stop):
        model.act = lambda should_stop: None
        with services.open_session() as session:
            expired = func.now() - timedelta(seconds=1)
            session.execute(update(TranscriptionJob).values(lease_expires_at=expired))
        assert sweeps.reap_expired(services) == 1
        with services.open_session() as session:
            session.execute(update(TranscriptionJob).values(next_attempt_at=None))
        run_job(worker)

    model.act = be_taken_for_dead

    run_job(worker)

    with services.open_session() as session:
        result = session.scalars(select(TranscriptionResult)).one()
    assert model.calls == 2
    assert result.attempt == 2
    assert get_job(services, job_id).attempt == 2


def test_a_lost_lease_stops_the_work(services, worker, model, submit):
    job_id = submit()

    def lose_lease(should_stop):
        with services.open_session() as session:
            session.execute(
                update(TranscriptionJob).values(lease_token=TranscriptionJob.lease_token + 1)
            )
        stop_when_told(should_stop)

    model.act = lose_lease

    run_job(worker)

    assert get_job(services, job_id).status == "processing"


def test_a_result_waits_for_a_database_that_is_away(services, worker, model, submit, monkeypatch):
    job_id = submit()
    outages = [1, 1]
    complete = lifecycle.complete

    def complete_later(*args, **kwargs):
        if outages:
            outages.pop()
            raise DatabaseUnavailable("away")
        return complete(*args, **kwargs)

    monkeypatch.setattr(lifecycle, "complete", complete_later)
    monkeypatch.setattr("services.transcription.PERSIST_RETRY_S", 0.0)

    run_job(worker)

    assert (get_job(services, job_id).status, model.calls) == ("completed", 1)


def test_progress_and_the_time_left_can_be_watched(services, worker, model, submit):
    job_id = submit()
    seen = []

    def watch(should_stop):
        waiter = threading.Event()
        for _ in range(300):
            view = get_job(services, job_id)
            if view.progress == 0.5:
                seen.append(view)
                return
            waiter.wait(0.01)

    model.act = watch

    run_job(worker)

    [view] = seen
    assert (view.status, view.current_step) == (JobStatus.PROCESSING, "transcribing")
    assert view.time_left_s is not None


def test_an_error_is_written_down_when_the_database_is_back(
    services, worker, model, submit, monkeypatch
):
    monkeypatch.setattr(transcription, "PERSIST_RETRY_S", 0.01)
    job_id = submit()
    model.act = lambda should_stop: (_ for _ in ()).throw(OutOfMemory("no room"))
    outages = [1, 2, 3]

    @contextmanager
    def open_session():
        if outages and model.calls:
            outages.pop()
            raise DatabaseUnavailable("away")
        with services.open_session() as session:
            yield session

    run_job(replace(worker, base=replace(services, open_session=open_session)))

    assert outages == []
    job = get_job(services, job_id)
    assert (job.status, job.error_type) == ("pending", "out_of_memory")


def test_a_message_outlives_an_outage_of_the_database(services, worker, model, submit, monkeypatch):
    monkeypatch.setattr(transcription, "PERSIST_RETRY_S", 0.01)
    job_id = submit()
    outages = [1, 2, 3]

    @contextmanager
    def open_statement():
        if outages:
            outages.pop()
            raise DatabaseUnavailable("away")
        with services.open_statement() as session:
            yield session

    run_job(replace(worker, base=replace(services, open_statement=open_statement)))

    assert outages == []
    assert get_job(services, job_id).status == "completed"
