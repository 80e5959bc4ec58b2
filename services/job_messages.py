"""Messages to webhooks that tell of a job go with it: some hold its whole transcript."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from models import WebhookDelivery


def forget_messages(session: Session, job_ids: Sequence[UUID]) -> None:
    """Remove what was or would be told of these jobs, in the transaction that removes them."""
    session.execute(
        delete(WebhookDelivery)
        .where(WebhookDelivery.job_id.in_(job_ids))
        .execution_options(synchronize_session=False)
    )
