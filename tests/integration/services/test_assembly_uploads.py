"""Recordings that are uploaded first, and named in submissions later."""

from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text, update

from domain.errors import TooManyUploads, UploadNotFound
from models import StorageFinding, UploadSession
from services import assembly_uploads, storage_audit, upload_sweeps
from services.assembly_uploads import keep_upload, note_use, require_place, use_upload
from services.storage_audit import FileAudit
from services.upload_sweeps import WholeUploads

Row = UploadSession


@pytest.fixture
def keep(services):
    def keep(*, tenant="default", content=b"recording"):
        stored = services.storage.put(BytesIO(content), max_bytes=100)
        return keep_upload(services, stored, tenant=tenant, key_id=None, content_type="audio/wav")

    return keep


def expire(services, upload_id, *, before=timedelta(0)):
    with services.open_session() as session:
        session.execute(
            update(Row).where(Row.id == upload_id).values(expires_at=func.now() - before)
        )


def rows(services):
    with services.open_session() as session:
        return set(session.scalars(select(Row.id)))


def file_of(services, upload_id):
    with services.open_session() as session:
        return session.get(Row, upload_id).file_path


def test_an_upload_may_become_any_number_of_files(services, keep):
    upload_id = keep()

    first = use_upload(services, upload_id, tenant="default")
    second = use_upload(services, upload_id, tenant="default")

    services.storage.delete(first.stored.key)
    with services.storage.open(second.stored.key) as stream:
        assert stream.read() == b"recording"
    assert (second.stored.size_bytes, second.content_type) == (9, "audio/wav")
    assert first.stored.sha256 == second.stored.sha256


def test_nobody_else_can_use_an_upload(services, keep):
    upload_id = keep(tenant="alice")

    with pytest.raises(UploadNotFound):
        use_upload(services, upload_id, tenant="bob")

    assert use_upload(services, upload_id, tenant="alice")


def test_an_unknown_upload_is_not_found(services):
    with pytest.raises(UploadNotFound):
        use_upload(services, uuid4(), tenant="default")


def test_an_expired_upload_is_gone_with_its_file_and_what_was_made_of_it_stays(services, keep):
    upload_id, other = keep(), keep()
    key, used = file_of(services, upload_id), use_upload(services, upload_id, tenant="default")
    expire(services, upload_id)

    with pytest.raises(UploadNotFound):
        use_upload(services, upload_id, tenant="default")
    removed = assembly_uploads.remove_expired(services)

    assert (removed, rows(services)) == (1, {other})
    assert services.storage.size_of(key) is None
    assert services.storage.size_of(used.stored.key) == len(b"recording")


def test_an_upload_whose_file_went_just_now_is_not_found(services, keep):
    upload_id = keep()
    services.storage.delete(file_of(services, upload_id))

    with pytest.raises(UploadNotFound):
        use_upload(services, upload_id, tenant="default")


def test_the_audit_takes_no_kept_upload_for_an_orphan(services, keep, monkeypatch):
    monkeypatch.setattr(storage_audit, "YOUNG", timedelta(0))
    eager = replace(services, settings=services.settings.model_copy(update={"orphan_after_h": 0}))
    kept = file_of(services, keep())
    stray = services.storage.put(BytesIO(b"stray"), max_bytes=100).key

    FileAudit().remove_orphans(eager)

    with services.open_session() as session:
        assert kept not in set(session.scalars(select(StorageFinding.key)))
    assert services.storage.size_of(kept) is not None
    assert services.storage.size_of(stray) is None


def test_whoever_looks_after_recordings_in_pieces_leaves_these_alone(services, keep):
    upload_id = keep()

    finished = WholeUploads().finish_whole(services)
    removed = upload_sweeps.remove_expired(services)

    assert (finished, removed) == (0, 0)
    assert use_upload(services, upload_id, tenant="default")


def test_these_expire_before_their_rows_do(services, keep):
    # Else the sweep of the others could come first, and leave the file behind.
    upload_id = keep()
    expire(services, upload_id, before=timedelta(seconds=-30))

    assert upload_sweeps.remove_expired(services) == 0
    assert assembly_uploads.remove_expired(services) == 1


def test_a_tenant_may_have_so_many_unused_uploads_and_no_more(services, keep):
    bounded = replace(
        services, settings=services.settings.model_copy(update={"max_upload_sessions": 2})
    )
    first = keep()
    keep()
    keep(tenant="alice")

    with pytest.raises(TooManyUploads):
        require_place(bounded, "default")
    note_use(services, first, uuid4())

    require_place(bounded, "default")


def test_a_file_that_could_not_be_noted_is_not_kept(services):
    stored = services.storage.put(BytesIO(b"recording"), max_bytes=100)

    with pytest.raises(ValueError, match="NUL"):
        keep_upload(services, stored, tenant="a\0b", key_id=None, content_type=None)

    assert services.storage.size_of(stored.key) is None


def test_ids_cannot_be_guessed_from_the_time(keep):
    assert {keep().version for _ in range(3)} == {4}


def test_uploads_are_found_by_their_mark_alone(services, keep):
    upload_id = keep()
    with services.open_session() as session:
        session.execute(text('UPDATE upload_sessions SET upload_metadata = \'{"said": ""}\''))

    with pytest.raises(UploadNotFound):
        use_upload(services, upload_id, tenant="default")
