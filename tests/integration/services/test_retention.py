"""Each setting removes exactly what it says, and nothing else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, text, update

import database
from domain.errors import AudioGone, AudioUnreadable, StorageError
from domain.lifecycle import JobStatus, Rank
from models import ClientTurn, ErrorLog, JobEvent, TranscriptionJob, WorkerProcess
from services import retention
from services.jobs import cancel_job
from services.queue_order import take_turn
from services.reconciler import Reconciler
from services.recordings import open_audio
from services.transcription import run_job
from services.window_store import count_windows, save_windows
from storage.local import LocalStorage
from tests.integration.services.conftest import files_in, window

Job = TranscriptionJob
DAY = timedelta(days=1)
NOTHING = {
    "keep_finished_days": 0,
    "keep_failed_days": 0,
    "keep_recordings_days": 0,
    "keep_windows_days": 0,
    "keep_events_days": 0,
    "keep_usage_days": 0,
}


@pytest.fixture
def finish(services, worker, model, submit):
    """Brings a job to its end, so many days ago."""

    def give_up(should_stop):
        raise AudioUnreadable("no sound in it")

    def finish(status, days_ago=0.0):
        job_id = submit(content=status.encode())
        if status == JobStatus.CANCELLED:
            cancel_job(services, job_id)
        else:
            model.act = give_up if status == JobStatus.FAILED else lambda should_stop: None
            run_job(worker)
        age(services, job_id, days_ago)
        return job_id

    return finish


def age(services, job_id, days):
    past = timedelta(days=days)
    with services.open_session() as session:
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(created_at=Job.created_at - past, completed_at=Job.completed_at - past)
        )
        session.execute(
            update(JobEvent).where(JobEvent.job_id == job_id).values(at=JobEvent.at - past)
        )


def keeping(services, **days):
    """Services that keep everything for ever, but for what is named here."""
    return replace(services, settings=services.settings.model_copy(update=NOTHING | days))


def run_all(services):
    return {sweep.__name__: count for sweep in retention.SWEEPS if (count := sweep(services))}


def ids(services, column=Job.id):
    with services.open_session() as session:
        return set(session.scalars(select(column)))


def events_of(services, job_id):
    with services.open_session() as session:
        query = select(JobEvent.event).where(JobEvent.job_id == job_id).order_by(JobEvent.id)
        return list(session.scalars(query))


def keep_window(services, job_id):
    with services.open_session() as session:
        save_windows(session, job_id, 1, [window(0), window(1)])


def has_windows(services, job_id):
    with services.open_session() as session:
        return count_windows(session, job_id)[0] > 0


def test_by_default_everything_goes_in_the_end_and_nothing_before(services, finish, submit):
    kept = {
        finish(JobStatus.COMPLETED, 29),
        finish(JobStatus.CANCELLED, 29),
        finish(JobStatus.FAILED, 89),
    }
    finish(JobStatus.COMPLETED, 31)
    finish(JobStatus.CANCELLED, 31)
    finish(JobStatus.FAILED, 91)
    kept.add(submit())

    done = run_all(services)

    assert done == {"purge_finished": 2, "purge_failed": 1}
    assert ids(services) == kept


def test_zero_keeps_for_ever(services, finish):
    for status in (JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.FAILED):
        keep_window(services, finish(status, 36_000))

    done = run_all(keeping(services))

    assert done == {}
    assert len(ids(services)) == 3


def test_finished_jobs_go_with_their_files_and_the_failed_stay(services, finish, tmp_path):
    failed = finish(JobStatus.FAILED, 5)
    young = finish(JobStatus.COMPLETED, 3)
    finish(JobStatus.COMPLETED, 5)
    finish(JobStatus.CANCELLED, 5)

    done = run_all(keeping(services, keep_finished_days=4))

    assert done == {"purge_finished": 2}
    assert ids(services) == {failed, young}
    assert ids(services, JobEvent.job_id) == {failed, young}
    left = sorted(path.read_bytes() for path in files_in(tmp_path / "store"))
    assert left == [b"completed", b"failed"]


def test_failed_jobs_go_with_their_dead_letters_windows_and_files(services, finish, tmp_path):
    young, old = finish(JobStatus.FAILED, 3), finish(JobStatus.FAILED, 5)
    completed = finish(JobStatus.COMPLETED, 5)
    keep_window(services, old)

    done = run_all(keeping(services, keep_failed_days=4))

    assert done == {"purge_failed": 1}
    assert ids(services) == {young, completed}
    assert ids(services, ErrorLog.job_id) == {young}
    assert len(files_in(tmp_path / "store")) == 2


def test_a_job_that_was_retried_lately_is_as_young_as_its_end(services, finish):
    job_id = finish(JobStatus.FAILED, 100)
    with services.open_session() as session:
        session.execute(update(Job).values(completed_at=func.now() - 3 * DAY))

    assert run_all(keeping(services, keep_failed_days=4)) == {}
    assert ids(services) == {job_id}


def test_recordings_go_before_their_jobs_and_the_history_says_so(services, finish, tmp_path):
    old, cancelled = finish(JobStatus.COMPLETED, 5), finish(JobStatus.CANCELLED, 5)
    young, failed = finish(JobStatus.COMPLETED, 3), finish(JobStatus.FAILED, 5)
    keeper = keeping(services, keep_recordings_days=4)

    done = run_all(keeper)
    again = run_all(keeper)

    assert (done, again) == ({"remove_recordings": 2}, {})
    assert ids(services) == {old, cancelled, young, failed}
    assert events_of(services, old)[-2:] == ["completed", "recording_removed"]
    assert events_of(services, cancelled)[-2:] == ["cancelled", "recording_removed"]
    assert "recording_removed" not in events_of(services, young) + events_of(services, failed)
    assert sorted(path.read_bytes() for path in files_in(tmp_path / "store")) == [
        b"completed",
        b"failed",
    ]
    with pytest.raises(AudioGone):
        open_audio(services, old)
    open_audio(services, young).stream.close()


def test_a_recording_that_was_removed_is_gone_though_its_file_is_still_there(services, finish):
    job_id = finish(JobStatus.COMPLETED)
    with services.open_session() as session:
        session.execute(update(Job).values(file_removed_at=func.now()))

    with pytest.raises(AudioGone):
        open_audio(services, job_id)


def test_windows_of_failed_and_cancelled_jobs_go(services, finish, submit):
    old = [finish(JobStatus.FAILED, 5), finish(JobStatus.CANCELLED, 5)]
    kept = [finish(JobStatus.FAILED, 3), submit()]
    for job_id in old + kept:
        keep_window(services, job_id)
    before = ids(services)

    done = run_all(keeping(services, keep_windows_days=4))

    assert done == {"remove_windows": 2}
    assert [has_windows(services, job_id) for job_id in old + kept] == [False, False, True, True]
    assert ids(services) == before


def test_the_history_of_finished_jobs_goes_and_that_of_others_stays(services, finish, submit):
    old, cancelled = finish(JobStatus.COMPLETED, 5), finish(JobStatus.CANCELLED, 5)
    kept = [finish(JobStatus.COMPLETED, 3), finish(JobStatus.FAILED, 5), submit()]
    age(services, kept[-1], 5)
    before = [events_of(services, job_id) for job_id in kept]

    done = run_all(keeping(services, keep_events_days=4))

    assert done == {"remove_events": 5}
    assert events_of(services, old) + events_of(services, cancelled) == []
    assert [events_of(services, job_id) for job_id in kept] == before
    assert ids(services) == {old, cancelled, *kept}


def test_the_history_of_a_job_that_ended_lately_stays_whole(services, finish):
    job_id = finish(JobStatus.COMPLETED, 3)
    with services.open_session() as session:
        begun = update(JobEvent).where(JobEvent.event == "submitted")
        session.execute(begun.values(at=JobEvent.at - 100 * DAY))

    assert run_all(keeping(services, keep_events_days=4)) == {}
    assert events_of(services, job_id) == ["submitted", "started", "completed"]


def test_turns_of_clients_that_were_away_go_unless_they_were_ahead_of_others(services, submit):
    with services.open_session() as session:
        for client in ("away", "ahead", "ahead", "here"):
            take_turn(session, client, Rank.NORMAL, 1.0)
    submit()
    with services.open_session() as session:
        session.execute(update(Job).values(turn=1.5))
        away = update(ClientTurn).where(ClientTurn.client.in_(("away", "ahead")))
        session.execute(away.values(updated_at=func.now() - 2 * DAY))
        session.execute(update(ClientTurn).where(ClientTurn.client == "away").values(turn=1.0))
        session.execute(update(ClientTurn).where(ClientTurn.client == "ahead").values(turn=2.0))

    done = run_all(keeping(services))

    assert done == {"forget_turns": 1}
    assert {"ahead", "here"} <= ids(services, ClientTurn.client)
    assert "away" not in ids(services, ClientTurn.client)


def test_reports_of_processes_that_are_long_gone_go(services):
    with services.open_session() as session:
        for name, days in (("gone", 1), ("here", 0)):
            seen_at = func.now() - days * DAY
            session.add(WorkerProcess(id=name, worker="w", pid=1, pool={}, seen_at=seen_at))

    done = run_all(keeping(services))

    assert done == {"forget_gone_processes": 1}
    assert ids(services, WorkerProcess.id) == {"here"}


def test_a_backlog_is_worked_off_in_batches(services, finish, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        finish(JobStatus.FAILED, 5)
    keeper = keeping(services, keep_failed_days=4)

    counts = [retention.purge_failed(keeper) for _ in range(4)]

    assert counts == [2, 2, 1, 0]


def test_the_reconciler_repeats_a_sweep_while_its_batches_are_full(services, finish, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        finish(JobStatus.FAILED, 5)
    reconciler = Reconciler(keeping(services, keep_failed_days=4))
    looks = []

    def look_then_stop(_services):
        looks.append(len(ids(services)))
        if looks[-1] == 0:
            reconciler.stop()
        return 0

    reconciler._sweeps.append(replace(reconciler._sweeps[0], run=look_then_stop, every_s=0.0))
    reconciler.run()

    assert looks == [3, 1, 0]


def test_a_row_that_somebody_holds_is_skipped(services, finish):
    held, free = finish(JobStatus.FAILED, 5), finish(JobStatus.FAILED, 5)
    with services.open_session() as session:
        session.execute(select(Job.id).where(Job.id == held).with_for_update())

        done = run_all(keeping(services, keep_failed_days=4))

    assert done == {"purge_failed": 1}
    assert free not in ids(services)
    assert ids(services) == {held}


class SickStorage(LocalStorage):
    """A disk that refuses to remove."""

    def delete(self, key):
        raise StorageError("the disk is read-only")


def test_a_file_that_cannot_be_removed_does_not_stop_the_others(services, finish, tmp_path):
    for _ in range(2):
        finish(JobStatus.FAILED, 5)
    sick = replace(services, storage=SickStorage(tmp_path / "store", min_free_bytes=0))

    done = run_all(keeping(sick, keep_failed_days=4))

    assert done == {"purge_failed": 2}
    assert ids(services) == set()


FILL = """
INSERT INTO transcription_jobs
    (id, status, model_size, options, file_path, size_bytes, sha256, created_at, completed_at)
SELECT gen_random_uuid(), CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END, 'base', '{}',
    md5(n::text), 1, '', at, at
FROM generate_series(1, 6000) n, LATERAL (SELECT now() - n * interval '7 minutes') moment (at);
INSERT INTO job_events (job_id, event, status, attempt, actor, at)
SELECT id, status, status, 1, 'host:1/2', completed_at FROM transcription_jobs;
UPDATE transcription_jobs SET file_removed_at = now()
WHERE status = 'completed' AND completed_at < now() - interval '2 days';
INSERT INTO transcription_windows
    (job_id, number, lease_token, engine, model_used, next_seek, segments, carried)
SELECT id, number, 1, 'fake', 'base', 3000, '[]', '{}'
FROM transcription_jobs, generate_series(0, 9) number
WHERE status = 'failed' AND completed_at > now() - interval '7 days';
"""


def test_no_sweep_reads_a_whole_table(services, monkeypatch):
    """What is kept must not make it slower to find what goes."""
    monkeypatch.setattr(retention, "BATCH", 20)  # as 200 among ten times as many
    keeper = keeping(
        services,
        keep_finished_days=28,
        keep_failed_days=28,
        keep_recordings_days=1,
        keep_windows_days=6,
        keep_events_days=28,
    )
    with services.open_session() as session:
        session.execute(text(FILL))
    with database.get_engine().connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE"))

    plans = {sweep.__name__: plan_of(sweep, keeper) for sweep in retention.SWEEPS[:5]}

    whole = {
        name: plan
        for name, plan in plans.items()
        if "Seq Scan on transcription_jobs" in plan or "Seq Scan on job_events" in plan
    }
    assert whole == {}
    assert "ix_jobs_newest" in plans["purge_finished"]
    assert "ix_jobs_recordings" in plans["remove_recordings"]
    assert "ix_events_at" in plans["remove_events"]


def plan_of(sweep, services):
    """How Postgres would go about the statements of a sweep."""
    seen = []

    def keep(_connection, _cursor, statement, parameters, _context, _many):
        seen.append((statement, parameters))

    engine = database.get_engine()
    event.listen(engine, "before_cursor_execute", keep)
    sweep(services)
    event.remove(engine, "before_cursor_execute", keep)
    with engine.connect() as connection:
        rows = [
            row
            for statement, parameters in seen
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        ]
    return "\n".join(line for (line,) in rows)
