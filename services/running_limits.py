"""A tenant's limit of running jobs: what is beyond it waits, also where a child is idle."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.lifecycle import JobStatus, Rank
from models import TranscriptionJob
from services import lifecycle
from services.attempts import Claim
from services.context import Services
from services.tenant_limits import KNOWN, RunningLimits

Job = TranscriptionJob

CLAIM_LOCK = 7_305_006  # any fixed number beside those of the reconciler and the migrations


def claim_within_limits(services: Services, rank: Rank, worker: str) -> Claim | None:
    """Take the job that goes next and may run; None when none waits.

    Where nobody has a limit of running jobs this is one statement. Else the claims come one
    after the other: two that count at the same time would both find the last place.
    """
    limits = KNOWN.running_jobs(services)
    if not limits.is_any:
        with services.open_statement() as session:
            return lifecycle.claim_next(session, rank, worker=worker, lease=services.lease)
    with services.open_session() as session:
        session.execute(select(func.pg_advisory_xact_lock(CLAIM_LOCK)))
        full = _full_tenants(session, limits)
        return lifecycle.claim_next(session, rank, worker=worker, lease=services.lease, full=full)


def _full_tenants(session: Session, limits: RunningLimits) -> list[str]:
    """The tenants that have as many jobs running as may."""
    rows = session.execute(
        select(Job.tenant, func.count())
        .where(Job.status == JobStatus.PROCESSING)
        .group_by(Job.tenant)
    )
    return [tenant for tenant, running in rows if 0 < limits.of(tenant) <= running]
