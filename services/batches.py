"""Batches: many recordings submitted in one call, each for itself, and watched as one."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Any
from uuid import UUID

from sqlalchemy import cast, update
from sqlalchemy.dialects.postgresql import JSONB

from domain.errors import DatabaseUnavailable, JobStateConflict, ScriptoriumError, ServerBusy
from domain.ids import new_id
from domain.options import TranscriptionOptions
from domain.submission import Submission
from models import Batch
from services.batch_views import BatchView, find_batch, get_batch, open_job_ids
from services.context import Services
from services.fetching import Fetched, fetch_recording
from services.jobs import cancel_job, submit_job
from services.limits import require_room
from storage.base import StoredFile

logger = logging.getLogger(__name__)

NUMBER = "batch_number"  # of the item, in the job's door_fields
FETCHERS = 4  # of one batch: other requests want to fetch too
LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Item:
    """One recording of a batch: in the store already, or at an address; or what spoke against it.

    The submission needs no batch yet.
    """

    number: int  # from 1, as they came
    name: str | None = None
    options: TranscriptionOptions | None = None
    submission: Submission | None = None
    stored: StoredFile | None = None
    source_url: str | None = None
    error: ScriptoriumError | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one item: a job, or an error with its code."""

    number: int
    job_id: UUID | None = None
    code: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None


def submit_batch(
    services: Services, items: Sequence[Item], *, tenant: str, name: str | None
) -> tuple[UUID, list[Outcome]]:
    """Make a job of every item that can be one; one outcome for each, in their order.

    Whatever is wrong with an item is its outcome and stops no other. Raises DatabaseUnavailable
    when there cannot even be a batch; then the files of the items are removed.
    """
    batch_id = new_id()
    try:
        with services.open_statement() as session:
            session.add(Batch(id=batch_id, tenant=tenant, name=name))
    except BaseException:
        for item in items:
            if item.stored is not None:
                services.storage.delete(item.stored.key)
        raise
    with _fetching(services, items, tenant) as fetched:
        outcomes = [
            _submit(services, item, batch_id, fetched.get(item.number, _nothing)) for item in items
        ]
    made = sum(outcome.job_id is not None for outcome in outcomes)
    logger.info(
        "batch_submitted",
        extra={"batch_id": str(batch_id), "jobs": made, "refused": len(items) - made},
    )
    return batch_id, outcomes


def cancel_batch(services: Services, batch_id: UUID, *, tenant: str, actor: str) -> BatchView:
    """Cancel every job of the batch that is not finished. Raises BatchNotFound."""
    find_batch(services, batch_id, tenant)
    for job_id in open_job_ids(services, batch_id):
        try:
            cancel_job(services, job_id, tenant=tenant, actor=actor)
        except JobStateConflict:
            logger.debug("job_finished_before_cancel", extra={"job_id": str(job_id)})
    return get_batch(services, batch_id, tenant=tenant)


def wait_for_batch(
    services: Services, batch_id: UUID, *, tenant: str, timeout_s: float
) -> BatchView:
    """The batch once something has changed, or it is finished, or time is up."""
    seen = get_batch(services, batch_id, tenant=tenant)
    deadline = monotonic() + timeout_s
    while not seen.is_finished and (left_s := deadline - monotonic()) > 0:
        sleep(min(LOOK_EVERY_S, left_s))
        now = get_batch(services, batch_id, tenant=tenant)
        if now != seen:
            return now
    return seen


@contextmanager
def _fetching(
    services: Services, items: Sequence[Item], tenant: str
) -> Iterator[dict[int, Callable[[], Fetched]]]:
    """Ways to each fetched recording; they are fetched some at a time, in the items' order."""
    wanted = [item for item in items if item.source_url is not None and item.error is None]
    if not wanted:
        yield {}
        return
    pool = ThreadPoolExecutor(min(FETCHERS, len(wanted)), thread_name_prefix="batch-fetch")
    try:
        futures: dict[int, Future[Fetched]] = {
            # In a context of its own each: log lines carry the request's id there.
            item.number: pool.submit(
                copy_context().run, _fetch, services, item.source_url or "", tenant
            )
            for item in wanted
        }
        yield {number: future.result for number, future in futures.items()}
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch(services: Services, url: str, tenant: str) -> Fetched:
    """As `fetch_recording`, but patient while others fetch; not for a tenant without room."""
    require_room(services, tenant)
    deadline = monotonic() + services.settings.source_timeout_s
    while True:
        try:
            return fetch_recording(services, url)
        except ServerBusy:
            if monotonic() > deadline:
                raise
            sleep(LOOK_EVERY_S)


def _submit(
    services: Services, item: Item, batch_id: UUID, fetched: Callable[[], Fetched]
) -> Outcome:
    try:
        if item.error is not None or item.options is None or item.submission is None:
            raise item.error or ScriptoriumError("the item is not complete")
        submission = replace(
            item.submission,
            batch_id=batch_id,
            door_fields={**item.submission.door_fields, NUMBER: item.number},
        )
        stored = item.stored
        if stored is None:
            found = fetched()
            stored = found.stored
            submission = replace(
                submission, filename=found.filename, content_type=found.content_type
            )
        job_id = submit_job(services, stored, item.options, submission)
    except ScriptoriumError as error:
        outcome = Outcome(
            item.number, code=error.code, message=error.message, details=dict(error.details)
        )
        _note_refused(services, batch_id, item, outcome)
        return outcome
    return Outcome(item.number, job_id=job_id)


def _note_refused(services: Services, batch_id: UUID, item: Item, outcome: Outcome) -> None:
    entry = {
        "number": item.number,
        "name": item.name,
        "code": outcome.code,
        "message": outcome.message,
    }
    try:
        with services.open_statement() as session:
            session.execute(
                update(Batch)
                .where(Batch.id == batch_id)
                .values(refused=Batch.refused.op("||")(cast([entry], JSONB)))
            )
    except DatabaseUnavailable:  # the caller learns of the item all the same
        logger.warning(
            "batch_refusal_not_noted", extra={"batch_id": str(batch_id), "number": item.number}
        )


def _nothing() -> Fetched:
    raise ScriptoriumError("the item has no recording")
