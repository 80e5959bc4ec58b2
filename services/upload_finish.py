"""The end of an upload session: a recording that is whole becomes a job, once."""

import logging
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.errors import AudioError
from domain.options import TranscriptionOptions
from models import TranscriptionJob
from services.context import Services
from services.jobs import submit_job
from services.kept_submission import restore_submission
from services.limits import require_room
from services.upload_rows import Row, change_row, remove_row
from storage.base import Resumable

logger = logging.getLogger(__name__)

SHA256 = "sha256"  # of the whole, in the metadata, once it was computed


def finish_upload(services: Services, upload_id: UUID, file: Resumable) -> bool:
    """Make a whole recording a job, once. False when it was one already.

    `file` is locked by the caller. Raises as `submit_job`: a recording that is no audio goes
    with its session, whatever else is in the way leaves it for another try.
    """
    with services.open_statement() as session:
        row = session.get_one(Row, upload_id)
    if row.job_id is not None:
        return False
    about = row.upload_metadata
    require_room(services, row.tenant, size_bytes=row.length_bytes)  # before it is read whole
    stored = file.commit(sha256=about.get(SHA256))
    if SHA256 not in about:
        known = func.jsonb_build_object(SHA256, stored.sha256, type_=JSONB)
        change_row(services, upload_id, upload_metadata=Row.upload_metadata.op("||")(known))
    try:
        job_id = _job_of(services, stored.key) or submit_job(
            services,
            stored,
            TranscriptionOptions.from_dict(about["options"]),
            restore_submission(about["submission"], row.tenant, row.key_id),
        )
    except AudioError as error:
        if not error.is_transient:
            remove_row(services, upload_id)
            file.discard()
        raise
    change_row(services, upload_id, job_id=job_id)
    file.discard()
    logger.info("upload_finished", extra={"upload_id": str(upload_id), "job_id": str(job_id)})
    return True


def _job_of(services: Services, key: str) -> UUID | None:
    """The job that was made of this file, when only the row of the session missed it."""
    with services.open_statement() as session:
        query = select(TranscriptionJob.id).where(TranscriptionJob.file_path == key).limit(1)
        return session.scalar(query)
