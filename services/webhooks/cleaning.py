"""What goes of messages: with age, and with the job that they tell of."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, func, select

from models import TranscriptionJob, WebhookDelivery
from services.context import Services
from services.usage import every_tenant
from services.webhooks.deliveries import NO_JOB

Job = TranscriptionJob
Delivery = WebhookDelivery

BATCH = 1_000


def remove_old_messages(services: Services) -> int:
    """Remove messages past KEEP_WEBHOOKS_DAYS, whether or not they arrived."""
    limit = func.now() - timedelta(days=services.settings.keep_webhooks_days)
    return _remove(services, Delivery.tenant.in_(every_tenant()), Delivery.created_at < limit)


def remove_messages_of_gone_jobs(services: Services) -> int:
    """Remove messages of jobs that were removed: some styles hold the whole transcript."""
    return _remove(services, Delivery.job_id != NO_JOB, ~exists().where(Job.id == Delivery.job_id))


SWEEPS: tuple[Callable[[Services], int], ...] = (
    remove_old_messages,
    remove_messages_of_gone_jobs,
)


def _remove(services: Services, *which: Any) -> int:
    chosen = (select(Delivery.id).where(*which).limit(BATCH).with_for_update(skip_locked=True)).cte(
        "chosen"
    )
    query = delete(Delivery).where(Delivery.id == chosen.c.id).returning(Delivery.id)
    with services.open_session() as session:
        return len(session.execute(query.execution_options(synchronize_session=False)).all())
