"""A result that is there already, for a submission that asks to be spared the work again.

Only within a tenant, and only where nothing could come out differently but by chance: the same
recording, byte for byte, the same options, this server's engine, and no step down for want of
memory. The copy says where it comes from.
"""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import cast, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from domain.lifecycle import JobStatus
from domain.options import TranscriptionOptions
from domain.transcript import Warning_
from models import TranscriptionJob, TranscriptionResult
from services.context import Services

Job = TranscriptionJob
Result = TranscriptionResult

RESULT_REUSED = "result_reused"


def find_result(
    services: Services, tenant: str, sha256: str, options: TranscriptionOptions
) -> UUID | None:
    """The oldest job of the tenant whose result would do, or None."""
    query = (
        select(Job.id)
        .join(Result, Result.job_id == Job.id)
        .where(
            Job.tenant == tenant,
            Job.sha256 == sha256,
            Job.status == JobStatus.COMPLETED,
            Job.options == cast(literal(options.to_dict(), JSONB), JSONB),
            Result.engine == services.settings.whisper_engine,
            Result.fallbacks == cast(literal([], JSONB), JSONB),
        )
        .order_by(Job.created_at, Job.id)
        .limit(1)
    )
    with services.open_statement() as session:
        return session.scalar(query)


def notice_of(source_id: UUID) -> list[dict[str, Any]]:
    """What the warnings of a copied result say."""
    notice = Warning_(
        RESULT_REUSED,
        f"nothing was transcribed: this is the result of job {source_id}, which had the same "
        "recording and options",
    )
    return [asdict(notice)]
