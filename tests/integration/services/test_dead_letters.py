"""What an operator does with dead letters, and what the history says of it."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from domain.errors import (
    AudioGone,
    AudioUnreadable,
    ErrorLogNotFound,
    JobStateConflict,
    OptionInvalid,
    StorageError,
)
from domain.lifecycle import Priority
from models import ErrorLog, TranscriptionJob
from services import dead_letters
from services.dead_letter_views import ErrorFilter, get_error, list_errors
from services.dead_letters import (
    Changes,
    Selection,
    expire_error,
    expire_errors,
    resolve_error,
    resolve_errors,
    retry_error,
    retry_errors,
)
from services.jobs import cancel_job, get_job, purge_job
from services.storage_audit import FileAudit
from services.transcription import run_job
from services.window_store import save_windows
from storage.local import LocalStorage
from tests.integration.services.conftest import window

Job = TranscriptionJob


@pytest.fixture
def fail(services, worker, model, submit):
    """A dead letter of a job that had decoded two windows."""

    def act(should_stop):
        raise AudioUnreadable("no sound in it")

    def fail(**options):
        model.act = act
        job_id = submit(**options)
        run_job(worker)
        model.act = lambda should_stop: None
        with services.open_session() as session:
            save_windows(session, job_id, 1, [window(0), window(1)])
        return letter_of(services, job_id)

    return fail


def letter_of(services, job_id):
    """The newest dead letter of a job."""
    return list_errors(services, ErrorFilter(job_id=job_id)).errors[0]


def last_line(services, letter):
    return get_error(services, letter.id).attempts[-1]


def row_of(services, job_id):
    with services.open_session() as session:
        return session.get(Job, job_id)


def test_a_letter_shows_what_a_retry_can_go_on_from(services, fail):
    shown = get_error(services, fail().id)

    assert (shown.kept_windows, shown.kept_s) == (2, 60.0)
    assert shown.recording_removed_at is None


def test_letters_are_found_by_job_and_by_time(services, fail):
    first, second = fail(), fail()

    def found(**filters):
        return {letter.id for letter in list_errors(services, ErrorFilter(**filters)).errors}

    assert found(job_id=first.job_id) == {first.id}
    assert found(job_id=uuid4()) == set()
    assert found(created_from=second.created_at) == {second.id}
    assert found(created_to=second.created_at) == {first.id}
    assert found(created_from=datetime.now(UTC) + timedelta(days=1)) == set()


def test_a_retry_goes_on_with_the_same_options_and_windows(services, fail, published):
    letter = fail()
    published.clear()

    shown = retry_error(services, letter.id)

    assert (shown.resolved, shown.resolution, shown.kept_windows) == (True, "retried", 2)
    assert published == [(letter.job_id, "transcription.normal")]
    line = shown.attempts[-1]
    assert (line["event"], line["actor"], line["error_id"]) == ("requeued", "admin", letter.id)
    assert "options" not in line


def test_a_retry_with_other_options_uses_them_from_the_start(services, fail, worker):
    letter = fail(model_size="base", language="de")
    change = {"model_size": "small", "language": None, "beam_size": 3, "decode_mode": "sequential"}

    shown = retry_error(services, letter.id, Changes(options=change))
    run_job(worker)

    job = row_of(services, letter.job_id)
    assert (job.status, job.model_size, job.language) == ("completed", "small", None)
    assert job.options == letter.options | change
    assert shown.kept_windows == 0
    assert shown.attempts[-1]["options"] == change
    assert get_job(services, letter.job_id).model_used == "small"


def test_options_that_come_out_as_they_were_cost_no_window(services, fail):
    letter = fail(model_size="base")

    shown = retry_error(services, letter.id, Changes(options={"model_size": "base"}))

    assert shown.kept_windows == 2


def test_a_retry_with_another_priority_goes_to_its_queue(services, fail, published):
    letter = fail()
    published.clear()

    shown = retry_error(services, letter.id, Changes(priority=Priority.HIGH))

    job = row_of(services, letter.job_id)
    assert (job.priority, job.rank) == (Priority.HIGH, 0)
    assert published == [(letter.job_id, "transcription.high")]
    assert shown.attempts[-1]["priority"] == "high"
    assert shown.kept_windows == 2


def test_a_retried_job_stands_behind_what_its_client_handed_in_since(services, fail, submit):
    letter = fail()
    waiting = [submit() for _ in range(3)]

    retry_error(services, letter.id)

    turns = [row_of(services, job_id).turn for job_id in (*waiting, letter.job_id)]
    assert turns == sorted(turns)


def test_a_change_that_does_not_go_with_the_other_options_is_refused(services, fail):
    letter = fail(model_size="small", task="translate")

    with pytest.raises(OptionInvalid):
        retry_error(services, letter.id, Changes(options={"model_size": "turbo"}))

    assert get_job(services, letter.job_id).status == "failed"
    assert get_error(services, letter.id).resolved is False


def test_only_a_failed_job_is_retried_or_expired(services, fail):
    letter = fail()
    retry_error(services, letter.id)

    for action in (retry_error, expire_error):
        with pytest.raises(JobStateConflict) as caught:
            action(services, letter.id)
        assert caught.value.details["status"] == "pending"
    assert get_error(services, letter.id).recording_removed_at is None


def test_nothing_is_done_about_a_letter_that_nobody_wrote(services):
    for action in (retry_error, resolve_error, expire_error, get_error):
        with pytest.raises(ErrorLogNotFound):
            action(services, 1)


def test_a_letter_is_settled_once_and_the_history_says_why(services, fail):
    letter = fail()

    first = resolve_error(services, letter.id, "bad disk")
    again = resolve_error(services, letter.id, "another word")

    assert (first.resolution, again.resolution) == ("bad disk", "bad disk")
    assert len(again.attempts) == len(first.attempts)
    line = again.attempts[-1]
    assert (line["event"], line["actor"], line["note"]) == ("resolved", "admin", "bad disk")
    assert get_job(services, letter.job_id).status == "failed"


def test_what_expired_has_no_recording_and_no_windows_but_is_still_there(services, fail):
    letter = fail()
    key = row_of(services, letter.job_id).file_path

    shown = expire_error(services, letter.id)

    assert (shown.resolved, shown.resolution, shown.kept_windows) == (True, "expired", 0)
    assert shown.recording_removed_at is not None
    assert services.storage.size_of(key) is None
    line = shown.attempts[-1]
    assert (line["event"], line["actor"], line["windows"]) == ("expired", "admin", 2)
    assert get_job(services, letter.job_id).status == "failed"


def test_what_expired_cannot_be_retried_and_nothing_changes(services, fail, published):
    letter = fail()
    expire_error(services, letter.id)
    before = get_error(services, letter.id)
    published.clear()

    with pytest.raises(AudioGone):
        retry_error(services, letter.id, Changes(options={"model_size": "tiny"}))

    assert get_error(services, letter.id) == before
    assert row_of(services, letter.job_id).options == letter.options
    assert published == []


def test_a_job_whose_recording_is_lost_is_not_retried(services, fail):
    letter = fail()
    services.storage.delete(row_of(services, letter.job_id).file_path)

    with pytest.raises(AudioGone):
        retry_error(services, letter.id)

    assert get_job(services, letter.job_id).status == "failed"


def test_expiring_twice_is_once(services, fail):
    letter = fail()

    first, second = expire_error(services, letter.id), expire_error(services, letter.id)

    assert first == second


class DyingStorage(LocalStorage):
    """A disk that goes away before the file is removed."""

    def delete(self, key):
        raise StorageError("the disk does not answer")


def test_a_file_that_survived_its_expiry_is_found_by_the_audit(services, fail, tmp_path):
    letter = fail()
    key = row_of(services, letter.job_id).file_path
    dying = replace(services, storage=DyingStorage(tmp_path / "store", min_free_bytes=0))

    with pytest.raises(StorageError):
        expire_error(dying, letter.id)

    assert get_error(services, letter.id).resolution == "expired"
    assert services.storage.size_of(key) is not None
    with pytest.raises(AudioGone):
        retry_error(services, letter.id)
    hurried = services.settings.model_copy(update={"orphan_after_h": 1e-9})
    audit, eager = FileAudit(), replace(services, settings=hurried)
    os.utime(services.storage.root / key[:2] / key, (0, 0))
    assert [audit.remove_orphans(eager) for _ in range(2)] == [0, 1]
    assert services.storage.size_of(key) is None


def test_a_finished_job_that_was_removed_takes_its_letters_along(services, fail):
    letter = fail()
    purge_job(services, letter.job_id)

    with pytest.raises(ErrorLogNotFound):
        retry_error(services, letter.id)


def test_many_are_retried_with_the_same_changes_and_an_answer_for_each(services, fail):
    fits, gone = fail(model_size="base"), fail(model_size="base")
    clashes = fail(model_size="small", task="translate")
    expire_error(services, gone.id)
    ids = [fits.id, gone.id, clashes.id, 2**62, fits.id]

    outcomes = retry_errors(services, Selection(ids=ids), Changes(options={"model_size": "turbo"}))

    assert [(outcome.id, outcome.code) for outcome in outcomes] == [
        (fits.id, None),
        (gone.id, "audio_gone"),
        (clashes.id, "option_invalid"),
        (2**62, "error_log_not_found"),
        (fits.id, "job_state_conflict"),
    ]
    assert [outcome.is_done for outcome in outcomes] == [True, False, False, False, False]
    assert row_of(services, fits.job_id).model_size == "turbo"
    assert row_of(services, clashes.job_id).status == "failed"


def test_many_are_settled_and_each_history_says_so(services, fail):
    letters = [fail(), fail()]

    outcomes = resolve_errors(services, Selection(error_type="audio_unreadable"), "known")

    assert [outcome.job_id for outcome in outcomes] == [letter.job_id for letter in letters]
    for letter in letters:
        assert last_line(services, letter)["note"] == "known"


def test_what_is_old_and_open_expires_together(services, fail):
    old, settled, young = fail(), fail(), fail()
    resolve_error(services, settled.id)
    with services.open_session() as session:
        past = func.now() - timedelta(days=31)
        which = ErrorLog.id.in_((old.id, settled.id))
        session.execute(update(ErrorLog).where(which).values(created_at=past))

    outcomes = expire_errors(services, Selection(older_than=timedelta(days=30)))

    assert [(outcome.id, outcome.is_done) for outcome in outcomes] == [(old.id, True)]
    assert get_error(services, young.id).resolved is False
    assert get_error(services, settled.id).recording_removed_at is None


def test_one_call_does_a_bounded_number(services, fail, monkeypatch):
    monkeypatch.setattr(dead_letters, "BULK_LIMIT", 2)
    letters = [fail() for _ in range(3)]
    every = Selection(error_type="audio_unreadable")

    done = [[outcome.id for outcome in expire_errors(services, every)] for _ in range(2)]

    assert done == [[letters[0].id, letters[1].id], [letters[2].id]]


def test_a_retry_closes_every_open_letter_of_its_job(services, fail, worker, model):
    first = fail()
    with services.open_session() as session:
        row = session.scalar(select(ErrorLog).where(ErrorLog.id == first.id))
        values = {c.name: getattr(row, c.name) for c in ErrorLog.__table__.columns}
        del values["id"]
        session.add(ErrorLog(**values))
    second = letter_of(services, first.job_id)

    retry_error(services, first.id)

    assert second.id != first.id
    assert get_error(services, second.id).resolution == "retried"


def test_a_job_that_was_cancelled_meanwhile_stays_so(services, fail):
    letter = fail()
    retry_error(services, letter.id)
    cancel_job(services, letter.job_id)

    with pytest.raises(JobStateConflict):
        retry_error(services, letter.id)

    assert get_job(services, letter.job_id).status == "cancelled"
