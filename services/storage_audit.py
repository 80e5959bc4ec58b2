"""Compares the store with the rows, piece by piece, and notes where they disagree.

Files without a row are what a crash between the two leaves behind; they are reported, and
removed when they stay like that. Rows without a file are losses: they are only reported.
A finding that is no longer true goes. No run is longer because the store or a table is.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from domain.lifecycle import JobStatus
from models import StorageAudit, StorageFinding, TranscriptionJob
from services.context import Services
from services.upload_sessions import arriving

logger = logging.getLogger(__name__)

Job = TranscriptionJob
Finding = StorageFinding
AnyRow = Row[*tuple[Any, ...]]

BATCH = 500  # files of a run, and rows of each status
YOUNG = timedelta(hours=1)  # an upload has its row as soon as it is complete
FILE_WITHOUT_ROW = "file_without_row"
ROW_WITHOUT_FILE = "row_without_file"
KINDS = (FILE_WITHOUT_ROW, ROW_WITHOUT_FILE)


class FileAudit:
    """Goes round the store, a batch of files at each run."""

    def __init__(self) -> None:
        self._keys: Iterator[str] | None = None  # of this round, from where it stands
        self._began_at: datetime | None = None

    def remove_orphans(self, services: Services) -> int:
        """Report files that no row asks for; remove those reported for ORPHAN_AFTER_H.

        Returns how many were removed.
        """
        try:
            return self._next_batch(services)
        except BaseException:
            self._keys = None  # half a listing must not pass for a whole one
            raise

    def _next_batch(self, services: Services) -> int:
        if self._keys is None:
            with services.open_session() as session:
                self._began_at = session.scalar(select(func.now()))
            self._keys = services.storage.keys_older_than(YOUNG)
        keys = list(islice(self._keys, BATCH))
        with services.open_session() as session:
            owners = _owners(session, keys)
            kept = arriving(session, keys)
        orphans = [
            key
            for key in keys
            if key not in kept and (key not in owners or owners[key].file_removed_at)
        ]
        sizes = {key: services.storage.size_of(key) for key in orphans}
        found = [
            {
                "kind": FILE_WITHOUT_ROW,
                "key": key,
                "job_id": owners[key].id if key in owners else None,
                "size_bytes": size_bytes,
            }
            for key, size_bytes in sizes.items()
            if size_bytes is not None
        ]
        is_last = len(keys) < BATCH
        after = timedelta(hours=services.settings.orphan_after_h)
        with services.open_session() as session:
            due = _note_files(session, found, after) if found else []
            if is_last:
                _forget_unseen(session, self._began_at)
            _note_run(session, "files", is_finished=is_last)
        if is_last:
            self._keys = None
        return _remove(services, due)


class RowAudit:
    """Goes round the jobs of each status, the newest first, a batch at each run.

    By status, so that what is unfinished or failed comes round soon however many jobs are
    completed: only those still need their recordings.
    """

    def __init__(self) -> None:
        self._after: dict[JobStatus, tuple[datetime, UUID]] = {}
        self._finished: set[JobStatus] = set()  # in this round

    def find_missing_files(self, services: Services) -> int:
        """Report jobs whose recording is gone though nobody removed it. Returns the new ones."""
        with services.open_session() as session:
            rows = [row for status in JobStatus for row in self._next_rows(session, status)]
            known = _known_losses(session)
        size_of = services.storage.size_of
        lost = [
            row.id for row in rows if not row.file_removed_at and size_of(row.file_path) is None
        ]
        healed = [row.key for row in known if row.id is None or size_of(row.key) is not None]
        is_finished = self._finished == set(JobStatus)
        with services.open_session() as session:
            new = _note_losses(session, lost) if lost else []
            _settle_losses(session, healed, [row.key for row in known])
            _note_run(session, "rows", is_finished=is_finished)
        if is_finished:
            self._finished.clear()
        for row in new:
            logger.warning("recording_missing", extra={"job_id": str(row.job_id), "key": row.key})
        return len(new)

    def _next_rows(self, session: Session, status: JobStatus) -> Sequence[AnyRow]:
        query = (
            select(Job.id, Job.created_at, Job.file_path, Job.file_removed_at)
            .where(Job.status == status)
            .order_by(Job.created_at.desc(), Job.id.desc())
            .limit(BATCH)
        )
        if status in self._after:
            query = query.where(tuple_(Job.created_at, Job.id) < tuple_(*self._after[status]))
        rows = session.execute(query).all()
        if len(rows) < BATCH:
            self._after.pop(status, None)
            self._finished.add(status)
        else:
            self._after[status] = (rows[-1].created_at, rows[-1].id)
        return rows


def _owners(session: Session, keys: Sequence[str]) -> dict[str, AnyRow]:
    rows = session.execute(
        select(Job.file_path, Job.id, Job.file_removed_at).where(Job.file_path.in_(keys))
    )
    return {row.file_path: row for row in rows}


def _note_files(session: Session, found: list[dict[str, Any]], after: timedelta) -> Sequence[str]:
    """Write the findings; returns the keys that have been there for longer than `after`."""
    query = insert(Finding).values(found)
    rows = session.execute(
        query.on_conflict_do_update(
            index_elements=["kind", "key"],
            set_={"seen_at": func.now(), "size_bytes": query.excluded.size_bytes},
        ).returning(Finding.key, (Finding.found_at <= func.now() - after).label("is_due"))
    )
    return [row.key for row in rows if row.is_due]


def _forget_unseen(session: Session, began_at: datetime | None) -> None:
    session.execute(
        delete(Finding).where(Finding.kind == FILE_WITHOUT_ROW, Finding.seen_at < began_at)
    )


def _remove(services: Services, keys: Sequence[str]) -> int:
    removed = 0
    for key in keys:
        if services.storage.delete(key):
            removed += 1
            logger.info("orphan_removed", extra={"key": key})
    if keys:
        with services.open_session() as session:
            session.execute(
                delete(Finding).where(Finding.kind == FILE_WITHOUT_ROW, Finding.key.in_(keys))
            )
    return removed


def _known_losses(session: Session) -> Sequence[AnyRow]:
    """Losses on record, those longest unseen first; `id` is empty where no row asks any more."""
    oldest = (
        select(Finding.key)
        .where(Finding.kind == ROW_WITHOUT_FILE)
        .order_by(Finding.seen_at)
        .limit(BATCH)
        .subquery()
    )
    still_asks = (Job.file_path == oldest.c.key) & Job.file_removed_at.is_(None)
    return session.execute(select(oldest.c.key, Job.id).outerjoin(Job, still_asks)).all()


def _note_losses(session: Session, job_ids: Sequence[UUID]) -> Sequence[AnyRow]:
    """Write the findings; returns the new ones.

    From the rows as they are now: whoever removes a recording says so in the row first, so
    a file that was just removed on purpose is not taken for a loss.
    """
    query = insert(Finding).from_select(
        ["kind", "key", "job_id", "size_bytes"],
        select(literal(ROW_WITHOUT_FILE), Job.file_path, Job.id, Job.size_bytes).where(
            Job.id.in_(job_ids), Job.file_removed_at.is_(None)
        ),
    )
    rows = session.execute(
        query.on_conflict_do_update(
            index_elements=["kind", "key"], set_={"seen_at": func.now()}
        ).returning(Finding.key, Finding.job_id, (Finding.found_at == func.now()).label("is_new"))
    )
    return [row for row in rows if row.is_new]


def _settle_losses(session: Session, healed: Sequence[str], looked_at: Sequence[str]) -> None:
    losses = Finding.kind == ROW_WITHOUT_FILE
    session.execute(delete(Finding).where(losses, Finding.key.in_(healed)))
    session.execute(
        update(Finding).where(losses, Finding.key.in_(looked_at)).values(seen_at=func.now())
    )


def _note_run(session: Session, name: str, *, is_finished: bool) -> None:
    seen: dict[str, Any] = {"ran_at": func.now()}
    if is_finished:
        seen["finished_at"] = func.now()
    session.execute(
        insert(StorageAudit)
        .values(name=name, **seen)
        .on_conflict_do_update(index_elements=["name"], set_=seen)
    )
