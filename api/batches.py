"""/batches: many recordings in one call, one answer for each, watched as one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Response, request, url_for
from flask.views import MethodView
from werkzeug.exceptions import UnsupportedMediaType

from api.admission import outside
from api.batch_form import FILES
from api.batch_items import items_of_form, items_of_json
from api.blueprint import Blueprint
from api.client_id import CLIENT_PARAMETER, current_client
from api.current import current_hub, current_principal, current_services, current_tenant
from api.long_poll import limit_wait
from api.schemas.base import NoQuerySchema
from api.schemas.batches import (
    BatchBodySchema,
    BatchListSchema,
    BatchQuerySchema,
    BatchViewSchema,
    BatchWithItemsSchema,
    PageQuerySchema,
    SubmittedBatchSchema,
)
from api.sse import HEADERS, MEDIA_TYPE, current_connection, stream_response
from api.submission_codes import BODY_CODES, OPTION_CODES, STORAGE_CODES
from domain.errors import BatchNotFound, DatabaseUnavailable, OptionInvalid
from services.batch_views import BatchPage, BatchView, get_batch, list_batches, list_items
from services.batches import Item, Outcome, cancel_batch, submit_batch, wait_for_batch
from services.context import Services
from services.event_hub import Listener
from services.stream_event import StreamEvent

blp = Blueprint("batches", __name__, description="Many recordings in one call")

TEXT = {"type": "string"}
LOOK_EVERY_S = 1.0
PING_AFTER_LOOKS = 15
BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": BatchBodySchema},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {FILES: {"type": "array", "items": {**TEXT, "format": "binary"}}},
                "required": [FILES],
                "description": f"Several parts named {FILES!r}, and the fields of a batch",
            }
        },
    },
}


@blp.route("/batches", parameters=[CLIENT_PARAMETER])
class Batches(MethodView):
    """All batches."""

    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, BatchListSchema)
    @blp.fails("validation_error", "option_invalid", "cursor_invalid", "database_unavailable")
    def get(self, query: dict[str, Any]) -> BatchPage:
        """List batches, newest first."""
        return list_batches(current_services(), tenant=current_tenant(), **query)

    @blp.doc(requestBody=BODY)
    @blp.response(202, SubmittedBatchSchema, description="Every item is a job")
    @blp.alt_response(
        207,
        schema=SubmittedBatchSchema,
        description="Some items are refused; each says why",
        success=True,
    )
    @blp.fails(
        *BODY_CODES,
        *OPTION_CODES,
        "file_missing",
        "webhook_url_refused",
        "database_unavailable",
        *STORAGE_CODES,
    )
    def post(self) -> Any:
        """Submit recordings: addresses as JSON, or several files as a form.

        The answer comes when every recording is safe or refused. What is wrong with one item
        stops no other.
        """
        current_client()
        if "Idempotency-Key" in request.headers:
            raise OptionInvalid(
                "a batch has no Idempotency-Key: each item may have its own, idempotency_key",
                option="Idempotency-Key",
            )
        if request.mimetype == "multipart/form-data":
            return answer(*items_of_form())
        if request.is_json:
            return answer(*items_of_json())
        raise UnsupportedMediaType("send application/json, or multipart/form-data with files")


@blp.route("/batches/<string:batch_id>")
class BatchDetail(MethodView):
    """One batch."""

    @blp.arguments(BatchQuerySchema, location="query")
    @blp.response(200, BatchWithItemsSchema)
    @blp.fails(
        "batch_not_found",
        "validation_error",
        "option_invalid",
        "cursor_invalid",
        "database_unavailable",
    )
    def get(self, query: dict[str, Any], batch_id: str) -> dict[str, Any]:
        """Look at a batch: how many items stand where, the share that is done, its items."""
        services, key, tenant = current_services(), parse_batch_id(batch_id), current_tenant()
        wait_s = query.pop("wait")
        limit_wait(wait_s)
        items = list_items(services, key, tenant=tenant, **query)
        view = get_batch(services, key, tenant=tenant)
        if wait_s:
            view = wait_for_batch(services, key, tenant=tenant, timeout_s=wait_s)
            items = list_items(services, key, tenant=tenant, **query)
        return {**asdict(view), **asdict(items)}

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, BatchViewSchema)
    @blp.fails("batch_not_found", "option_invalid", "database_unavailable")
    def delete(self, _query: dict[str, Any], batch_id: str) -> BatchView:
        """Cancel every job of a batch that is not finished; those that run stop soon."""
        asks = current_principal()
        return cancel_batch(
            current_services(), parse_batch_id(batch_id), tenant=asks.tenant, actor=asks.actor
        )


@blp.route("/batches/<string:batch_id>/events")
class BatchEvents(MethodView):
    """One batch, live."""

    @blp.arguments(NoQuerySchema, location="query")
    @blp.response(200, TEXT, content_type=MEDIA_TYPE, description="Server-sent events")
    @blp.fails("batch_not_found", "option_invalid", "too_many_streams", "database_unavailable")
    def get(self, _query: dict[str, Any], batch_id: str) -> Response:
        """Follow a batch: an event `summary` whenever it changed. Ends when it is finished."""
        hub, key, tenant = current_hub(), parse_batch_id(batch_id), current_tenant()
        services = current_services()
        first = get_batch(services, key, tenant=tenant)
        if request.method == "HEAD":  # nobody would run it to its end
            return Response(mimetype=MEDIA_TYPE, headers=HEADERS)
        listener = hub.reserve(current_connection())
        summaries = follow_batch(services, listener, first, tenant)
        return stream_response(summaries, on_close=lambda: hub.release(listener))


def answer(items: list[Item], name: str | None) -> Any:
    """Submit the items, and say what became of each."""
    with outside(request.environ):  # fetching waits for other servers
        batch_id, outcomes = submit_batch(
            current_services(), items, tenant=current_tenant(), name=name
        )
    is_whole = all(outcome.job_id for outcome in outcomes)
    body = {
        "batch_id": batch_id,
        "items": [{**asdict(o), "status": status_of(o)} for o in outcomes],
    }
    where = url_for("batches.BatchDetail", batch_id=batch_id)
    return body, 202 if is_whole else HTTPStatus.MULTI_STATUS.value, {"Location": where}


def status_of(outcome: Outcome) -> str:
    """The word for what became of an item."""
    return "refused" if outcome.job_id is None else "pending"


def follow_batch(
    services: Services, listener: Listener, first: BatchView, tenant: str
) -> Iterator[StreamEvent]:
    """A summary now and whenever it changed, and signs of life. Runs after the request ended."""
    yield summary(first)
    seen, quiet = first, 0
    while not seen.is_finished:
        listener.end_if_gone()
        _, is_over = listener.wait(LOOK_EVERY_S)
        if is_over:
            return
        now = look(services, first.batch_id, tenant) or seen
        quiet = 0 if now != seen else quiet + 1
        if quiet == 0:
            yield summary(now)
        elif quiet % PING_AFTER_LOOKS == 0:
            yield StreamEvent(comment="ping")
        seen = now


def look(services: Services, batch_id: UUID, tenant: str) -> BatchView | None:
    """The batch; None while the database is away."""
    with suppress(DatabaseUnavailable):
        return get_batch(services, batch_id, tenant=tenant)
    return None


def summary(view: BatchView) -> StreamEvent:
    """How the batch stands, as an event."""
    return StreamEvent("summary", BatchViewSchema().dump(view))


def parse_batch_id(value: str) -> UUID:
    """The id in an address. Raises BatchNotFound for what is no UUID."""
    try:
        return UUID(value)
    except ValueError as error:
        raise BatchNotFound("there is no batch with this id") from error
