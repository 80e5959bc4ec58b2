"""What goes on with upload sessions while nobody sends anything."""

import logging
import os
from datetime import timedelta

from sqlalchemy import func, select

from domain.errors import DatabaseUnavailable
from models import StorageFinding, UploadSession
from services import upload_sessions
from services.storage_audit import FileAudit
from services.upload_sessions import finish_whole, remove_expired
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
        patch.setattr(upload_sessions, "submit_job", away)
        refused = send(where, AUDIO, 0)
    head = client.head(where, headers=TUS)
    finished = finish_whole(services)

    assert refused.status_code == 503
    assert (head.headers["Upload-Offset"], "X-Job-ID" in head.headers) == ("100000", False)
    assert finished == 1
    assert the_job(services).sha256 == SHA256
    assert client.head(where, headers=TUS).headers["X-Job-ID"] == str(the_job(services).id)


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
