"""Messages are written here: one for each address that wants to hear of what happened.

The body is worded now and kept, so that every attempt and every replay sends the same bytes.
"""

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, defer
from sqlalchemy.types import Text

from domain.transcript import Transcript
from models import TranscriptionJob, TranscriptionResult, WebhookDelivery, WebhookEndpoint
from services.results import transcript_of
from services.views import JobView, job_view
from services.webhooks.events import wants
from services.webhooks.identities import NO_ADDRESS, ensure_identities
from services.webhooks.styles import STANDARD, STYLES, Notice, Style
from services.webhooks.told_at_endpoints import endpoint_style

logger = logging.getLogger(__name__)

Job = TranscriptionJob
Result = TranscriptionResult
Endpoint = WebhookEndpoint


@dataclass(frozen=True)
class Happening:
    """Something that happened to a job, before anybody was told."""

    job_id: UUID
    tenant: str
    webhook: Mapping[str, Any] | None  # an address of the job's own
    event: str
    source: str  # what makes it this one and no other, within the job
    status: str  # of the job, afterwards
    attempt: int
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """An address that wants to hear of it. Without an endpoint it is the job's own."""

    happening: Happening
    endpoint_id: UUID | None
    is_paused: bool
    style: Style
    data: Mapping[str, Any]


def find_targets(session: Session, happenings: Sequence[Happening]) -> list[Target]:
    """Who is to be told of what, in the order of the happenings.

    Endpoints that want any of it are locked until the transaction ends: one that is resumed
    meanwhile would not wake a message that was written as for a paused one.
    """
    if not happenings:
        return []
    endpoints = _interested(session, happenings)
    return [
        target
        for happening in happenings
        for target in (*_of_endpoints(happening, endpoints), *_of_job(happening))
    ]


def write_messages(session: Session, targets: Iterable[Target]) -> int:
    """Keep a message for each target that has none of this happening. Returns how many."""
    chosen = [*targets]
    if not chosen:
        return 0
    ensure_identities(session, {t.happening.tenant for t in chosen if t.endpoint_id is None})
    jobs = _Jobs(session, {target.happening.job_id for target in chosen})
    rows = [row for target in chosen if (row := _row(target, jobs)) is not None]
    if not rows:
        return 0
    query = insert(WebhookDelivery).on_conflict_do_nothing().returning(WebhookDelivery.id)
    # A missing date is a date that waits for the end of a pause, and not the column's default.
    options = {"render_nulls": True}
    return len(session.scalars(query, rows, execution_options=options).all())


def _interested(session: Session, happenings: Sequence[Happening]) -> Sequence[Endpoint]:
    tenants = {happening.tenant for happening in happenings}
    events = sorted({happening.event for happening in happenings})
    return session.scalars(
        select(Endpoint)
        .where(
            Endpoint.tenant.in_(tenants),
            Endpoint.url != NO_ADDRESS,
            Endpoint.events.op("&&")(literal(events, ARRAY(Text))),
        )
        .order_by(Endpoint.id)
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    ).all()


def _of_endpoints(happening: Happening, endpoints: Iterable[Endpoint]) -> Iterator[Target]:
    for endpoint in endpoints:
        is_meant = endpoint.tenant == happening.tenant and wants(endpoint.events, happening.event)
        # What was before it is not told, however far back the history is read again.
        if is_meant and happening.at >= endpoint.created_at:
            is_paused = endpoint.paused_at is not None
            style, data = _words_for(happening, endpoint.id)
            yield Target(happening, endpoint.id, is_paused, style, data)


def _words_for(happening: Happening, endpoint_id: UUID) -> tuple[Style, Mapping[str, Any]]:
    """The style of the job's door, where it asked for that; it has words for some events only."""
    webhook = happening.webhook
    style = STYLES.get(endpoint_style(webhook, endpoint_id) or STANDARD)
    if webhook is None or style is None or happening.event not in style.events:
        return STYLES[STANDARD], {}
    return style, webhook.get("data") or {}


def _of_job(happening: Happening) -> Iterator[Target]:
    webhook = happening.webhook
    if webhook is None or webhook.get("url") is None:
        return
    style = STYLES.get(webhook.get("style", STANDARD))
    if style is None:
        logger.error("webhook_style_unknown", extra={"job_id": str(happening.job_id)})
        return
    if happening.event in (webhook.get("events") or style.events):
        yield Target(happening, None, False, style, webhook.get("data") or {})


def _row(target: Target, jobs: "_Jobs") -> dict[str, Any] | None:
    happening = target.happening
    job = jobs.view(happening)
    if job is None:  # removed meanwhile, and its messages with it
        return None
    needs_transcript = target.style.needs_transcript and happening.event == "completed"
    try:
        notice = Notice(
            event=happening.event,
            at=happening.at,
            job=job,
            transcript=jobs.transcript(happening.job_id) if needs_transcript else None,
            facts=happening.facts,
            data=target.data,
        )
        body = json.dumps(
            target.style.render(notice), ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
    except SQLAlchemyError:  # no fault of the job's: all of it is read again
        raise
    except Exception:
        # One job that cannot be put into words must not silence all others.
        logger.exception("webhook_not_worded", extra={"job_id": str(happening.job_id)})
        return None
    return {
        "tenant": happening.tenant,
        "endpoint_id": target.endpoint_id,
        "job_id": happening.job_id,
        "event": happening.event,
        "source": happening.source,
        "body": body,
        "created_at": happening.at,
        # At once; what happened first goes first.
        "next_attempt_at": None if target.is_paused else happening.at,
    }


class _Jobs:
    """The jobs of a batch of messages, read once, their transcripts only where needed."""

    def __init__(self, session: Session, job_ids: Collection[UUID]) -> None:
        self._session = session
        rows = session.execute(
            select(Job, Result)
            .outerjoin(Result, Result.job_id == Job.id)
            .where(Job.id.in_(job_ids))
            .options(defer(Result.segments), defer(Result.transcription_text))
            .execution_options(populate_existing=True)
        ).all()
        self._rows = {job.id: (job, result) for job, result in rows}

    def view(self, happening: Happening) -> JobView | None:
        """The job as the event left it. It may have gone on since."""
        row = self._rows.get(happening.job_id)
        if row is None:
            return None
        job, result = row
        is_done = happening.event == "completed"
        view = job_view(job, result if is_done else None, with_text=False)
        return replace(view, status=happening.status, attempt=happening.attempt)

    def transcript(self, job_id: UUID) -> Transcript | None:
        """The result of a job, where it has one."""
        result = self._session.get(Result, job_id, populate_existing=True)
        return None if result is None else transcript_of(result)
