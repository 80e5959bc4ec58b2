"""The Idempotency-Key of a submission: its repetition finds the job that is there.

The key is written by the statement that creates the job, under a unique index: of two
submissions at once one waits for the other's commit and then finds its job. A key goes with its
job, or after IDEMPOTENCY_HOURS.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import and_, select

from domain.errors import IdempotencyConflict
from domain.lifecycle import JobStatus
from domain.options import TranscriptionOptions
from domain.submission import Submission
from models import IdempotencyKey, TranscriptionJob
from services.context import Services
from storage.base import StoredFile

Job = TranscriptionJob

# What a job does, and what its owner finds with it. Not who repeats it, by which connection.
OF_SUBMISSION = (
    *("priority", "filename", "content_type", "door", "door_fields", "name", "labels"),
    *("webhook", "reuse_result", "fingerprint"),
)


@dataclass(frozen=True)
class Once:
    """A key of a tenant, and the fingerprint of all that was asked with it."""

    tenant: str
    key: str
    fingerprint: str


def once_of(
    stored: StoredFile, options: TranscriptionOptions, submission: Submission
) -> Once | None:
    """What makes this submission the same as another; None without a key."""
    if submission.idempotency_key is None:
        return None
    asked: dict[str, Any] = {name: getattr(submission, name) for name in OF_SUBMISSION}
    asked |= {"sha256": stored.sha256, "options": options.to_dict()}
    body = json.dumps(asked, sort_keys=True, default=dict)  # mappings of any kind
    return Once(
        submission.tenant,
        submission.idempotency_key,
        hashlib.sha256(body.encode(errors="surrogatepass")).hexdigest(),
    )


@dataclass(frozen=True)
class FirstJob:
    """The job that a key made."""

    job_id: UUID
    is_reused: bool  # it was completed at once, with a copy of another job's result


def first_job(services: Services, once: Once) -> FirstJob | None:
    """The job that this key made; None when it made none yet, or when that job was removed.

    Raises IdempotencyConflict when something else was asked then.
    """
    # What was transcribed took an attempt at least.
    is_reused = and_(Job.status == JobStatus.COMPLETED, Job.attempt == 0)
    query = (
        select(IdempotencyKey.fingerprint, Job.id, is_reused.label("is_reused"))
        .join(Job, Job.id == IdempotencyKey.job_id)
        .where(IdempotencyKey.tenant == once.tenant, IdempotencyKey.key == once.key)
    )
    with services.open_statement() as session:
        row = session.execute(query).one_or_none()
    if row is None:
        return None
    if row.fingerprint != once.fingerprint:
        raise IdempotencyConflict(
            "this Idempotency-Key came before, with another recording or other options",
            option="Idempotency-Key",
        )
    return FirstJob(row.id, row.is_reused)


def is_key_known(services: Services, tenant: str, key: str) -> bool:
    """Whether this key made a job that is still there."""
    query = select(IdempotencyKey.job_id).where(
        IdempotencyKey.tenant == tenant, IdempotencyKey.key == key
    )
    with services.open_statement() as session:
        return session.execute(query).one_or_none() is not None
