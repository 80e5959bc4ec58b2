"""What goes on with upload sessions while nobody sends anything."""

import logging
import os
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from domain.errors import DatabaseUnavailable, TooManyJobs
from models import StorageFinding, TranscriptionJob, UploadSession
from services import upload_finish, upload_sessions
from services.storage_audit import FileAudit
from services.upload_sweeps import HOLD_S, WholeUploads, remove_expired
from storage.local_resumable import LocalResumable
from tests.integration.api.resumable.uploads import (
    AUDIO,
    SHA256,
    TUS,
    count,
    offset_of,
    set_session,
    the_job,
)


def test_an_expired_upload_is_gone_and_its_file_too(client, services, begin, send, files):
    where = begin()
    send(where, AUDIO[:10], 0)
    set_session(services, expires_at=func.now() - timedelta(seconds=1))

    seen = client.head(where, headers=TUS).status_code
    removed = remove_expired(services)

    assert (seen, removed) == (404, 1)
    assert files() == []
    assert count(services, UploadSession) == 0


def test_an_upload_that_lives_is_not_swept(client, services, begin, send):
    where = begin()

    removed = remove_expired(services)

    assert removed == 0
    assert send(where, AUDIO, 0).status_code == 204


def test_an_expired_upload_that_became_a_job_goes_without_its_recording(
    client, services, begin, send
):
    job = send(begin(), AUDIO, 0).headers["Location"]
    set_session(services, expires_at=func.now() - timedelta(seconds=1))

    removed = remove_expired(services)

    assert removed == 1
    assert client.get(f"{job}/audio").data == AUDIO


def test_every_piece_gives_an_upload_new_time(client, services, begin, send):
    where = begin()
    set_session(services, expires_at=func.now() + timedelta(seconds=60))

    send(where, AUDIO[:10], 0)

    with services.open_session() as session:
        left = session.scalar(select(UploadSession.expires_at - func.now()))
    assert left > timedelta(hours=23)


def test_the_sweep_of_orphans_leaves_unfinished_uploads_alone(client, services, begin, send, files):
    where = begin()
    send(where, AUDIO[:10], 0)
    for name in files():
        os.utime(services.storage.root / name, (0, 0))

    FileAudit().remove_orphans(services)

    assert count(services, StorageFinding) == 0
    assert offset_of(client, where) == 10


def test_a_whole_upload_that_an_outage_kept_from_being_a_job_becomes_one_later(
    client, services, begin, send, monkeypatch
):
    where = begin()

    def away(*_):
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(upload_finish, "submit_job", away)
        refused = send(where, AUDIO, 0)
    head = client.head(where, headers=TUS)
    finished = WholeUploads().finish_whole(services)

    assert refused.status_code == 503
    assert (head.headers["Upload-Offset"], "X-Job-ID" in head.headers) == ("100000", False)
    assert finished == 1
    assert the_job(services).sha256 == SHA256
    assert client.head(where, headers=TUS).headers["X-Job-ID"] == str(the_job(services).id)


def test_whole_uploads_become_jobs_one_at_a_time_since_other_sweeps_wait(
    services, begin, send, monkeypatch
):
    def away(*_):
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(upload_finish, "submit_job", away)
        for _ in range(2):
            send(begin(), AUDIO, 0)
    sweep = WholeUploads()

    counts = [(sweep.finish_whole(services), count(services, TranscriptionJob)) for _ in range(3)]

    assert counts == [(1, 1), (1, 2), (0, 2)]


def test_a_job_whose_upload_missed_it_is_found_and_not_made_twice(
    client, services, begin, send, files
):
    where = begin()
    send(where, AUDIO, 0)
    job = the_job(services)
    # As if the server had died right after it made the job.
    unfinished = services.storage.root / "incoming" / job.file_path
    os.link(services.storage.root / job.file_path[:2] / job.file_path, unfinished)
    set_session(services, job_id=None)

    again = send(where, b"", 100_000)

    assert again.headers["X-Job-ID"] == str(job.id)
    assert the_job(services).id == job.id
    assert files() == [f"{job.file_path[:2]}/{job.file_path}"]


def test_the_name_of_a_recording_is_not_logged(client, services, begin, send, caplog):
    caplog.set_level(logging.DEBUG)

    send(begin(filename="secret-name.wav"), AUDIO, 0)

    assert "secret-name" not in caplog.text


def test_a_whole_upload_that_a_limit_keeps_from_being_a_job_is_not_tried_all_the_time(
    client, services, begin, send, monkeypatch
):
    clock = [0.0]
    sweep = WholeUploads(lambda: clock[0])
    tries = []

    def full(*_, **__):
        tries.append(clock[0])
        raise TooManyJobs("3 jobs wait already", limit="waiting_jobs", maximum=3)

    where = begin()
    with monkeypatch.context() as patch:
        patch.setattr(upload_finish, "require_room", full)
        refused = send(where, AUDIO, 0)
        for moment in (0.0, HOLD_S - 1, HOLD_S, HOLD_S + 1):
            clock[0] = moment
            sweep.finish_whole(services)
    clock[0] = 3 * HOLD_S
    finished = sweep.finish_whole(services)

    assert (refused.status_code, refused.json["code"]) == (429, "too_many_jobs")
    assert tries == [0.0, 0.0, HOLD_S]
    assert finished == 1
    assert the_job(services).sha256 == SHA256


def test_a_tenant_without_room_is_told_before_it_sends_anything(client, monkeypatch):
    def full(*_, **__):
        raise TooManyJobs("3 jobs wait already", limit="waiting_jobs", maximum=3)

    monkeypatch.setattr(upload_sessions, "require_room", full)

    answer = client.post("/uploads", headers={**TUS, "Upload-Length": "5"})

    assert (answer.status_code, answer.json["code"]) == (429, "too_many_jobs")


def test_a_recording_is_hashed_once_however_often_it_is_tried(
    client, services, begin, send, monkeypatch
):
    def away(*_):
        raise DatabaseUnavailable("away")

    where = begin()
    with monkeypatch.context() as patch:
        patch.setattr(upload_finish, "submit_job", away)
        send(where, AUDIO, 0)
    monkeypatch.setattr(LocalResumable, "_hash", lambda _: pytest.fail("hashed again"))

    finished = WholeUploads().finish_whole(services)

    assert finished == 1
    assert the_job(services).sha256 == SHA256
