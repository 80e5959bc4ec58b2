"""The recording of a job, as it was uploaded."""

from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from domain.errors import AudioGone
from services.context import Services
from services.jobs import find_job


@dataclass(frozen=True)
class AudioFile:
    """An open recording; the caller closes the stream."""

    stream: BinaryIO
    filename: str | None
    content_type: str | None
    size_bytes: int
    sha256: str


def open_audio(services: Services, job_id: UUID, *, tenant: str | None = None) -> AudioFile:
    """Open the recording for reading. Raises JobNotFound, AudioGone."""
    with services.open_session() as session:
        job, _ = find_job(session, job_id, tenant)
    if job.file_removed_at:
        raise AudioGone("the recording was removed", removed_at=job.file_removed_at.isoformat())
    return AudioFile(
        stream=services.storage.open(job.file_path),
        filename=job.original_filename,
        content_type=job.content_type,
        size_bytes=job.size_bytes,
        sha256=job.sha256,
    )
