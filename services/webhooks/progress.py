"""Messages of how far running jobs are: seldom, and only when they got on."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, exists, func, or_, select

from domain.lifecycle import JobStatus
from models import TranscriptionJob, WebhookDelivery, WebhookEndpoint
from services.context import Services
from services.webhooks.events import PROGRESS
from services.webhooks.messages import Happening, Target, find_targets, write_messages

Job = TranscriptionJob
Delivery = WebhookDelivery
Endpoint = WebhookEndpoint


def tell_progress(services: Services) -> int:
    """Write what is new about running jobs, for those who ask for it. Returns how many.

    At most one message for each job and address in WEBHOOK_PROGRESS_EVERY_S. One query where
    nobody asks.
    """
    with services.open_session() as session:
        jobs = session.execute(_moving_jobs()).all()
        if not jobs:
            return 0
        every = timedelta(seconds=services.settings.webhook_progress_every_s)
        told = session.execute(
            select(Delivery.job_id, Delivery.endpoint_id).where(
                Delivery.job_id.in_([job.id for job in jobs]),
                Delivery.event == PROGRESS,
                Delivery.created_at > func.now() - every,
            )
        ).all()
        recent = {(row.job_id, row.endpoint_id) for row in told}
        targets = find_targets(session, [_happening(job) for job in jobs])
        return write_messages(session, [t for t in targets if _is_news(t, recent)])


def _moving_jobs() -> Any:
    return select(
        Job.id,
        Job.tenant,
        Job.webhook,
        Job.status,
        Job.attempt,
        Job.progress,
        func.now().label("at"),
    ).where(
        Job.status == JobStatus.PROCESSING,
        Job.progress > 0,
        Job.progress < 1,
        or_(_is_wanted_by_endpoint(), Job.webhook["events"].contains([PROGRESS])),
    )


def _is_wanted_by_endpoint() -> ColumnElement[bool]:
    return exists().where(
        Endpoint.tenant == Job.tenant,
        Endpoint.events.contains([PROGRESS]),
        Endpoint.paused_at.is_(None),
    )


def _happening(job: Row[Any]) -> Happening:
    return Happening(
        job_id=job.id,
        tenant=job.tenant,
        webhook=job.webhook,
        event=PROGRESS,
        # Progress that did not move makes the same source, and no second message.
        source=f"{PROGRESS}:{job.attempt}:{job.progress:.4f}",
        status=job.status,
        attempt=job.attempt,
        at=job.at,
        facts={},
    )


def _is_news(target: Target, recent: set[tuple[Any, Any]]) -> bool:
    # What waits for a paused endpoint would be stale by the time it is resumed.
    return (target.happening.job_id, target.endpoint_id) not in recent and not target.is_paused
