"""The store and the rows, compared: what is missing on either side is found, and heals."""

import logging
import os
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import func, select, update

from domain.errors import AudioUnreadable, StorageError
from models import StorageFinding, TranscriptionJob
from services import storage_audit
from services.jobs import cancel_job, purge_job
from services.storage_audit import FileAudit, RowAudit
from services.storage_report import storage_report
from services.transcription import run_job
from storage.local import LocalStorage

Job = TranscriptionJob
A_DAY_AND_MORE = timedelta(hours=25)


@pytest.fixture
def put(services):
    """Stores a file, old enough to be looked at."""

    def put(content=b"orphan", *, is_old=True):
        key = services.storage.put(BytesIO(content), max_bytes=100).key
        if is_old:
            make_old(services, key)
        return key

    return put


def make_old(services, key):
    os.utime(path_of(services, key), (0, 0))


def path_of(services, key):
    return services.storage.root / key[:2] / key


def key_of(services, job_id):
    with services.open_session() as session:
        return session.scalar(select(Job.file_path).where(Job.id == job_id))


def set_job(services, job_id, **values):
    with services.open_session() as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))


def found(services, kind):
    with services.open_session() as session:
        query = select(StorageFinding).where(StorageFinding.kind == kind)
        return {row.key: row for row in session.scalars(query)}


def orphans(services):
    return found(services, "file_without_row")


def losses(services):
    return found(services, "row_without_file")


def finished(services):
    return {audit.name for audit in storage_report(services).audits if audit.finished_at}


def let_pass(services, time):
    """Move what was found into the past."""
    with services.open_session() as session:
        session.execute(update(StorageFinding).values(found_at=StorageFinding.found_at - time))


def test_a_file_without_a_row_is_reported_and_kept_for_a_while(services, submit, put):
    key, audit = put(b"orphan"), FileAudit()
    make_old(services, key_of(services, submit()))

    removed = [audit.remove_orphans(services) for _ in range(2)]

    assert removed == [0, 0]
    (finding,) = orphans(services).values()
    assert (finding.key, finding.job_id, finding.size_bytes) == (key, None, 6)
    assert finding.seen_at > finding.found_at


def test_a_file_that_stayed_without_a_row_is_removed(services, put):
    old, audit = put(), FileAudit()
    audit.remove_orphans(services)
    let_pass(services, A_DAY_AND_MORE)
    young = put()

    removed = [audit.remove_orphans(services) for _ in range(2)]

    assert removed == [1, 0]
    assert services.storage.size_of(old) is None
    assert set(orphans(services)) == {young}


def test_an_abandoned_upload_is_an_orphan_too(services):
    upload = services.storage.new_upload(max_bytes=100)
    upload.write(b"half")
    (path,) = services.storage.root.rglob("incoming/*")
    os.utime(path, (0, 0))

    FileAudit().remove_orphans(services)

    assert set(orphans(services)) == {f"incoming/{path.name}"}


def test_a_young_file_is_none_of_its_business(services, put):
    put(is_old=False)

    FileAudit().remove_orphans(services)

    assert orphans(services) == {}


def test_a_file_whose_job_gave_it_up_is_an_orphan_of_that_job(services, submit):
    job_id = submit()
    key = key_of(services, job_id)
    make_old(services, key)
    set_job(services, job_id, file_removed_at=func.now())

    FileAudit().remove_orphans(services)

    assert orphans(services)[key].job_id == job_id


@pytest.mark.parametrize("cure", ["removed by hand", "asked for by a row"])
def test_a_file_that_is_an_orphan_no_more_is_forgotten(services, submit, put, cure):
    key, audit = put(), FileAudit()
    audit.remove_orphans(services)
    let_pass(services, A_DAY_AND_MORE)
    if cure == "removed by hand":
        services.storage.delete(key)
    else:
        set_job(services, submit(), file_path=key)

    removed = audit.remove_orphans(services)

    assert removed == 0
    assert orphans(services) == {}
    assert (services.storage.size_of(key) is None) == (cure == "removed by hand")


def test_a_large_store_is_gone_through_in_pieces(services, put, monkeypatch):
    monkeypatch.setattr(storage_audit, "BATCH", 2)
    keys, audit = {put() for _ in range(5)}, FileAudit()

    seen = []
    for _ in range(3):
        audit.remove_orphans(services)
        seen.append(len(orphans(services)))

    assert seen == [2, 4, 5]
    assert set(orphans(services)) == keys
    assert finished(services) == {"files"}


class SickStorage(LocalStorage):
    """A disk that fails in the middle of a listing."""

    def keys_older_than(self, age):
        yield next(super().keys_older_than(age))
        raise StorageError("the disk does not answer")


def test_a_listing_that_breaks_off_heals_nothing(services, put, tmp_path):
    put(), put()
    audit = FileAudit()
    audit.remove_orphans(services)
    sick = replace(services, storage=SickStorage(tmp_path / "store", min_free_bytes=0))

    with pytest.raises(StorageError):
        audit.remove_orphans(sick)

    assert len(orphans(services)) == 2
    audit.remove_orphans(services)
    assert len(orphans(services)) == 2


def test_a_row_without_its_file_is_reported_once_and_loudly(services, submit, caplog):
    lost, _whole = submit(), submit()
    key, audit = key_of(services, lost), RowAudit()
    services.storage.delete(key)

    with caplog.at_level(logging.WARNING, logger="services.storage_audit"):
        new = [audit.find_missing_files(services) for _ in range(2)]

    assert new == [1, 0]
    assert {key: row.job_id for key, row in losses(services).items()} == {key: lost}
    told = [record for record in caplog.records if record.name == "services.storage_audit"]
    assert [record.job_id for record in told] == [str(lost)]


def test_a_recording_that_was_removed_on_purpose_is_no_loss(services, submit):
    job_id = submit()
    services.storage.delete(key_of(services, job_id))
    set_job(services, job_id, file_removed_at=func.now())

    assert RowAudit().find_missing_files(services) == 0
    assert losses(services) == {}


def test_a_recording_that_goes_on_purpose_while_we_look_is_no_loss(services, submit, tmp_path):
    job_id = submit()

    class Racing(LocalStorage):
        def size_of(self, key):
            set_job(services, job_id, file_removed_at=func.now())
            self.delete(key)
            return super().size_of(key)

    racing = replace(services, storage=Racing(tmp_path / "store", min_free_bytes=0))

    assert RowAudit().find_missing_files(racing) == 0
    assert losses(services) == {}


@pytest.mark.parametrize("cure", ["file came back", "job was removed", "file was given up"])
def test_a_loss_that_is_none_any_more_is_forgotten(services, submit, cure):
    job_id = submit()
    path, audit = path_of(services, key_of(services, job_id)), RowAudit()
    path.rename(path.with_suffix(".away"))
    audit.find_missing_files(services)
    assert len(losses(services)) == 1
    if cure == "file came back":
        path.with_suffix(".away").rename(path)
    elif cure == "job was removed":
        cancel_job(services, job_id)
        purge_job(services, job_id)
    else:
        set_job(services, job_id, file_removed_at=func.now())

    audit.find_missing_files(services)

    assert losses(services) == {}


def test_what_is_unfinished_or_failed_comes_round_whatever_else_there_is(
    services, submit, worker, model, monkeypatch
):
    monkeypatch.setattr(storage_audit, "BATCH", 2)

    def give_up(should_stop):
        raise AudioUnreadable("no sound in it")

    completed = [submit() for _ in range(5)]
    for _ in completed:
        run_job(worker)
    model.act = give_up
    failed = submit()
    run_job(worker)
    waiting, audit = submit(), RowAudit()
    for job_id in (completed[0], failed, waiting):
        services.storage.delete(key_of(services, job_id))

    seen = []
    for _ in range(3):
        audit.find_missing_files(services)
        seen.append({row.job_id for row in losses(services).values()})

    assert seen == [{failed, waiting}, {failed, waiting}, {failed, waiting, completed[0]}]
    assert finished(services) == {"rows"}


def test_the_report_tells_what_was_found_and_when(services, submit, put):
    lost, orphan = key_of(services, submit()), put(b"orphan")
    services.storage.delete(lost)
    before = storage_report(services)
    RowAudit().find_missing_files(services)
    FileAudit().remove_orphans(services)

    report = storage_report(services)

    assert (before.audits, before.findings) == ([], [])
    assert before.counts == {"file_without_row": 0, "row_without_file": 0}
    assert report.counts == {"file_without_row": 1, "row_without_file": 1}
    assert [finding.key for finding in report.findings] == [orphan, lost]
    assert [audit.name for audit in report.audits] == ["files", "rows"]
    assert report.free_bytes > 0
