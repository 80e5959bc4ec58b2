from dataclasses import replace
from io import BytesIO
from uuid import uuid4

import pytest

from audio.probe import AudioProbe
from domain.errors import (
    AudioStreamMissing,
    AudioTooLong,
    BrokerUnavailable,
    CursorInvalid,
    JobNotFound,
    JobStateConflict,
    ResultNotReady,
)
from domain.lifecycle import Priority
from domain.options import TranscriptionOptions
from domain.submission import Submission
from services.histories import job_history
from services.job_lists import JobFilter, list_jobs
from services.jobs import (
    cancel_job,
    get_job,
    get_transcript,
    purge_job,
    set_priority,
    submit_job,
)
from services.recordings import open_audio
from services.sweeps import dispatch_pending
from services.transcription import run_job
from services.waiting import wait_for_change
from tests.integration.services.conftest import files_in


def put(services, content=b"recording"):
    return services.storage.put(BytesIO(content), max_bytes=1_000_000)


def refuse(services, error):
    def probe(path):
        raise error

    return replace(services, probe=probe)


def test_a_submitted_job_waits_and_was_rung_for(services, published):
    stored = put(services)

    job_id = submit_job(
        services,
        stored,
        TranscriptionOptions("base"),
        Submission(priority=Priority.HIGH, filename="a.wav"),
    )

    job = get_job(services, job_id)
    assert (job.status, job.priority, job.queue_position) == ("pending", "high", 1)
    assert (job.filename, job.duration, job.sha256) == ("a.wav", 1.0, stored.sha256)
    assert published == [(job_id, "transcription.high")]


def test_the_history_names_the_key_that_submitted(services, submit):
    key_id = uuid4()

    by_key, by_nobody = submit(placed={"key_id": key_id}), submit()

    actors = [job_history(services, job_id)[0].actor for job_id in (by_key, by_nobody)]
    assert actors == [f"key:{key_id}", "api"]


def test_a_file_that_is_no_audio_leaves_neither_job_nor_file(services, published, tmp_path):
    stored = put(services)

    with pytest.raises(AudioStreamMissing):
        submit_job(
            refuse(services, AudioStreamMissing("a picture")), stored, TranscriptionOptions("base")
        )

    assert list_jobs(services, JobFilter()).jobs == []
    assert files_in(tmp_path / "store") == []
    assert published == []


def test_a_recording_that_claims_to_be_too_long_is_refused(services):
    claims = replace(services, probe=lambda path: AudioProbe(360_000.0, "wav", "pcm", 8000, 1))

    with pytest.raises(AudioTooLong) as caught:
        submit_job(claims, put(services), TranscriptionOptions("base"))

    assert caught.value.details["maximum_s"] == services.settings.max_audio_duration_s


def test_a_job_is_taken_while_the_broker_is_away_and_rung_for_later(services, published):
    def away(job_id, queue):
        raise BrokerUnavailable("away")

    job_id = submit_job(
        replace(services, publish=away), put(services), TranscriptionOptions("base")
    )
    rung = dispatch_pending(services)

    assert (get_job(services, job_id).status, rung) == ("pending", 1)
    assert published == [(job_id, "transcription.normal")]


def test_the_queue_position_counts_what_runs_before(services, submit):
    first, second = submit(), submit()

    urgent = submit_job(
        services, put(services), TranscriptionOptions("base"), Submission(priority=Priority.HIGH)
    )

    positions = [get_job(services, job).queue_position for job in (urgent, first, second)]
    assert positions == [1, 2, 3]


def test_an_unknown_job_is_not_found(services):
    for action in (get_job, cancel_job, purge_job, get_transcript, open_audio):
        with pytest.raises(JobNotFound):
            action(services, uuid4())


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(services, worker, model, submit):
    job_id = submit()

    job = cancel_job(services, job_id)
    run_job(worker)

    assert (job.status, model.calls) == ("cancelled", 0)


def test_a_finished_job_cannot_be_cancelled(services, worker, submit):
    job_id = submit()
    run_job(worker)

    with pytest.raises(JobStateConflict) as caught:
        cancel_job(services, job_id)

    assert caught.value.details["status"] == "completed"


def test_a_purge_removes_job_result_and_file(services, worker, submit, tmp_path):
    job_id = submit()
    run_job(worker)

    purge_job(services, job_id)

    with pytest.raises(JobNotFound):
        get_job(services, job_id)
    assert files_in(tmp_path / "store") == []


def test_a_waiting_job_cannot_be_purged(services, submit):
    job_id = submit()

    with pytest.raises(JobStateConflict):
        purge_job(services, job_id)

    assert get_job(services, job_id).status == "pending"


def test_a_job_without_a_result_says_where_it_stands(services, submit):
    with pytest.raises(ResultNotReady) as caught:
        get_transcript(services, submit())

    assert caught.value.details["status"] == "pending"


def test_the_recording_comes_back_as_it_was_uploaded(services, submit):
    job_id = submit(content=b"the very bytes")

    audio = open_audio(services, job_id)

    with audio.stream as stream:
        assert stream.read() == b"the very bytes"
    assert audio.filename == "talk.wav"


def test_pages_cover_every_job_once_newest_first_while_jobs_arrive(services, submit):
    ids = [submit() for _ in range(5)]

    first = list_jobs(services, JobFilter(), limit=2)
    submit()
    second = list_jobs(services, JobFilter(), cursor=first.next_cursor, limit=2)
    third = list_jobs(services, JobFilter(), cursor=second.next_cursor, limit=2)

    listed = [job.job_id for page in (first, second, third) for job in page.jobs]
    assert listed == ids[::-1]
    assert (first.has_more, third.has_more, third.next_cursor) == (True, False, None)


def test_lists_are_filtered(services, worker, submit):
    done, waiting = submit(language="de"), submit(model_size="tiny")
    run_job(worker)

    def ids(**filters):
        return [job.job_id for job in list_jobs(services, JobFilter(**filters)).jobs]

    assert ids(status="completed") == [done]
    assert ids(model_size="tiny") == [waiting]
    assert ids(language="de") == [done]
    assert ids(filename="TALK") == [waiting, done]
    assert ids(filename="100%") == []


@pytest.mark.parametrize("cursor", ["nonsense", "bm9uc2Vuc2U=", "MjAyNi0wMS0wMXx4", "é"])
def test_a_made_up_cursor_is_refused(services, cursor):
    with pytest.raises(CursorInvalid):
        list_jobs(services, JobFilter(), cursor=cursor)


def test_a_wait_ends_when_something_changes(services, submit):
    job_id = submit()
    seen = get_job(services, job_id)
    cancel_job(services, job_id)

    job = wait_for_change(services, job_id, timeout_s=30, since=seen)

    assert job.status == "cancelled"


def test_a_wait_ends_by_itself(services, submit):
    job = wait_for_change(services, submit(), timeout_s=0.01)

    assert job.status == "pending"


def test_a_priority_that_a_job_has_already_costs_nothing(services, submit):
    first, second = submit(), submit()

    job = set_priority(services, first, Priority.NORMAL)

    assert (job.priority, job.queue_position) == ("normal", 1)
    assert get_job(services, second).queue_position == 2


def test_a_running_job_keeps_its_priority(services, worker, model, submit):
    job_id = submit()
    refused = []

    def move(should_stop):
        with pytest.raises(JobStateConflict) as caught:
            set_priority(services, job_id, Priority.HIGH)
        refused.append(caught.value.details["status"])

    model.act = move
    run_job(worker)

    assert refused == ["processing"]
    assert get_job(services, job_id).priority == "normal"
